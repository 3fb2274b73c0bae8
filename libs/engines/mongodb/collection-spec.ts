import { Int32 } from 'mongodb';
import { AppError } from '#errors';
import type { NamespaceKind } from '../port.js';
import { isDocument, nameOf, numberOf, parseOrdered, type OrderedDocument, type OrderedValue } from './ordered-bson.js';

/** A TTL of an index, or of the collection itself (clustered, time series) where `index` is null. */
export interface TimeToLive {
  readonly index: string | null;
  readonly seconds: number;
}

/** How a namespace of an archive is built: without TTL, which would delete what is staged before SWAP. */
export interface CollectionSpec {
  /** Fields of `create`, without the name. */
  readonly create: OrderedDocument;
  /** For one `createIndexes`. */
  readonly indexes: readonly OrderedDocument[];
  readonly ttl: readonly TimeToLive[];
}

// Set by the server alone, or refused by newer ones; none changes what is stored.
const serverOwnedOptions = ['autoIndexId', 'recordIdsReplicated', 'temp'];
const neverExpires = 2_147_483_647;

/** Translates what `listCollections` and `listIndexes` said, both as Extended JSON, into what builds it again. */
export function collectionSpec(name: string, kind: NamespaceKind, options: string, indexes: readonly string[]): CollectionSpec {
  const create = parse(name, options);
  if (create.has('encryptedFields')) {
    throw new AppError('ARCHIVE_UNSUPPORTED', `Collection "${name}" uses Queryable Encryption, which Holdfast cannot restore`);
  }
  for (const option of serverOwnedOptions) create.delete(option);
  const ttl: TimeToLive[] = [];
  const expires = kind === 'view' ? null : secondsOf(create.get('expireAfterSeconds'));
  if (expires !== null) {
    create.delete('expireAfterSeconds');
    ttl.push({ index: null, seconds: expires });
  }

  const built: OrderedDocument[] = [];
  for (const text of indexes) {
    const index = parse(name, text);
    if (isIdIndex(index)) {
      if (kind === 'collection' && !create.has('clusteredIndex')) create.set('idIndex', without(index, ['v', 'ns', 'background']));
      continue;
    }
    if (index.get('clustered') === true) continue;
    const seconds = secondsOf(index.get('expireAfterSeconds'));
    if (seconds !== null) ttl.push({ index: nameOf(index), seconds });
    built.push(buildable(index, create.has('collation')));
  }
  return { create, indexes: built, ttl };
}

/** The default index on `_id`; one that is hashed or 2dsphere is an index like any other. */
export function isIdIndex(index: OrderedDocument): boolean {
  const key = index.get('key');
  if (key === undefined || !isDocument(key) || key.size !== 1 || index.get('clustered') === true) return false;
  return numberOf(key.get('_id') ?? null) !== null;
}

function buildable(index: OrderedDocument, isCollated: boolean): OrderedDocument {
  const dropped = ['v', 'ns', 'background', 'expireAfterSeconds'];
  const collation = index.get('collation');
  const first = numberOf(index.get('v') ?? null) === 1;
  // Only version 1 indexes may not hold a collation at all; a later one needs it against the collection's own.
  if (first && collation !== undefined && isDocument(collation) && collation.get('locale') === 'simple') dropped.push('collation');
  const spec = without(index, dropped);
  // listIndexes does not mention the simple collation, and without it the index would take the collection's own.
  if (isCollated && !first && !spec.has('collation')) spec.set('collation', new Map([['locale', 'simple']]));
  const key = index.get('key');
  const geo = key !== undefined && isDocument(key) && [...key.values()].includes('2dsphere');
  if (geo && !spec.has('2dsphereIndexVersion')) spec.set('2dsphereIndexVersion', new Int32(1));
  return spec;
}

function without(document: OrderedDocument, names: readonly string[]): OrderedDocument {
  return new Map([...document].filter(([name]) => !names.includes(name)));
}

function secondsOf(value: OrderedValue | undefined): number | null {
  const seconds = value === undefined ? null : numberOf(value);
  return Number.isNaN(seconds) ? neverExpires : seconds;
}

function parse(name: string, text: string): OrderedDocument {
  try {
    return text === '' ? new Map<string, OrderedValue>() : parseOrdered(text);
  } catch (cause) {
    throw new AppError('ARCHIVE_CORRUPT', `The definition of "${name}" in the archive cannot be read`, { cause });
  }
}
