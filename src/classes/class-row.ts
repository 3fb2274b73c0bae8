import { AppError } from '#errors';
import { defaultPageSize, type PageArgs } from '../platform/graphql/connection.js';
import type { ClassRowModel, CollectionConnection } from './class.model.js';
import type { ClassifiedNamespace } from './classes.service.js';

export function toClassRow({ namespace, decision }: ClassifiedNamespace): ClassRowModel {
  const { name, kind, documents, sizeBytes, indexes } = namespace;
  return {
    name, kind, documents, bytes: sizeBytes, indexes: indexes.length,
    dataClass: decision?.dataClass ?? null, resettable: decision?.resettable ?? false, counter: decision?.counter ?? null, decidedBy: decision?.pattern ?? null, decidedFrom: decision?.from ?? null,
  };
}

/** One page in the order of the names: a collection has no time to sort by. */
export function toCollectionConnection(all: readonly ClassifiedNamespace[], { first, after }: PageArgs): CollectionConnection {
  const rest = after == null ? all : all.filter(({ namespace }) => namespace.name > nameIn(after));
  const edges = rest.slice(0, first ?? defaultPageSize).map((row) => ({ cursor: cursorOf(row.namespace.name), node: toClassRow(row) }));
  return { edges, pageInfo: { hasNextPage: rest.length > edges.length, endCursor: edges.at(-1)?.cursor ?? null }, totalCount: all.length };
}

const prefix = 'collection|';

function cursorOf(name: string): string {
  return Buffer.from(prefix + name).toString('base64url');
}

function nameIn(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!text.startsWith(prefix)) throw new AppError('BAD_USER_INPUT', 'after: not a cursor of this list');
  return text.slice(prefix.length);
}
