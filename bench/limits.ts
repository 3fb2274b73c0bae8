import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Db } from 'mongodb';
import { DocumentSums } from '#archive';
import type { JobResult, JobTarget, Rate } from './job.ts';
import { peakMemoryOf } from './process-figures.ts';

const sampleBytes = 16 * 1024 * 1024;
const frameBytes = 1024 * 1024;
const segmentBytes = 64 * 1024;
/** As a backup and a restore have at their defaults. */
const cursors = 2;
const documentsOfReply = 500;
const connections = 4;
const insertedBytes = 128e6;
const batchBytes = 4 * 1024 * 1024;
const scratchName = 'bench_inserts';

export const limits = {
  cursors: `server: raw cursors, ${cursors} at once`,
  gzip: 'one core: gzip -6',
  zstd: 'one core: zstd -3',
  gunzip: 'one core: gunzip',
  unzstd: 'one core: zstd decompression',
  cipher: 'one core: AES-256-GCM, 64 KiB segments',
  hash: 'one core: SHA-256',
  sums: 'one core: CRC-64 and sum of each document',
  disk: 'disk: write and fsync',
  inserts: `server: raw inserts, ${connections} connections, no indexes`,
} as const;

/** The machine's and the server's own limits, with the run's own documents: no backup or restore is faster than the slowest that it needs. */
export async function measureLimits({ uri, database, folder }: JobTarget): Promise<JobResult> {
  const began = performance.now();
  const { connect } = await engineModule<Connection>('connection');
  const context = await connect({ uri, database });
  const { db } = context;
  const rates: Rate[] = [];
  const add = (name: string, bytes: number, ms: number): void => {
    rates.push({ name, megabytesPerSecond: bytes / 1e3 / ms });
  };
  try {
    const names = (await db.listCollections({ type: 'collection' }, { nameOnly: true }).toArray()).map(({ name }) => name);
    const sample = await sampleOf(db, names);
    const read = await timed(() => readAll(context, names));
    add(limits.cursors, read.result, read.ms);

    const frames = framesOf(sample);
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    const each = (name: string, work: (frame: Buffer) => unknown): void => {
      add(name, bytes, processorMs(() => {
        for (const frame of frames) work(frame);
      }));
    };
    const zstd = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };
    each(limits.gzip, (frame) => gzipSync(frame, { level: 6 }));
    each(limits.zstd, (frame) => zstdCompressSync(frame, zstd));
    const gzipped = frames.map((frame) => gzipSync(frame, { level: 6 }));
    const zstandard = frames.map((frame) => zstdCompressSync(frame, zstd));
    let next = 0;
    each(limits.gunzip, () => gunzipSync(gzipped[next++] ?? Buffer.alloc(0), { chunkSize: 2 * frameBytes }));
    next = 0;
    each(limits.unzstd, () => zstdDecompressSync(zstandard[next++] ?? Buffer.alloc(0), { chunkSize: 2 * frameBytes }));
    each(limits.cipher, encrypt);
    each(limits.hash, (frame) => createHash('sha256').update(frame).digest());
    const sums = new DocumentSums();
    const run = Buffer.concat(sample);
    add(limits.sums, run.length, processorMs(() => sums.addAll(run)));

    const file = join(folder, 'disk-probe');
    const written = await timed(() => writeDurably(file, frames));
    await rm(file);
    add(limits.disk, bytes, written.ms);

    const inserted = await insertAll(context, names);
    add(limits.inserts, inserted.bytes, inserted.ms);
    return { ms: performance.now() - began, phases: [], cpuMs: 0, peakBytes: peakMemoryOf('self'), archiveBytes: 0, rates };
  } finally {
    await context.client.close();
  }
}

type Connection = typeof import('../libs/engines/mongodb/connection.ts');
type RawCursors = typeof import('../libs/engines/mongodb/raw-cursor.ts');
type RawInsert = typeof import('../libs/engines/mongodb/raw-insert.ts');
type MongodbContext = Awaited<ReturnType<Connection['connect']>>;

/** What the library keeps to itself, as it was built. */
async function engineModule<T>(name: string): Promise<T> {
  return (await import(new URL(`../dist/libs/engines/mongodb/${name}.js`, import.meta.url).href)) as T;
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

/** Some documents of each collection. */
async function sampleOf(db: Db, names: readonly string[]): Promise<Buffer[]> {
  const sample: Buffer[] = [];
  for (const name of names) {
    let left = sampleBytes / names.length;
    const cursor = db.collection(name).find({}, { raw: true });
    while (left > 0 && (await cursor.hasNext())) {
      for (const document of cursor.readBufferedDocuments() as unknown as Buffer[]) {
        sample.push(Buffer.from(document));
        left -= document.length;
      }
    }
    await cursor.close();
  }
  return sample;
}

/** Reads everything as DUMP does, reply by reply, and does nothing with it. */
async function readAll(context: MongodbContext, names: readonly string[]): Promise<number> {
  const { RawCursor } = await engineModule<RawCursors>('raw-cursor');
  let bytes = 0;
  const pending = [...names];
  const lane = async (): Promise<void> => {
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      const cursor = await RawCursor.open(context, { find: name, filter: {}, batchSize: 101 });
      for (let batch = await cursor.nextBatch(documentsOfReply); batch !== null; batch = await cursor.nextBatch(documentsOfReply)) bytes += batch.length;
      await cursor.close();
    }
  };
  await Promise.all(Array.from({ length: cursors }, lane));
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

/** Copies documents that are already in memory, as the stage does, into a collection without indexes; no two collections of the data set share an _id. */
async function insertAll({ client, db }: MongodbContext, names: readonly string[]): Promise<{ readonly bytes: number; readonly ms: number }> {
  const { RawWriter } = await engineModule<RawInsert>('raw-insert');
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
