import { createHash, randomBytes, type CipherGCM } from 'node:crypto';
import type { Writable } from 'node:stream';
import { deriveArchiveKey, deriveKeyCheck } from '../keys.js';
import { release } from '../release.js';
import { encryptor, nonceType, tagBytes } from './cipher.js';
import { batchBytes, FrameWriter, type FrameWriterOptions } from './frame-writer.js';
import { defaultSegmentSize, encodeHeader, saltBytes, type ArchiveContext } from './header.js';
import { encodeManifest, type ManifestInput } from './manifest.js';

export interface ArchiveWriterOptions extends FrameWriterOptions {
  readonly keyId: string;
  /** Of deriveTenantKey, for the tenant that `context` names. */
  readonly tenantKey: Buffer;
  readonly context: ArchiveContext;
  /** Bytes of plaintext a segment; default 65,536. */
  readonly segmentSize?: number;
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

/** Writes one DBK1 archive. */
export class ArchiveWriter extends FrameWriter {
  private readonly segmentSize: number;
  private readonly recordBytes: number;
  private readonly archiveKey: Buffer;
  private readonly saltHex: string;
  private readonly headerSha256: string;
  private segments = 0;

  private cipher: CipherGCM | null = null;
  private segmentFill = 0;

  constructor(destination: Writable, options: ArchiveWriterOptions) {
    const { segmentSize = defaultSegmentSize } = options;
    const recordBytes = segmentSize + 4 + tagBytes;
    super(destination, options, Math.max(1, Math.floor(batchBytes / recordBytes)) * recordBytes);
    this.segmentSize = segmentSize;
    this.recordBytes = recordBytes;
    const salt = options.salt ?? randomBytes(saltBytes);
    const header = encodeHeader({ ...options, segmentSize: this.segmentSize, salt, keyCheck: deriveKeyCheck(options.tenantKey, salt) });
    const headerSha256 = createHash('sha256').update(header).digest();
    this.archiveKey = deriveArchiveKey(options.tenantKey, salt, headerSha256);
    this.headerSha256 = headerSha256.toString('hex');
    this.saltHex = salt.toString('hex');
    this.begin(header);
  }

  /** Writes the rest, the manifest and the footer; resolves when the destination has taken every byte. */
  async finish(input: ManifestInput): Promise<ArchiveSummary> {
    const manifest = await this.endFrames(input, () => this.segments);
    const { payload } = manifest;
    const plain = await encodeManifest(manifest);
    const cipher = encryptor(this.archiveKey, nonceType.trailer, this.segments);
    const sealed = [cipher.update(plain), cipher.final(), cipher.getAuthTag()];
    const length = Buffer.alloc(4);
    length.writeUInt32BE((0x80000000 | (plain.length + tagBytes)) >>> 0);
    const footer = Buffer.from('........DBKE');
    footer.writeBigUInt64BE(BigInt(this.sizeBytes));
    await this.write(Buffer.concat([length, ...sealed, footer]));
    const ended = await this.end();
    return {
      ...ended,
      salt: this.saltHex,
      headerSha256: this.headerSha256,
      segments: payload.segments,
      compressedBytes: payload.compressedBytes,
      payloadBytes: payload.bytes,
      payloadSha256: payload.sha256,
    };
  }

  /** Encrypts `bytes` into segments; only the last segment of the archive is shorter than segmentSize. */
  protected override async append(bytes: Buffer): Promise<void> {
    let position = 0;
    while (position < bytes.length) {
      this.cipher ??= encryptor(this.archiveKey, nonceType.segment, this.segments);
      const end = Math.min(position + this.segmentSize - this.segmentFill, bytes.length);
      const encrypted = this.cipher.update(bytes.subarray(position, end));
      encrypted.copy(this.batch, this.batchFill + 4 + this.segmentFill);
      release(encrypted);
      this.segmentFill += end - position;
      position = end;
      if (this.segmentFill === this.segmentSize) await this.closeSegment();
    }
  }

  /** The last segment, too. */
  protected override async flush(): Promise<void> {
    if (this.cipher !== null) await this.closeSegment();
    await super.flush();
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
    if (this.batchFill + this.recordBytes > this.batch.length) await super.flush();
  }
}
