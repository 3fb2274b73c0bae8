import { AppError } from '#errors';
import { decompressStream } from './dbk1/codec.js';
import { mongodumpMagic } from './mongodump/format.js';
import type { ArchiveSource } from './source.js';

/** What a file is by its first bytes; its name is never trusted. */
export type ArchiveFormat = 'dbk1' | 'gzip' | 'zstd' | 'mongodump' | 'pgdump' | 'unknown';

const signatures: readonly (readonly [ArchiveFormat, Buffer])[] = [
  ['dbk1', Buffer.from('DBK1')],
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
  ['mongodump', mongodumpMagic],
  ['pgdump', Buffer.from('PGDMP')],
];

/** Needs the first eight bytes. */
export function sniffArchive(firstBytes: Buffer): ArchiveFormat {
  return signatures.find(([, signature]) => firstBytes.subarray(0, signature.length).equals(signature))?.[0] ?? 'unknown';
}

export interface PlainOptions {
  /** Payload beyond this is ARCHIVE_TOO_LARGE; default 1 GiB or 200 times the file, whichever is more. */
  readonly maxPayloadBytes?: number;
}

/** A mongodump archive without encryption, compressed or not, as the public tools write it. */
export interface PlainArchive {
  readonly codec: 'none' | 'gzip' | 'zstd';
  /** The whole uncompressed payload; may be called again. Throws ARCHIVE_TRUNCATED, ARCHIVE_CORRUPT, ARCHIVE_TOO_LARGE. */
  payload(): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/** Throws ARCHIVE_UNSUPPORTED for anything that is neither a mongodump archive nor compressed, ARCHIVE_TRUNCATED for an empty file. */
export async function openPlainArchive(source: ArchiveSource, options: PlainOptions = {}): Promise<PlainArchive> {
  if (source.sizeBytes === 0) throw new AppError('ARCHIVE_TRUNCATED', 'The file is empty');
  const format = sniffArchive(await source.read(0, Math.min(source.sizeBytes, 8)));
  const limit = options.maxPayloadBytes ?? defaultLimit(source.sizeBytes);
  switch (format) {
    case 'mongodump':
      return { codec: 'none', payload: () => source.stream(), close: () => source.close() };
    case 'gzip':
    case 'zstd':
      return { codec: format, payload: () => decompressed(source.stream(), format, () => limit), close: () => source.close() };
    case 'dbk1':
      throw new AppError('ARCHIVE_UNSUPPORTED', 'The file is an encrypted archive; open it with its key');
    case 'pgdump':
    case 'unknown':
      throw new AppError('ARCHIVE_UNSUPPORTED', 'The file is no mongodump archive: make one with mongodump --archive');
  }
}

/** The payload of such an archive that can only be read once, from its first byte on. Throws as `payload()` does; the default limit goes by what was read of it so far. */
export async function* streamPlainPayload(codec: PlainArchive['codec'], input: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let bytes = 0;
  const counted = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of input) {
      bytes += chunk.length;
      yield chunk;
    }
  };
  yield* codec === 'none' ? input : decompressed(counted(), codec, () => defaultLimit(bytes));
}

function defaultLimit(fileBytes: number): number {
  return Math.max(2 ** 30, 200 * fileBytes);
}

async function* decompressed(input: AsyncIterable<Buffer>, codec: 'gzip' | 'zstd', limit: () => number): AsyncGenerator<Buffer, void, undefined> {
  let bytes = 0;
  for await (const chunk of decompressStream(codec, input)) {
    bytes += chunk.length;
    if (bytes > limit()) throw new AppError('ARCHIVE_TOO_LARGE', `The archive expands to more than ${limit()} bytes`);
    yield chunk;
  }
}
