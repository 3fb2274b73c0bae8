import { AppError } from '#errors';
import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';
import type { Codec } from './header.js';

/** Frames above this are refused: a reader holds whole frames in memory. */
export const maxFrameBytes = 64 * 1024 * 1024;
/** The prelude of thousands of collections is larger. */
export const maxPreludeBytes = 256 * 1024 * 1024;

const outputChunkBytes = 256 * 1024;
/**
 * What gzip takes at a time, half a millisecond's work: a kernel that does not preempt lets a thread go on until its next tick of 4 ms, and what the database wants to do on that
 * core meanwhile waits, its journal's writes above all. Between two slices the thread sleeps. zstd takes a whole frame in two milliseconds.
 */
const gzipSliceBytes = 32 * 1024;

/**
 * One independent gzip member or zstd frame, made on the thread pool. It comes in the pieces that zlib made, which are to be given back with `release`: joined into one, they
 * would be left to V8, which collects them with its old generation only.
 */
export async function compressFrame(codec: Codec, payload: Buffer, level: number | undefined): Promise<readonly Buffer[]> {
  if (codec === 'none') return [payload];
  const engine =
    codec === 'gzip'
      ? zlib.createGzip({ level: level ?? 6, chunkSize: outputChunkBytes })
      : zlib.createZstdCompress({ chunkSize: outputChunkBytes, pledgedSrcSize: payload.length, params: { [zlib.constants.ZSTD_c_compressionLevel]: level ?? 3 } });
  const sliceBytes = codec === 'gzip' ? gzipSliceBytes : payload.length;
  for (let at = 0; at < payload.length; at += sliceBytes) engine.write(payload.subarray(at, at + sliceBytes));
  engine.end();
  const pieces: Buffer[] = [];
  for await (const piece of engine as AsyncIterable<Buffer>) pieces.push(piece);
  return pieces;
}

interface InflatedInfo {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

/** Undoes compressFrame on the thread pool; `payloadBytes` is exact, and bounds what is allocated. Throws ARCHIVE_CORRUPT, ARCHIVE_TOO_LARGE. */
export async function decompressFrame(codec: Codec, compressed: Buffer, payloadBytes: number): Promise<Buffer> {
  if (codec === 'none') return compressed;
  const { buffer, engine } = await inflate(codec, compressed, payloadBytes);
  if (buffer.length !== payloadBytes || engine.bytesWritten !== compressed.length) throw new AppError('ARCHIVE_CORRUPT', 'A frame of the archive does not hold what the manifest says');
  return buffer;
}

function inflate(codec: 'gzip' | 'zstd', compressed: Buffer, payloadBytes: number): Promise<InflatedInfo> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: unknown): void => {
      if (error === null) resolve(result as InflatedInfo);
      else reject(zlibFailure(error) ?? error);
    };
    // One byte more than expected, so that the usual frame needs a single pass.
    const options = { info: true, maxOutputLength: payloadBytes, chunkSize: Math.min(Math.max(payloadBytes + 1, 1024), 4 * 1024 * 1024) };
    if (codec === 'gzip') zlib.gunzip(compressed, options, done);
    else zlib.zstdDecompress(compressed, options, done);
  });
}

/** The archive error that a failure of zlib stands for; null for other errors. */
function zlibFailure(error: unknown): AppError | null {
  if (typeof error !== 'object' || error === null || !('code' in error) || typeof error.code !== 'string') return null;
  if (error.code === 'ERR_BUFFER_TOO_LARGE') return new AppError('ARCHIVE_TOO_LARGE', 'A frame of the archive expands beyond what the manifest says', { cause: error });
  if (error.code === 'Z_BUF_ERROR' || error.code === 'ZSTD_error_srcSize_wrong') return new AppError('ARCHIVE_TRUNCATED', 'The compressed data end too early', { cause: error });
  if (/^(?:Z_|ZSTD_error)/.test(error.code)) return new AppError('ARCHIVE_CORRUPT', 'The compressed data are damaged', { cause: error });
  return null;
}

/**
 * Decompresses concatenated gzip members or zstd frames as they arrive. Bytes after them that are neither are refused. Throws
 * ARCHIVE_TRUNCATED, ARCHIVE_CORRUPT and what `input` throws.
 */
export async function* decompressStream(codec: Codec, input: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  if (codec === 'none') {
    yield* input;
    return;
  }
  const feed = new Feed(input);
  try {
    // zlib reads on over gzip members; of zstd, Node reads one frame and leaves the rest.
    do {
      const engine = codec === 'gzip' ? zlib.createGunzip({ chunkSize: 1 << 20 }) : zlib.createZstdDecompress({ chunkSize: 1 << 20 });
      // Errors reach the loop below: pipeline destroys the engine with them.
      pipeline(Readable.from(feed.chunks(() => engine.bytesWritten), { objectMode: false, highWaterMark: 1 << 18 }), engine, () => undefined);
      try {
        for await (const chunk of engine as AsyncIterable<Buffer>) yield chunk;
      } catch (error) {
        throw zlibFailure(error) ?? error;
      } finally {
        engine.destroy();
      }
      feed.consumed(engine.bytesWritten);
      if (codec === 'gzip' && feed.hasRest) throw new AppError('ARCHIVE_CORRUPT', 'Bytes that are not part of the archive follow its compressed data');
    } while (await feed.hasMore());
  } finally {
    await feed.close();
  }
}

/** Hands chunks to one engine after the other: what one engine left goes to the next. */
class Feed {
  private readonly iterator: AsyncIterator<Buffer>;
  /** Handed to the engine and not wholly taken by it, oldest first. */
  private given: Buffer[] = [];
  /** Bytes of this engine's chunks that are no longer in `given`. */
  private dropped = 0;
  private turn = 0;
  /** Not handed out yet. */
  private waiting: Buffer[] = [];
  private pending: Promise<Buffer | null> | null = null;
  private hasEnded = false;

  constructor(input: AsyncIterable<Buffer>) {
    this.iterator = input[Symbol.asyncIterator]();
  }

  get hasRest(): boolean {
    return this.waiting.length > 0;
  }

  async *chunks(taken: () => number): AsyncGenerator<Buffer, void, undefined> {
    const { turn } = this;
    for (;;) {
      if (this.waiting.length === 0 && !(await this.fetch())) return;
      // The engine may have ended during the wait: the chunk is the next one's.
      if (this.turn !== turn) return;
      const chunk = this.waiting.shift();
      if (chunk === undefined) continue;
      while (this.given.length > 0 && this.dropped + this.given[0]!.length <= taken()) this.dropped += this.given.shift()!.length;
      this.given.push(chunk);
      yield chunk;
    }
  }

  /** The engine took so many bytes; the others wait for the next one. */
  consumed(bytes: number): void {
    let left = bytes - this.dropped;
    const rest: Buffer[] = [];
    for (const chunk of this.given) {
      if (left < chunk.length) rest.push(chunk.subarray(left));
      left = Math.max(left - chunk.length, 0);
    }
    this.given = [];
    this.dropped = 0;
    this.turn += 1;
    this.waiting = [...rest, ...this.waiting];
  }

  async hasMore(): Promise<boolean> {
    return this.waiting.length > 0 || (await this.fetch());
  }

  async close(): Promise<void> {
    if (!this.hasEnded) await this.iterator.return?.();
    this.hasEnded = true;
  }

  /** An engine that ends early leaves a fetch under way; the next engine must get its chunk. */
  private async fetch(): Promise<boolean> {
    this.pending ??= this.next();
    const pending = this.pending;
    const chunk = await pending;
    if (this.pending === pending) {
      this.pending = null;
      if (chunk !== null) this.waiting.push(chunk);
    }
    return this.waiting.length > 0;
  }

  private async next(): Promise<Buffer | null> {
    while (!this.hasEnded) {
      const next = await this.iterator.next();
      if (next.done === true) this.hasEnded = true;
      else if (next.value.length > 0) return next.value;
    }
    return null;
  }
}
