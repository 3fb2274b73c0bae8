import { bsonElements, BsonMalformed, bsonType } from './mongodump/bson-elements.js';
import { type CollectionMeta, parseCollectionMetadata } from './mongodump/format.js';
import type { OnDocuments } from './scan.js';

/** A date at `path` that is older than so many seconds lets its document expire. */
interface ExpiryRule {
  readonly path: readonly string[];
  readonly afterSeconds: number;
}

/** Of a collection that deletes by age. `rules` is null where documents alone do not tell what expires. */
export interface Expiry {
  readonly rules: readonly ExpiryRule[] | null;
}

/** Null for a collection in which nothing expires. Buckets of time series and partial indexes have no rules: the server decides by more than one date. */
export function expiryOf(options: string | null, indexes: readonly string[]): Expiry | null {
  const afterOwn = secondsOf(fieldsOf(options ?? '{}')['expireAfterSeconds']);
  const definitions = indexes.map(fieldsOf);
  const ttl = definitions.filter(({ expireAfterSeconds }) => secondsOf(expireAfterSeconds) !== null);
  if (afterOwn === null && ttl.length === 0) return null;
  const isClustered = fieldsOf(options ?? '{}')['clusteredIndex'] !== undefined;
  if ((afterOwn !== null && !isClustered) || ttl.some(({ partialFilterExpression }) => partialFilterExpression !== undefined)) return { rules: null };
  return {
    rules: [
      ...(afterOwn === null ? [] : [{ path: ['_id'], afterSeconds: afterOwn }]),
      ...ttl.map(({ key, expireAfterSeconds }) => ({ path: (Object.keys((key ?? {}))[0] ?? '').split('.'), afterSeconds: secondsOf(expireAfterSeconds) ?? 0 })),
    ],
  };
}

/** Counts the documents of an archive that are past their time already, while it is read for something else. */
export class ExpiryCounter {
  private readonly expiries = new Map<CollectionMeta, Expiry | null>();
  private readonly counts = new Map<string, number | null>();

  constructor(private readonly nowMs: number) {}

  readonly take: OnDocuments = ({ meta }, documents) => {
    const expiry = this.expiryOf(meta);
    if (expiry === null || this.counts.get(meta.collection) === null) return;
    this.counts.set(meta.collection, expiry.rules === null ? null : this.add(meta.collection, documents, expiry.rules));
  };

  /** Once the archive was read; null where nobody can tell. */
  documentsOf(collection: string): number | null {
    const count = this.counts.get(collection);
    return count === undefined ? 0 : count;
  }

  private expiryOf(meta: CollectionMeta): Expiry | null {
    let expiry = this.expiries.get(meta);
    if (expiry === undefined) {
      const { options, indexes } = parseCollectionMetadata(meta.metadata);
      this.expiries.set(meta, (expiry = expiryOf(options, indexes)));
    }
    return expiry;
  }

  /** Null for documents that are no BSON: the restore will say so, this does not count them. */
  private add(collection: string, documents: Buffer, rules: readonly ExpiryRule[]): number | null {
    let count = this.counts.get(collection) ?? 0;
    try {
      for (let at = 0; at < documents.length; at += documents.readInt32LE(at)) {
        if (rules.some(({ path, afterSeconds }) => hasDateUpTo(documents, at, path, this.nowMs - afterSeconds * 1000))) count += 1;
      }
      return count;
    } catch (error) {
      if (error instanceof BsonMalformed) return null;
      throw error;
    }
  }
}

/** As an index sees it: through arrays on the way and at the end, any of whose dates lets the document expire. */
function hasDateUpTo(buffer: Buffer, offset: number, [name, ...rest]: readonly string[], limitMs: number): boolean {
  for (const element of bsonElements(buffer, offset)) if (element.name === name && valueIsUpTo(buffer, element, rest, limitMs)) return true;
  return false;
}

function valueIsUpTo(buffer: Buffer, { type, start }: { readonly type: number; readonly start: number }, rest: readonly string[], limitMs: number): boolean {
  if (type === bsonType.date) return rest.length === 0 && Number(buffer.readBigInt64LE(start)) <= limitMs;
  if (type === bsonType.document) return rest.length > 0 && hasDateUpTo(buffer, start, rest, limitMs);
  if (type !== bsonType.array) return false;
  if (rest.length > 0 && hasDateUpTo(buffer, start, rest, limitMs)) return true;
  for (const item of bsonElements(buffer, start)) if (item.type !== bsonType.array && valueIsUpTo(buffer, item, rest, limitMs)) return true;
  return false;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(text: string): Fields {
  return JSON.parse(text) as Fields;
}

/** A number as Extended JSON writes it, canonical or relaxed; null for anything else. */
function secondsOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  if (typeof value !== 'object' || value === null) return null;
  const { $numberInt, $numberLong, $numberDouble } = value as Readonly<Record<string, string | undefined>>;
  const text = $numberInt ?? $numberLong ?? $numberDouble;
  const seconds = Number(text);
  return text === undefined || Number.isNaN(seconds) ? null : seconds;
}
