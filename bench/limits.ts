import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type Db, MongoClient } from 'mongodb';
import { DocumentSums } from '#archive';
import type { JobResult, JobTarget, Rate } from './job.ts';
import { peakMemoryOf } from './process-figures.ts';

const sampleBytes = 16 * 1024 * 1024;
const frameBytes = 1024 * 1024;
const segmentBytes = 64 * 1024;
const connections = 4;
const insertedBytes = 128e6;
const batchBytes = 4 * 1024 * 1024;
const scratchName = 'bench_inserts';

/** The machine's and the server's own limits, with the run's own documents: no backup or restore is faster than the slowest that it needs. */
export async function measureLimits({ uri, database, folder }: JobTarget): Promise<JobResult> {
  const began = performance.now();
  const client = await MongoClient.connect(uri);
  const rates: Rate[] = [];
  const add = (name: string, bytes: number, ms: number): void => {
    rates.push({ name, megabytesPerSecond: bytes / 1e3 / ms });
  };
  try {
    const db = client.db(database);
    const names = (await db.listCollections({ type: 'collection' }, { nameOnly: true }).toArray()).map(({ name }) => name);
    const sample: Buffer[] = [];
    const read = await timed(() => readAll(db, names, sample));
    add('server: raw cursors, 2 at once', read.result, read.ms);

    const frames = framesOf(sample);
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    const each = (name: string, work: (frame: Buffer) => unknown): void => {
      add(name, bytes, processorMs(() => {
        for (const frame of frames) work(frame);
      }));
    };
    const zstd = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };
    each('one core: gzip -6', (frame) => gzipSync(frame, { level: 6 }));
    each('one core: zstd -3', (frame) => zstdCompressSync(frame, zstd));
    const gzipped = frames.map((frame) => gzipSync(frame, { level: 6 }));
    const zstandard = frames.map((frame) => zstdCompressSync(frame, zstd));
    let next = 0;
    each('one core: gunzip', () => gunzipSync(gzipped[next++] ?? Buffer.alloc(0), { chunkSize: 2 * frameBytes }));
    next = 0;
    each('one core: zstd decompression', () => zstdDecompressSync(zstandard[next++] ?? Buffer.alloc(0), { chunkSize: 2 * frameBytes }));
    each('one core: AES-256-GCM, 64 KiB segments', encrypt);
    each('one core: SHA-256', (frame) => createHash('sha256').update(frame).digest());
    const sums = new DocumentSums();
    const run = Buffer.concat(sample);
    add('one core: CRC-64 and sum of each document', run.length, processorMs(() => sums.addAll(run)));

    const file = join(folder, 'disk-probe');
    const written = await timed(() => writeDurably(file, frames));
    await rm(file);
    add('disk: write and fsync', bytes, written.ms);

    const inserted = await insertAll(client, db, names);
    add(`server: raw inserts, ${connections} connections, no indexes`, inserted.bytes, inserted.ms);
    return { ms: performance.now() - began, phases: [], cpuMs: 0, peakBytes: peakMemoryOf('self'), archiveBytes: 0, rates };
  } finally {
    await client.close();
  }
}

/** What other processes take of the machine does not count. */
function processorMs(work: () => void): number {
  const began = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1000;
}

async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const began = performance.now();
  const result = await work();
  return { result, ms: performance.now() - began };
}

/** Reads everything, reply by reply, and keeps a sample. */
async function readAll(db: Db, names: readonly string[], sample: Buffer[]): Promise<number> {
  let bytes = 0;
  let kept = 0;
  const pending = [...names];
  const lane = async (): Promise<void> => {
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      const keepUntil = kept + sampleBytes / names.length;
      const cursor = db.collection(name).find({}, { raw: true, batchSize: 8_000 });
      while (await cursor.hasNext()) {
        for (const document of cursor.readBufferedDocuments() as unknown as Buffer[]) {
          bytes += document.length;
          if (kept < keepUntil) {
            sample.push(Buffer.from(document));
            kept += document.length;
          }
        }
      }
    }
  };
  await Promise.all([lane(), lane()]);
  return bytes;
}

function framesOf(documents: readonly Buffer[]): Buffer[] {
  const all = Buffer.concat(documents);
  return Array.from({ length: Math.ceil(all.length / frameBytes) }, (_, index) => all.subarray(index * frameBytes, (index + 1) * frameBytes));
}

const key = randomBytes(32);

function encrypt(frame: Buffer): void {
  for (let at = 0; at < frame.length; at += segmentBytes) {
    const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12));
    cipher.update(frame.subarray(at, at + segmentBytes));
    cipher.final();
    cipher.getAuthTag();
  }
}

async function writeDurably(path: string, frames: readonly Buffer[]): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    for (const frame of frames) await file.write(frame);
    await file.sync();
  } finally {
    await file.close();
  }
}

type RawInsert = typeof import('../libs/engines/mongodb/raw-insert.ts');

/** Copies documents that are already in memory, as the stage does, into a collection without indexes; no two collections of the data set share an _id. */
async function insertAll(client: MongoClient, db: Db, names: readonly string[]): Promise<{ readonly bytes: number; readonly ms: number }> {
  const { RawWriter } = (await import(new URL('../dist/libs/engines/mongodb/raw-insert.js', import.meta.url).href)) as RawInsert;
  const batches = await batchesOf(db, names);
  await db.collection(scratchName).drop().catch(() => undefined);
  await db.createCollection(scratchName);
  const [found] = await db.listCollections({ name: scratchName }).toArray();
  const uuid = found !== undefined && 'info' in found ? found.info?.uuid : undefined;
  if (uuid === undefined) throw new Error('The scratch collection has no UUID');
  const pending = [...batches];
  const signal = new AbortController().signal;
  const lane = async (): Promise<void> => {
    const writer = new RawWriter(client, db);
    for (let batch = pending.shift(); batch !== undefined; batch = pending.shift()) {
      const reply = await writer.insert(scratchName, batch, { uuid, ordered: false, numbered: false, bypassDocumentValidation: true, bypassEmptyTsReplacement: false, maxTimeMS: 60_000, signal });
      if (reply['n'] !== batch.documents) throw new Error(`The server took ${String(reply['n'])} of ${batch.documents} documents`);
    }
    await writer.close();
  };
  try {
    const { ms } = await timed(() => Promise.all(Array.from({ length: connections }, lane)));
    return { bytes: batches.reduce((sum, batch) => sum + (batch.pieces[0]?.length ?? 0), 0), ms };
  } finally {
    await db.collection(scratchName).drop();
  }
}

async function batchesOf(db: Db, names: readonly string[]): Promise<{ readonly pieces: readonly Buffer[]; readonly documents: number }[]> {
  const batches: { pieces: Buffer[]; documents: number }[] = [];
  let left = insertedBytes;
  let documents: Buffer[] = [];
  let bytes = 0;
  const close = (): void => {
    if (documents.length > 0) batches.push({ pieces: [Buffer.concat(documents)], documents: documents.length });
    documents = [];
    bytes = 0;
  };
  for (const name of names) {
    const cursor = db.collection(name).find({}, { raw: true });
    while (left > 0 && (await cursor.hasNext())) {
      for (const document of cursor.readBufferedDocuments() as unknown as Buffer[]) {
        documents.push(document);
        bytes += document.length;
        left -= document.length;
        if (bytes >= batchBytes) close();
      }
    }
    await cursor.close();
    close();
    if (left <= 0) break;
  }
  return batches;
}
