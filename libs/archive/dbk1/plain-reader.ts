import { AppError } from '#errors';
import { sniffArchive } from '../plain.js';
import type { ArchiveSource } from '../source.js';
import { FramedArchive } from './framed-archive.js';
import type { Codec } from './header.js';
import type { ArchiveManifest } from './manifest.js';

/** An archive without encryption whose manifest is kept beside it. Nothing but the SHA-256 of the file says that its bytes are those that were written. */
class ManifestedArchive extends FramedArchive {
  readonly payloadType = 'mongodump';

  constructor(
    private readonly source: ArchiveSource,
    readonly codec: Codec,
    manifest: ArchiveManifest,
  ) {
    super(manifest);
  }

  override selectionBytes(names: ReadonlySet<string>): number {
    return this.selectedRanges(names).reduce((sum, { compressedStart, compressedEnd }) => sum + compressedEnd - compressedStart, 0);
  }

  override close(): Promise<void> {
    return this.source.close();
  }

  protected override async *stream(start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    if (end > start) yield* this.source.stream(start, end);
  }
}

const codecs = { gzip: 'gzip', zstd: 'zstd', mongodump: 'none' } as const;

/** Opens what `PlainArchiveWriter` wrote. The source stays the caller's until it returns. Throws ARCHIVE_TRUNCATED, ARCHIVE_CORRUPT. */
export async function openManifestedArchive(source: ArchiveSource, manifest: ArchiveManifest): Promise<ManifestedArchive> {
  const { payload, frames } = manifest;
  if (source.sizeBytes < payload.compressedBytes) throw new AppError('ARCHIVE_TRUNCATED', `The archive has ${source.sizeBytes} of the ${payload.compressedBytes} bytes that its manifest tells of`);
  const format = sniffArchive(await source.read(0, Math.min(source.sizeBytes, 8)));
  const codec = format === 'gzip' || format === 'zstd' || format === 'mongodump' ? codecs[format] : null;
  const isStored = codec !== 'none' || (payload.bytes === payload.compressedBytes && frames.every(([compressed, plain]) => compressed === plain));
  if (codec === null || source.sizeBytes !== payload.compressedBytes || !isStored || frames.some(([, , namespaceIndex], index) => index > 0 && namespaceIndex === -1)) {
    throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: it is not the file that its manifest tells of');
  }
  return new ManifestedArchive(source, codec, manifest);
}
