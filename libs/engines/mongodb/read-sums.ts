import { DocumentSums } from '#archive';
import type { MongodbContext } from './connection.js';
import { toUuid } from './find-namespaces.js';
import { documentsOf } from './raw-bson.js';
import { RawCursor } from './raw-cursor.js';

// What one reply may take of the memory; told to the server as a number of documents of the size seen so far.
const batchBytes = 4 * 1024 * 1024;
const firstBatchDocuments = 100;

/** Reads a whole collection, by UUID and in natural order. Driver errors pass unchanged. */
export async function readSums(
  context: MongodbContext,
  { name, uuid }: { readonly name: string; readonly uuid: string },
  signal: AbortSignal,
  onBatch: (documents: number, bytes: number) => void = () => undefined,
): Promise<DocumentSums> {
  const sums = new DocumentSums();
  for await (const documents of rawBatches(context, { name, uuid }, signal)) {
    const before = { documents: sums.documents, bytes: sums.bytes };
    for (const document of documents) sums.add(document);
    onBatch(sums.documents - before.documents, sums.bytes - before.bytes);
  }
  return sums;
}

/** The documents of a collection, batch by batch, each a view of its reply. */
export async function* rawBatches(
  context: MongodbContext,
  { name, uuid }: { readonly name: string; readonly uuid: string },
  signal: AbortSignal,
): AsyncGenerator<Buffer[], void, undefined> {
  const find = { find: name, collectionUUID: toUuid(uuid), hint: { $natural: 1 }, batchSize: firstBatchDocuments, readConcern: { level: 'majority' } };
  const cursor = await RawCursor.open(context, find, signal);
  try {
    let bytes = 0;
    let documents = 0;
    for (let batch = await cursor.nextBatch(); batch !== null; batch = await cursor.nextBatch(Math.max(1, Math.floor((batchBytes * documents) / Math.max(1, bytes))))) {
      bytes += batch.length;
      const found = documentsOf(batch);
      documents += found.length;
      yield found;
    }
  } finally {
    await cursor.close();
  }
}
