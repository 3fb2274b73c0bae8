import { AppError } from '#errors';
import { ByteReader } from '../byte-reader.js';
import { release } from '../release.js';
import type { ArchiveSource } from '../source.js';
import { discarded } from '../young-garbage.js';
import { decrypt, nonceType, tagBytes } from './cipher.js';
import { FramedArchive } from './framed-archive.js';
import type { ArchiveHeader, Codec, PayloadType } from './header.js';
import { locateTrailer, readArchiveHeader, recordBytes, type ArchiveLayout } from './layout.js';
import type { ArchiveManifest } from './manifest.js';
import { brokenSegment, openTrailer, unlockArchive, type OpenOptions } from './open.js';

/** An archive whose key fits and whose trailer is authentic. Everything that the methods yield has passed its tag. */
export class OpenArchive extends FramedArchive {
  constructor(
    private readonly source: ArchiveSource,
    readonly header: ArchiveHeader,
    manifest: ArchiveManifest,
    private readonly layout: ArchiveLayout,
    private readonly archiveKey: Buffer,
  ) {
    super(manifest);
  }

  override get codec(): Codec {
    return this.header.codec;
  }

  override get payloadType(): PayloadType {
    return this.header.payloadType;
  }

  override selectionBytes(names: ReadonlySet<string>): number {
    const { header, layout, source } = this;
    const record = recordBytes(header);
    let bytes = header.sizeBytes + source.sizeBytes - layout.trailerOffset;
    let next = 0;
    for (const { compressedStart, compressedEnd } of this.selectedRanges(names)) {
      const first = Math.max(next, Math.floor(compressedStart / header.segmentSize));
      next = Math.floor((compressedEnd - 1) / header.segmentSize) + 1;
      bytes += Math.max(0, Math.min(next * record, layout.trailerOffset - header.sizeBytes) - first * record);
    }
    return bytes;
  }

  override close(): Promise<void> {
    return this.source.close();
  }

  protected override async *stream(start: number, end: number, lent = false): AsyncGenerator<Buffer, void, undefined> {
    if (end <= start) return;
    const { segmentSize } = this.header;
    const record = recordBytes(this.header);
    const first = Math.floor(start / segmentSize);
    const last = Math.floor((end - 1) / segmentSize);
    const from = this.header.sizeBytes + first * record;
    const reader = new ByteReader(this.source.stream(from, Math.min(this.header.sizeBytes + (last + 1) * record, this.layout.trailerOffset)));
    try {
      for (let index = first; index <= last; index += 1) {
        const length = Math.min(segmentSize, this.layout.compressedBytes - index * segmentSize) + tagBytes;
        const bytes = await reader.take(4 + length);
        if (bytes.length < 4 + length) throw new AppError('ARCHIVE_TRUNCATED', `The archive ends inside segment ${index}`);
        if (bytes.readUInt32BE() !== length) throw brokenSegment(index);
        const plain = decrypt(this.archiveKey, nonceType.segment, index, bytes.subarray(4));
        if (plain === null) throw brokenSegment(index);
        yield plain.subarray(index === first ? start - first * segmentSize : 0, index === last ? end - last * segmentSize : plain.length);
        if (lent) release(plain);
        // What was read of the file, and where a frame is put together.
        discarded(2 * length);
      }
    } finally {
      await reader.close();
    }
  }
}

/**
 * Opens an archive: header, tenant, key and trailer are checked before it returns. The source stays the caller's until
 * then; afterwards `close()` closes it. Throws ARCHIVE_UNSUPPORTED, ARCHIVE_FOREIGN, ARCHIVE_REPLACED, KEY_UNKNOWN,
 * KEY_MISMATCH, ARCHIVE_TRUNCATED, ARCHIVE_CORRUPT, ARCHIVE_TOO_LARGE.
 */
export async function openArchive(source: ArchiveSource, options: OpenOptions): Promise<OpenArchive> {
  const header = await readArchiveHeader(source);
  const archiveKey = unlockArchive(header, options);
  const layout = await locateTrailer(source, header);
  const manifest = await openTrailer(archiveKey, header, layout, await source.read(layout.trailerOffset + 4, layout.trailerBytes));
  return new OpenArchive(source, header, manifest, layout, archiveKey);
}
