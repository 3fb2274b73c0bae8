import { AppError } from '#errors';
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Writable } from 'node:stream';
import { release } from '../release.js';
import { Semaphore } from '../semaphore.js';
import { compressFrame, maxFrameBytes, maxPreludeBytes } from './codec.js';
import type { Codec, PayloadType } from './header.js';
import type { ArchiveManifest, Frame, ManifestInput } from './manifest.js';

export interface FrameWriterOptions {
  readonly codec: Codec;
  readonly payloadType: PayloadType;
  /** Compression level; default 6 for gzip, 3 for zstd. */
  readonly level?: number;
  /** Frames compressed side by side, and held in memory at most; default 4, more with more than four cores. */
  readonly parallelism?: number;
}

/** Bytes of a file that are given to its destination at once. */
export const batchBytes = 1 << 20;

/**
 * What all writers of archives share. Frames are compressed side by side on the thread pool and stored in the order of the calls; memory is
 * bounded by `parallelism` frames. The destination gives backpressure, is done with the bytes of a write when it calls back, and is neither ended nor destroyed: its owner
 * commits or aborts. After a failure every call rejects with its cause.
 */
export abstract class FrameWriter {
  private readonly slots: Semaphore;
  private readonly fileHash = createHash('sha256');
  private readonly payloadHash = createHash('sha256');
  private readonly frames: Frame[] = [];
  private payloadBytes = 0;
  private compressedBytes = 0;
  private fileBytes = 0;

  private failure: { readonly error: unknown } | null = null;
  private isFinished = false;
  private tail: Promise<void> = Promise.resolve();
  private lastWrite: Promise<void> = Promise.resolve();
  private rejectWrite: (error: unknown) => void = () => undefined;
  private readonly onError = (error: unknown): void => this.fail(error);

  /** What `append` puts together, up to `batchFill`. */
  protected batch: Buffer;
  protected batchFill = 0;
  /** The batch that is being written, or was. */
  private written: Buffer;

  constructor(
    private readonly destination: Writable,
    private readonly framing: FrameWriterOptions,
    size = batchBytes,
  ) {
    this.batch = Buffer.allocUnsafeSlow(size);
    this.written = Buffer.allocUnsafeSlow(size);
    this.slots = new Semaphore(framing.parallelism ?? Math.min(Math.max(availableParallelism(), 4), 16));
    destination.on('error', this.onError);
  }

  /** Takes the next bytes of the compressed stream, in order; they are the caller's again when it has resolved. */
  protected abstract append(bytes: Buffer): Promise<void>;

  /** Of the file so far. */
  protected get sizeBytes(): number {
    return this.fileBytes;
  }

  /**
   * Adds a frame: whole blocks of namespace `namespaceIndex` of the manifest, or the prelude (-1, first call only). Resolves when `payload`
   * may be reused; keep several calls in flight. Rejects with the error of the destination or of `abort`.
   */
  async writeFrame(namespaceIndex: number, payload: Buffer): Promise<void> {
    // Up to the first await all is done within the call, so frames keep the order of the calls.
    this.requireFrame(namespaceIndex, payload);
    const payloadOffset = this.payloadBytes;
    this.frames.push([-1, payloadOffset, namespaceIndex]);
    const place = this.frames.length - 1;
    this.payloadHash.update(payload);
    this.payloadBytes += payload.length;

    const before = this.tail;
    const compressed = this.slots.acquire().then(() => compressFrame(this.framing.codec, payload, this.framing.level));
    compressed.catch(this.onError);
    const stored = this.store(before, compressed, place);
    stored.catch(this.onError);
    this.tail = stored;
    await (this.framing.codec === 'none' ? stored : compressed);
    this.requireHealthy();
  }

  /** Stops: calls under way and later ones reject with `error`. What was written is no archive. */
  abort(error: unknown): void {
    this.fail(error);
  }

  /** Writes what stands before the first frame. */
  protected begin(bytes: Buffer): void {
    this.tail = this.write(bytes);
    this.tail.catch(this.onError);
  }

  /** Waits for every frame; what the manifest says of them. `segments` is asked once all is written. */
  protected async endFrames(manifest: ManifestInput, segments: () => number): Promise<ArchiveManifest> {
    this.requireOpen();
    this.isFinished = true;
    await this.tail;
    this.requireHealthy();
    if (this.frames.some(([, , namespaceIndex]) => namespaceIndex >= manifest.namespaces.length)) {
      throw new RangeError('A frame belongs to a namespace that the manifest does not list');
    }
    await this.flush();
    const payload = { segments: segments(), compressedBytes: this.compressedBytes, bytes: this.payloadBytes, sha256: this.payloadHash.digest('hex') };
    const { producer, tenant, backup, engine, consistency, namespaces } = manifest;
    return { formatVersion: 1, producer, tenant, backup, engine, consistency, payload, namespaces, frames: this.frames };
  }

  /** Waits until the destination has taken every byte, and gives the memory back. */
  protected async end(): Promise<{ readonly sizeBytes: number; readonly sha256: string }> {
    await this.lastWrite;
    this.requireHealthy();
    for (const batch of [this.batch, this.written]) release(batch);
    this.destination.off('error', this.onError);
    return { sizeBytes: this.fileBytes, sha256: this.fileHash.digest('hex') };
  }

  /** Writes what `append` has put together. */
  protected async flush(): Promise<void> {
    if (this.batchFill === 0) return;
    await this.write(this.batch.subarray(0, this.batchFill));
    [this.batch, this.written] = [this.written, this.batch];
    this.batchFill = 0;
  }

  /** Begins a write when the one before it is done: that one's bytes may be used again when it resolves, these not before the next write has resolved. */
  protected async write(bytes: Buffer): Promise<void> {
    this.fileHash.update(bytes);
    this.fileBytes += bytes.length;
    await this.lastWrite;
    this.requireHealthy();
    this.lastWrite = new Promise((resolve, reject) => {
      this.rejectWrite = reject;
      this.destination.write(bytes, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
    this.lastWrite.catch(this.onError);
  }

  private requireFrame(namespaceIndex: number, payload: Buffer): void {
    this.requireOpen();
    if (payload.length === 0) throw new RangeError('A frame holds at least one byte');
    if (payload.length > (namespaceIndex === -1 ? maxPreludeBytes : maxFrameBytes)) throw new AppError('ARCHIVE_TOO_LARGE', 'A frame is larger than a reader takes');
    if (!Number.isInteger(namespaceIndex) || namespaceIndex < -1) throw new RangeError(`No namespace has the index ${namespaceIndex}`);
    if (this.frames.length === 0 ? namespaceIndex !== -1 : namespaceIndex === -1 && this.framing.payloadType === 'mongodump') {
      throw new RangeError('The prelude is the first frame and the only one of index -1');
    }
  }

  private requireOpen(): void {
    this.requireHealthy();
    if (this.isFinished) throw new Error('The archive is finished');
  }

  private requireHealthy(): void {
    if (this.failure !== null) throw this.failure.error;
  }

  private fail(error: unknown): void {
    if (this.failure !== null) return;
    this.failure = { error };
    this.slots.close(error);
    // A destination that hangs never calls back.
    this.rejectWrite(error);
  }

  private async store(before: Promise<void>, compressed: Promise<readonly Buffer[]>, place: number): Promise<void> {
    await before;
    const pieces = await compressed;
    this.requireHealthy();
    const [, payloadOffset, namespaceIndex] = this.frames[place]!;
    this.frames[place] = [this.compressedBytes, payloadOffset, namespaceIndex];
    for (const piece of pieces) {
      this.compressedBytes += piece.length;
      await this.append(piece);
    }
    if (this.framing.codec !== 'none') pieces.forEach(release);
    this.slots.release();
  }
}
