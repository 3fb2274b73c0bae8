import { AppError } from '#errors';
import { hash } from 'node:crypto';
import { bsonElements } from '../mongodump/bson-elements.js';
import { bsonToExtendedJson } from '../mongodump/bson-to-extended-json.js';
import { parseMongodump } from '../mongodump/parser.js';
import { digestBytes, SpillFile } from './spill-file.js';

export interface CompareSide {
  /** A payload that holds the one collection, or nothing where an archive does not know it. */
  readonly payload: AsyncIterable<Buffer>;
  /** As its trailer counts them. */
  readonly documents: number;
}

export interface CompareDocumentsOptions {
  /** Where temporary files may be made: 17 bytes and the `_id` for each document of either side. */
  readonly folder: string;
  /** Ids told of each kind of difference. */
  readonly mostExamples: number;
  readonly signal: AbortSignal;
  /** Documents of both sides that were read so far. */
  readonly onProgress?: (documents: number) => void;
  /** Documents that are compared in memory at once; default 200,000. */
  readonly partitionDocuments?: number;
}

/** What is different, seen from the first side: `added` is in the second alone, `removed` in the first alone. */
export interface DocumentDifferences {
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  readonly same: number;
  /** `_id`s in Extended JSON; not the first ones in any order that means something. */
  readonly addedIds: readonly string[];
  readonly removedIds: readonly string[];
  readonly changedIds: readonly string[];
}

const mostPartitions = 1024;
const longestId = 200;
// The first byte of a key says what follows.
const wholeId = 0;
const hashedId = 1;
const noId = 2;

/**
 * Compares the documents of one collection in two archives, matched by the bytes of their `_id`. Neither side is in the order of its ids, and
 * either may be larger than memory: ids and digests go to temporary files, and are compared partition by partition.
 * Throws what parsing the payloads throws, and STORAGE_FULL.
 */
export async function compareDocuments(first: CompareSide, second: CompareSide, options: CompareDocumentsOptions): Promise<DocumentDifferences> {
  const partitions = partitionsFor(Math.max(first.documents, second.documents), options.partitionDocuments);
  let done = 0;
  const count = (): void => {
    done += 1;
    if (done % 1_000 === 0) options.onProgress?.(done);
    if (done % 1_000 === 0) options.signal.throwIfAborted();
  };
  const left = await spill(first, partitions, options, count);
  try {
    const right = await spill(second, partitions, options, count);
    try {
      options.onProgress?.(done);
      return await merge(left, right, options);
    } finally {
      await right.close();
    }
  } finally {
    await left.close();
  }
}

function partitionsFor(documents: number, each = 200_000): number {
  return Math.min(Math.max(Math.ceil(documents / each), 1), mostPartitions);
}

async function spill({ payload }: CompareSide, partitions: number, { folder, signal }: CompareDocumentsOptions, count: () => void): Promise<SpillFile> {
  const file = await SpillFile.create(folder, partitions);
  try {
    for await (const event of parseMongodump(payload)) {
      signal.throwIfAborted();
      if (event.type !== 'documents') continue;
      const { documents } = event;
      for (let at = 0; at < documents.length; ) {
        const document = documents.subarray(at, at + documents.readInt32LE(at));
        await file.add(keyOf(document), digestOf(document));
        at += document.length;
        count();
      }
    }
    await file.seal();
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function merge(left: SpillFile, right: SpillFile, { mostExamples, signal }: CompareDocumentsOptions): Promise<DocumentDifferences> {
  const found = { added: [] as string[], removed: [] as string[], changed: [] as string[] };
  const counts = { added: 0, removed: 0, changed: 0, same: 0 };
  const note = (kind: keyof typeof found, key: string): void => {
    counts[kind] += 1;
    if (found[kind].length < mostExamples) found[kind].push(idOf(Buffer.from(key, 'latin1')));
  };
  for (let partition = 0; partition < left.partitions; partition += 1) {
    signal.throwIfAborted();
    const waiting = new Map<string, string>();
    for await (const { key, digest } of left.read(partition)) waiting.set(key.toString('latin1'), digest.toString('latin1'));
    for await (const { key, digest } of right.read(partition)) {
      const text = key.toString('latin1');
      const known = waiting.get(text);
      if (known === undefined) note('added', text);
      else if (known === digest.toString('latin1')) counts.same += 1;
      else note('changed', text);
      waiting.delete(text);
    }
    for (const key of waiting.keys()) note('removed', key);
  }
  return { ...counts, addedIds: found.added, removedIds: found.removed, changedIds: found.changed };
}

/** Two documents have one key if and only if their `_id`s are the same bytes, type included. */
function keyOf(document: Buffer): Buffer {
  const id = rawId(document);
  if (id === null) return Buffer.concat([Buffer.of(noId), digestOf(document)]);
  return id.length <= longestId ? Buffer.concat([Buffer.of(wholeId), id]) : Buffer.concat([Buffer.of(hashedId), digestOf(id)]);
}

/** Type and value of `_id`; null for a document without one (an old capped collection). */
function rawId(document: Buffer): Buffer | null {
  try {
    for (const { name, type, start, end } of bsonElements(document)) {
      if (name === '_id') return Buffer.concat([Buffer.of(type), document.subarray(start, end)]);
    }
    return null;
  } catch (error) {
    throw new AppError('ARCHIVE_CORRUPT', 'A document of the archive is no BSON', { cause: error });
  }
}

function digestOf(bytes: Buffer): Buffer {
  return hash('sha256', bytes, 'buffer').subarray(0, digestBytes);
}

function idOf(key: Buffer): string {
  const rest = key.subarray(1);
  if (key[0] !== wholeId) return key[0] === hashedId ? '(an _id of more than 200 bytes)' : '(a document without _id)';
  const element = Buffer.concat([rest.subarray(0, 1), Buffer.from('_id\0'), rest.subarray(1)]);
  const document = Buffer.alloc(element.length + 5);
  document.writeInt32LE(document.length);
  element.copy(document, 4);
  return bsonToExtendedJson(document).slice('{"_id":'.length, -1);
}
