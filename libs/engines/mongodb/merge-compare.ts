import type { ClientSession } from 'mongodb';
import { AppError } from '#errors';
import type { MergeConflict } from '../port.js';
import type { MongodbContext } from './connection.js';
import { toUuid } from './find-namespaces.js';
import { valueOf } from './ordered-bson.js';
import { documentsOf, findElement, type RawElement } from './raw-bson.js';
import { RawCursor } from './raw-cursor.js';

/** One collection on the server, known by its UUID. */
export interface Known {
  readonly name: string;
  readonly uuid: string;
}

export type Verdict = 'inserted' | 'equal' | 'kept' | 'replaced';

/** A staged document and what becomes of it; `live` is what the live collection holds under its `_id`. */
export interface Compared {
  readonly document: Buffer;
  readonly live: Buffer | null;
  readonly verdict: Verdict;
}

const batchBytes = 4 * 1024 * 1024;
const firstDocuments = 100;
/** The most documents of a batch, and so of a transaction. */
const batchDocuments = 1_000;

/** Staged documents by `_id`, from the one after `last`, in batches that fit a transaction. Driver errors pass unchanged. */
export async function* stagedBatches(context: MongodbContext, { name, uuid }: Known, last: RawElement | null, signal: AbortSignal): AsyncGenerator<Buffer[], void, undefined> {
  const find = {
    find: name,
    collectionUUID: toUuid(uuid),
    // Unlike a query's own $gt this one does not stop at the end of the last one's type.
    filter: last === null ? {} : { $expr: { $gt: ['$_id', { $literal: valueOf(last) }] } },
    sort: { _id: 1 },
    batchSize: firstDocuments,
    readConcern: { level: 'majority' },
  };
  const cursor = await RawCursor.open(context, find, signal);
  try {
    let bytes = 0;
    let documents = 0;
    const size = (): number => Math.min(batchDocuments, Math.max(1, Math.floor((batchBytes * documents) / Math.max(1, bytes))));
    for (let batch = await cursor.nextBatch(); batch !== null; batch = await cursor.nextBatch(size())) {
      const found = documentsOf(batch);
      bytes += batch.length;
      documents += found.length;
      if (found.length > 0) yield found;
    }
  } finally {
    await cursor.close();
  }
}

/** What MERGE makes of each document; read inside `transaction` if there is one. Driver errors pass unchanged. */
export async function compare(context: MongodbContext, live: Known, documents: readonly Buffer[], conflict: MergeConflict, signal: AbortSignal, transaction?: ClientSession): Promise<Compared[]> {
  const found = await findLive(context, live, documents, signal, transaction);
  return documents.map((document, index) => {
    const there = found[index] ?? null;
    const differs = conflict === 'TAKE_ARCHIVE' ? 'replaced' : 'kept';
    const verdict: Verdict = there === null ? 'inserted' : there.equals(document) ? 'equal' : differs;
    return { document, live: there, verdict };
  });
}

/**
 * The live document of each `_id`. Whether two ids are the same is the server's to say: numbers of different types may be, and texts under a
 * collation. Those whose bytes differ are asked for one by one.
 */
async function findLive(context: MongodbContext, live: Known, documents: readonly Buffer[], signal: AbortSignal, transaction?: ClientSession): Promise<(Buffer | null)[]> {
  const ids = documents.map(idOf);
  const byId = new Map<string, Buffer>();
  for (const document of await query(context, live, { _id: { $in: ids.map(valueOf) } }, ids.length, signal, transaction)) byId.set(keyOf(idOf(document)), document);
  const found = ids.map((id) => {
    const match = byId.get(keyOf(id)) ?? null;
    byId.delete(keyOf(id));
    return match;
  });
  if (byId.size === 0) return found;
  for (const [index, id] of ids.entries()) {
    found[index] ??= (await query(context, live, { _id: { $eq: valueOf(id) } }, 1, signal, transaction))[0] ?? null;
  }
  return found;
}

async function query(context: MongodbContext, { name, uuid }: Known, filter: object, expected: number, signal: AbortSignal, transaction?: ClientSession): Promise<Buffer[]> {
  // Inside a transaction only its first command may name a read concern.
  const level = transaction === undefined ? { readConcern: { level: 'majority' } } : {};
  const cursor = await RawCursor.open(context, { find: name, collectionUUID: toUuid(uuid), filter, batchSize: expected + 1, ...level }, signal, transaction);
  try {
    const found: Buffer[] = [];
    for (let batch = await cursor.nextBatch(); batch !== null; batch = await cursor.nextBatch()) found.push(...documentsOf(batch));
    return found;
  } finally {
    await cursor.close();
  }
}

export function idOf(document: Buffer): RawElement {
  const id = findElement(document, '_id');
  if (id === undefined) throw new AppError('INTERNAL', 'A document has no _id');
  return id;
}

export function keyOf({ type, value }: RawElement): string {
  return `${type} ${value.toString('latin1')}`;
}
