import { AppError } from '#errors';
import { createHash, randomBytes, type CipherGCM } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Writable } from 'node:stream';
import { deriveArchiveKey, deriveKeyCheck } from '../keys.js';
import { release } from '../release.js';
import { encryptor, nonceType, tagBytes } from './cipher.js';
import { compressFrame, maxFrameBytes, maxPreludeBytes } from './codec.js';
import { defaultSegmentSize, encodeHeader, saltBytes, type ArchiveContext, type Codec, type PayloadType } from './header.js';
import { encodeManifest, type Frame, type ManifestInput } from './manifest.js';

export interface ArchiveWriterOptions {
  readonly keyId: string;
  /** Of deriveTenantKey, for the tenant that `context` names. */
  readonly tenantKey: Buffer;
  readonly context: ArchiveContext;
  readonly codec: Codec;
  readonly payloadType: PayloadType;
  /** Bytes of plaintext a segment; default 65,536. */
  readonly segmentSize?: number;
  /** Compression level; default 6 for gzip, 3 for zstd. */
  readonly level?: number;
  /** Frames compressed side by side, and held in memory at most; default 4, more with more than four cores. */
  readonly parallelism?: number;
  /** Fixed bytes for test vectors. A salt must never serve two archives. */
  readonly salt?: Buffer;
}

export interface ArchiveSummary {
  readonly sizeBytes: number;
  /** Hex SHA-256 of the whole file. */
  readonly sha256: string;
  /** 64 hex digits; tells this file from every other. */
  readonly salt: string;
  readonly headerSha256: string;
  readonly segments: number;
  readonly compressedBytes: number;
  readonly payloadBytes: number;
  readonly payloadSha256: string;
}

const batchBytes = 1 << 20;

/**
 * Writes one DBK1 archive. Frames are compressed side by side on the thread pool and stored in the order of the calls; memory is
 * bounded by `parallelism` frames. The destination gives backpressure and is neither ended nor destroyed: its owner
 * commits or aborts. After a failure every call rejects with its cause.
 */
export class ArchiveWriter {
  private readonly segmentSize: number;
  private readonly recordBytes: number;
  private readonly archiveKey: Buffer;
  private readonly saltHex: string;
  private readonly headerSha256: string;
  private readonly slots: Slots;

  private readonly fileHash = createHash('sha256');
  private readonly payloadHash = createHash('sha256');
  private readonly frames: Frame[] = [];
  private sizeBytes = 0;
  private payloadBytes = 0;
  private compressedBytes = 0;
  private segments = 0;

  private cipher: CipherGCM | null = null;
  private segmentFill = 0;
  private batch: Buffer;
  private batchFill = 0;

  private failure: { readonly error: unknown } | null = null;
  private isFinished = false;
  private tail: Promise<void>;
  private lastWrite: Promise<void> = Promise.resolve();
  private rejectWrite: (error: unknown) => void = () => undefined;
  private readonly onError = (error: unknown): void => this.fail(error);

  constructor(
    private readonly destination: Writable,
    private readonly options: ArchiveWriterOptions,
  ) {
    this.segmentSize = options.segmentSize ?? defaultSegmentSize;
    this.recordBytes = this.segmentSize + 4 + tagBytes;
    const salt = options.salt ?? randomBytes(saltBytes);
    const header = encodeHeader({ ...options, segmentSize: this.segmentSize, salt, keyCheck: deriveKeyCheck(options.tenantKey, salt) });
    const headerSha256 = createHash('sha256').update(header).digest();
    this.archiveKey = deriveArchiveKey(options.tenantKey, salt, headerSha256);
    this.headerSha256 = headerSha256.toString('hex');
    this.saltHex = salt.toString('hex');
    this.slots = new Slots(options.parallelism ?? Math.min(Math.max(availableParallelism(), 4), 16));
    this.batch = this.newBatch();
    destination.on('error', this.onError);
    this.tail = this.write(header);
    this.tail.catch(this.onError);
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
    const compressed = this.slots.acquire().then(() => compressFrame(this.options.codec, payload, this.options.level));
    compressed.catch(this.onError);
    const stored = this.store(before, compressed, place);
    stored.catch(this.onError);
    this.tail = stored;
    await (this.options.codec === 'none' ? stored : compressed);
    this.requireHealthy();
  }

  /** Writes the rest, the manifest and the footer; resolves when the destination has taken every byte. */
  async finish(manifest: ManifestInput): Promise<ArchiveSummary> {
    this.requireOpen();
    this.isFinished = true;
    await this.tail;
    this.requireHealthy();
    if (this.frames.some(([, , namespaceIndex]) => namespaceIndex >= manifest.namespaces.length)) {
      throw new RangeError('A frame belongs to a namespace that the manifest does not list');
    }
    if (this.cipher !== null) await this.closeSegment();
    await this.flush();

    const payload = { segments: this.segments, compressedBytes: this.compressedBytes, bytes: this.payloadBytes, sha256: this.payloadHash.digest('hex') };
    const { producer, tenant, backup, engine, consistency, namespaces } = manifest;
    const plain = await encodeManifest({ formatVersion: 1, producer, tenant, backup, engine, consistency, payload, namespaces, frames: this.frames });
    const cipher = encryptor(this.archiveKey, nonceType.trailer, this.segments);
    const sealed = [cipher.update(plain), cipher.final(), cipher.getAuthTag()];
    const length = Buffer.alloc(4);
    length.writeUInt32BE((0x80000000 | (plain.length + tagBytes)) >>> 0);
    const footer = Buffer.from('........DBKE');
    footer.writeBigUInt64BE(BigInt(this.sizeBytes));
    await this.write(Buffer.concat([length, ...sealed, footer]));
    await this.lastWrite;
    this.requireHealthy();
    this.destination.off('error', this.onError);
    return {
      sizeBytes: this.sizeBytes,
      sha256: this.fileHash.digest('hex'),
      salt: this.saltHex,
      headerSha256: this.headerSha256,
      segments: payload.segments,
      compressedBytes: payload.compressedBytes,
      payloadBytes: payload.bytes,
      payloadSha256: payload.sha256,
    };
  }

  /** Stops: calls under way and later ones reject with `error`. What was written is no archive. */
  abort(error: unknown): void {
    this.fail(error);
  }

  private requireFrame(namespaceIndex: number, payload: Buffer): void {
    this.requireOpen();
    if (payload.length === 0) throw new RangeError('A frame holds at least one byte');
    if (payload.length > (namespaceIndex === -1 ? maxPreludeBytes : maxFrameBytes)) throw new AppError('ARCHIVE_TOO_LARGE', 'A frame is larger than a reader takes');
    if (!Number.isInteger(namespaceIndex) || namespaceIndex < -1) throw new RangeError(`No namespace has the index ${namespaceIndex}`);
    if (this.frames.length === 0 ? namespaceIndex !== -1 : namespaceIndex === -1 && this.options.payloadType === 'mongodump') {
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

  private async store(before: Promise<void>, compressed: Promise<Buffer>, place: number): Promise<void> {
    await before;
    const bytes = await compressed;
    this.requireHealthy();
    const [, payloadOffset, namespaceIndex] = this.frames[place]!;
    this.frames[place] = [this.compressedBytes, payloadOffset, namespaceIndex];
    this.compressedBytes += bytes.length;
    await this.append(bytes);
    if (this.options.codec !== 'none') release(bytes);
    this.slots.release();
  }

  /** Encrypts `bytes` into segments; only the last segment of the archive is shorter than segmentSize. */
  private async append(bytes: Buffer): Promise<void> {
    let position = 0;
    while (position < bytes.length) {
      this.cipher ??= encryptor(this.archiveKey, nonceType.segment, this.segments);
      const end = Math.min(position + this.segmentSize - this.segmentFill, bytes.length);
      this.cipher.update(bytes.subarray(position, end)).copy(this.batch, this.batchFill + 4 + this.segmentFill);
      this.segmentFill += end - position;
      position = end;
      if (this.segmentFill === this.segmentSize) await this.closeSegment();
    }
  }

  private async closeSegment(): Promise<void> {
    const cipher = this.cipher!;
    cipher.final();
    const length = this.segmentFill + tagBytes;
    this.batch.writeUInt32BE(length, this.batchFill);
    cipher.getAuthTag().copy(this.batch, this.batchFill + 4 + this.segmentFill);
    this.batchFill += 4 + length;
    this.cipher = null;
    this.segmentFill = 0;
    this.segments += 1;
    if (this.batchFill + this.recordBytes > this.batch.length) await this.flush();
  }

  /** Never reused: a destination that passes chunks on may keep them after its callback. */
  private newBatch(): Buffer {
    return Buffer.allocUnsafeSlow(Math.max(1, Math.floor(batchBytes / this.recordBytes)) * this.recordBytes);
  }

  private async flush(): Promise<void> {
    if (this.batchFill === 0) return;
    const bytes = this.batch.subarray(0, this.batchFill);
    this.batch = this.newBatch();
    this.batchFill = 0;
    await this.write(bytes);
  }

  /** One write is under way while the next batch is encrypted. */
  private async write(bytes: Buffer): Promise<void> {
    this.fileHash.update(bytes);
    this.sizeBytes += bytes.length;
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
}

/** A fair semaphore whose waiters can be turned away. */
class Slots {
  private readonly waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  private closed: { readonly error: unknown } | null = null;

  constructor(private free: number) {
    if (!Number.isInteger(free) || free < 1) throw new RangeError('parallelism must be at least 1');
  }

  async acquire(): Promise<void> {
    if (this.closed !== null) throw this.closed.error;
    if (this.free > 0) {
      this.free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  release(): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free += 1;
    else next.resolve();
  }

  close(error: unknown): void {
    this.closed ??= { error };
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }
}
