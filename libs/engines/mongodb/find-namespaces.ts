import { Binary, type Document } from 'mongodb';
import type { MongodbContext } from './connection.js';
import { operationPrefix } from './names.js';
import { isDocument, nameOf, readOrdered, type OrderedDocument } from './ordered-bson.js';
import { readAll } from './raw-cursor.js';

/** A namespace as the server lists it, Holdfast's own and bucket collections among them. */
export interface FoundNamespace {
  readonly name: string;
  readonly type: 'collection' | 'view' | 'timeseries';
  /** 32 lower-case hex digits; null for views and for time series, whose buckets have it. */
  readonly uuid: string | null;
  readonly options: OrderedDocument;
}

export async function findNamespaces(context: MongodbContext, filter: Document, signal?: AbortSignal): Promise<FoundNamespace[]> {
  const found = await readAll(context, { listCollections: 1, filter }, signal);
  return found.map((document) => {
    const fields = readOrdered(document);
    const options = fields.get('options');
    const info = fields.get('info');
    const type = fields.get('type');
    return {
      name: nameOf(fields),
      type: type === 'view' || type === 'timeseries' ? type : 'collection',
      uuid: isDocument(info) ? uuidText(info.get('uuid')) : null,
      options: isDocument(options) ? options : new Map(),
    };
  });
}

export async function findNamespace(context: MongodbContext, name: string, signal?: AbortSignal): Promise<FoundNamespace | null> {
  return (await findNamespaces(context, { name }, signal))[0] ?? null;
}

/** Where the collection with this UUID is now. */
export async function findByUuid(context: MongodbContext, uuid: string, signal?: AbortSignal): Promise<FoundNamespace | null> {
  return (await findNamespaces(context, { 'info.uuid': toUuid(uuid) }, signal))[0] ?? null;
}

/** Everything that this operation made in the database, the buckets of its trial time series included. */
export function listOwn(context: MongodbContext, operationId: string, signal?: AbortSignal): Promise<FoundNamespace[]> {
  return findNamespaces(context, { name: { $regex: `^(system\\.buckets\\.)?${operationPrefix(operationId)}` } }, signal);
}

/** Of those that have one: not of views. */
export function uuidsByName(found: readonly { readonly name: string; readonly uuid: string | null }[]): ReadonlyMap<string, string> {
  return new Map(found.flatMap(({ name, uuid }) => (uuid === null ? [] : [[name, uuid] as const])));
}

export async function findIndexes(context: MongodbContext, name: string, signal?: AbortSignal): Promise<OrderedDocument[]> {
  return (await readAll(context, { listIndexes: name }, signal)).map(readOrdered);
}

/** From 32 hex digits to what commands carry as `collectionUUID`. */
export function toUuid(hex: string): Binary {
  return new Binary(Buffer.from(hex, 'hex'), Binary.SUBTYPE_UUID);
}

function uuidText(value: unknown): string | null {
  return value instanceof Binary ? Buffer.from(value.buffer.subarray(0, value.position)).toString('hex') : null;
}
