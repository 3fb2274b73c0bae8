import { bsonToExtendedJson, DocumentSums, encodeNamespaceEnd, encodeNamespaceHeader, encodePrelude, formatCollectionMetadata, terminator } from '#archive';
import { AppError } from '#errors';
import { Binary } from 'mongodb';
import type { CounterReset, PayloadSource, Work } from '../port.js';
import { listHeads, type LiveNamespace, withIndexes } from './catalogue.js';
import type { MongodbContext } from './connection.js';
import { throwTargetError } from './errors.js';
import { bucketsPrefix } from './names.js';
import { bsonType, documentsOf, findElement } from './raw-bson.js';
import { RawCursor } from './raw-cursor.js';

/** Counters are few and small; what is larger is no collection of counters. */
const mostCounterBytes = 8 * 1024 * 1024;
const batchDocuments = 1_000;

interface Hollowed extends LiveNamespace {
  readonly documents: readonly Buffer[];
  readonly sums: DocumentSums;
}

/** What an archive of the named live namespaces would hold if they had no documents, or counters that start anew. */
export async function hollow(context: MongodbContext, names: readonly string[], counters: readonly CounterReset[], work: Work): Promise<PayloadSource> {
  const resets = new Map(counters.map((reset) => [reset.name, reset]));
  const wanted = new Set([...names, ...resets.keys()]);
  const heads = (await listHeads(context, work.signal)).filter(({ name }) => wanted.has(name));
  for (const { name, kind } of heads) {
    wanted.delete(name);
    if (kind === 'view') throw new AppError('LIVE_CHANGED', `"${name}" is a view now and has no documents of its own`);
  }
  for (const name of wanted) throw new AppError('LIVE_CHANGED', `Collection "${name}" was dropped`);
  const hollowed: Hollowed[] = [];
  for (const namespace of await withIndexes(context, heads, work.signal)) {
    const reset = resets.get(namespace.name);
    const documents = reset === undefined ? [] : await readCounters(context, namespace, reset, work.signal);
    const sums = new DocumentSums();
    for (const document of documents) sums.add(document);
    // One that is being built has nothing to fail on here, and may be there before the users are out.
    hollowed.push({ ...namespace, indexes: [...namespace.indexes, ...namespace.building], documents, sums });
  }
  return {
    namespaces: hollowed.map(({ name, kind, indexes, sums }) => ({ name, kind, documents: sums.documents, bytes: sums.bytes, crc64: sums.crc64, sum: sums.sum, indexes: indexes.length })),
    payload: () => payloadOf(context, hollowed),
  };
}

async function* payloadOf(context: MongodbContext, hollowed: readonly Hollowed[]): AsyncGenerator<Buffer> {
  const db = context.db.databaseName;
  yield encodePrelude(
    { concurrentCollections: 1, version: '0.1', serverVersion: context.server.version, toolVersion: 'holdfast' },
    hollowed.map(({ name, kind, options, indexes }) => ({
      db,
      collection: name,
      kind,
      metadata: formatCollectionMetadata({ collection: name, kind, options: bsonToExtendedJson(options), indexes: indexes.map(bsonToExtendedJson), uuid: null }),
    })),
  );
  for (const { name, kind, documents, sums } of hollowed) {
    const collection = kind === 'timeseries' ? bucketsPrefix + name : name;
    yield Buffer.concat([encodeNamespaceHeader(db, collection), ...documents, terminator, encodeNamespaceEnd(db, collection, sums.crc)]);
  }
}

/** Every document of the collection, byte for byte but for the counter. */
async function readCounters(context: MongodbContext, { name, kind, uuid }: LiveNamespace, reset: CounterReset, signal: AbortSignal): Promise<Buffer[]> {
  if (kind !== 'collection' || uuid === null) throw new AppError('LIVE_CHANGED', `"${name}" is no plain collection of counters`);
  const counters: Buffer[] = [];
  let bytes = 0;
  try {
    const readConcern = { level: context.server.topology === 'standalone' ? 'local' : 'majority' };
    const cursor = await RawCursor.open(context, { find: name, filter: {}, batchSize: batchDocuments, collectionUUID: new Binary(Buffer.from(uuid, 'hex'), Binary.SUBTYPE_UUID), readConcern }, signal);
    try {
      for (let batch = await cursor.nextBatch(batchDocuments); batch !== null; batch = await cursor.nextBatch(batchDocuments)) {
        bytes += batch.length;
        if (bytes > mostCounterBytes) throw new AppError('COUNTERS_TOO_LARGE', `Collection "${name}" holds more than counters do`);
        counters.push(...documentsOf(batch).map((document) => withCounter(document, reset)));
      }
    } finally {
      await cursor.close();
    }
  } catch (error) {
    throwTargetError(error, `reading the counters of "${name}"`, signal);
  }
  return counters;
}

/** A copy with the counter in the numeric type that it had; a document whose field is no number stays as it is. */
function withCounter(document: Buffer, { field, value }: CounterReset): Buffer {
  const copy = Buffer.from(document);
  const found = findElement(copy, field);
  if (found?.type === bsonType.int32) found.value.writeInt32LE(value);
  else if (found?.type === bsonType.int64) found.value.writeBigInt64LE(BigInt(value));
  else if (found?.type === bsonType.double) found.value.writeDoubleLE(value);
  return copy;
}
