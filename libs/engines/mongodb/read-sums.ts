import { DocumentSums } from '#archive';
import type { MongodbContext } from './connection.js';
import { toUuid } from './find-namespaces.js';
import { countDocuments } from './raw-bson.js';
import { RawCursor } from './raw-cursor.js';

// What one reply may take of the memory; told to the server as a number of documents of the size seen so far.
const batchBytes = 1024 * 1024;
const firstBatchDocuments = 100;

/** Reads a whole collection, by UUID and in natural order. Driver errors pass unchanged. */
export async function readSums(
  context: MongodbContext,
  { name, uuid }: { readonly name: string; readonly uuid: string },
  signal: AbortSignal,
  onBatch: (documents: number, bytes: number) => void = () => undefined,
): Promise<DocumentSums> {
  const sums = new DocumentSums();
  for await (const batch of rawBatches(context, { name, uuid }, signal)) {
    const before = sums.bytes;
    const documents = sums.addArray(batch);
    onBatch(documents, sums.bytes - before);
  }
  return sums;
}

/** The documents of a collection, batch by batch, each batch a BSON array. The next one is on its way while the consumer has one. */
export async function* rawBatches(
  context: MongodbContext,
  { name, uuid }: { readonly name: string; readonly uuid: string },
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const find = { find: name, collectionUUID: toUuid(uuid), hint: { $natural: 1 }, batchSize: firstBatchDocuments, readConcern: { level: 'majority' } };
  const cursor = await RawCursor.open(context, find, signal);
  let next = cursor.nextBatch();
  try {
    let bytes = 0;
    let documents = 0;
    for (let batch = await next; batch !== null; batch = await next) {
      bytes += batch.length;
      documents += countDocuments(batch);
      next = cursor.nextBatch(Math.max(1, Math.floor((batchBytes * documents) / bytes)));
      // It is awaited only when the consumer comes back; a failure until then is not an unhandled one.
      next.catch(() => undefined);
      yield batch;
    }
  } finally {
    await next.catch(() => undefined);
    await cursor.close();
  }
}
