import { AppError } from '#errors';
import type { ArchiveSource } from '../source.js';
import { tagBytes } from './cipher.js';
import { maxHeaderBytes, parseHeader, type ArchiveHeader } from './header.js';
import { maxTrailerBytes } from './manifest.js';

export const trailerFlag = 0x80000000;
export const footerBytes = 12;
export const minSealedBytes = tagBytes + 1;
const footerMagic = Buffer.from('DBKE');

/** Where everything lies in a file; follows from its size and its last twelve bytes. */
export interface ArchiveLayout {
  readonly segments: number;
  /** Bytes of all segments' plaintext. */
  readonly compressedBytes: number;
  /** Offset of the trailer's length. */
  readonly trailerOffset: number;
  /** Ciphertext and tag of the trailer. */
  readonly trailerBytes: number;
}

const truncated = (where: string): AppError => new AppError('ARCHIVE_TRUNCATED', `The archive ends ${where}`);
const corrupt = (reason: string): AppError => new AppError('ARCHIVE_CORRUPT', `The archive is damaged: ${reason}`);

/** Bytes that a full segment takes in the file. */
export const recordBytes = (header: ArchiveHeader): number => header.segmentSize + 4 + tagBytes;

/**
 * Reads the header alone: what can be told without a key. Nothing in it is authenticated. Throws ARCHIVE_UNSUPPORTED,
 * ARCHIVE_TRUNCATED, ARCHIVE_CORRUPT.
 */
export async function readArchiveHeader(archive: ArchiveSource | Buffer): Promise<ArchiveHeader> {
  if (Buffer.isBuffer(archive)) return parseHeader(archive);
  return parseHeader(await archive.read(0, Math.min(archive.sizeBytes, maxHeaderBytes)));
}

/** What the trailer's offset says of the segments; null when no run of segments ends there. */
function segmentsBefore(header: ArchiveHeader, trailerOffset: number): { readonly segments: number; readonly compressedBytes: number } | null {
  const bytes = trailerOffset - header.sizeBytes;
  const full = Math.floor(bytes / recordBytes(header));
  const last = bytes - full * recordBytes(header);
  if (bytes < 0 || (last > 0 && last < 4 + minSealedBytes)) return null;
  return { segments: full + (last > 0 ? 1 : 0), compressedBytes: full * header.segmentSize + (last > 0 ? last - 4 - tagBytes : 0) };
}

/** The trailer's offset as a footer states it; null when these bytes are no footer. */
export function parseFooter(footer: Buffer): number | null {
  if (footer.length !== footerBytes || !footer.subarray(8).equals(footerMagic)) return null;
  const offset = footer.readBigUInt64BE();
  return offset <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(offset) : null;
}

/** Finds segments and trailer by the footer. Throws ARCHIVE_TRUNCATED where the end is missing, ARCHIVE_CORRUPT where the parts do not fit. */
export async function locateTrailer(source: ArchiveSource, header: ArchiveHeader): Promise<ArchiveLayout> {
  const size = source.sizeBytes;
  if (size >= header.sizeBytes + 4 + minSealedBytes + footerBytes) {
    const trailerOffset = parseFooter(await source.read(size - footerBytes, footerBytes));
    const trailerBytes = size - footerBytes - 4 - (trailerOffset ?? 0);
    if (trailerOffset !== null && trailerBytes >= minSealedBytes && trailerBytes <= maxTrailerBytes) {
      const before = segmentsBefore(header, trailerOffset);
      if (before !== null && (await source.read(trailerOffset, 4)).readUInt32BE() === (trailerFlag | trailerBytes) >>> 0) {
        return { ...before, trailerOffset, trailerBytes };
      }
    }
  }
  throw await explain(source, header);
}

/** Why the footer does not lead to a trailer: walks to where the full segments end and looks at what stands there. */
async function explain(source: ArchiveSource, header: ArchiveHeader): Promise<AppError> {
  const size = source.sizeBytes;
  const wordAt = async (offset: number): Promise<number | null> => (offset + 4 > size ? null : (await source.read(offset, 4)).readUInt32BE());
  const offsetOf = (segment: number): number => header.sizeBytes + segment * recordBytes(header);

  // Full segments stand at known places, so their end is found by halving instead of reading them all.
  let first = 0;
  let last = Math.floor(Math.max(size - header.sizeBytes, 0) / recordBytes(header)) + 1;
  while (first < last) {
    const middle = Math.floor((first + last) / 2);
    if ((await wordAt(offsetOf(middle))) === header.segmentSize + tagBytes) first = middle + 1;
    else last = middle;
  }
  let offset = offsetOf(first);
  let word = await wordAt(offset);
  if (word !== null && word < trailerFlag) {
    if (word < minSealedBytes || word > header.segmentSize + tagBytes) return corrupt(`segment ${first} claims ${word} bytes`);
    offset += 4 + word;
    word = await wordAt(offset);
    if (word !== null && word < trailerFlag) return corrupt(`segment ${first} is short, but not the last`);
  }
  if (word === null) return truncated('before its trailer: part of it is missing');

  const trailerBytes = word - trailerFlag;
  if (trailerBytes < minSealedBytes || trailerBytes > maxTrailerBytes) return corrupt(`the trailer claims ${trailerBytes} bytes`);
  if (size >= footerBytes && parseFooter(await source.read(size - footerBytes, footerBytes)) === offset) return corrupt('the length of the trailer is not what it claims');
  const end = offset + 4 + trailerBytes + footerBytes;
  if (size < end) return truncated('inside its trailer: part of it is missing');
  return corrupt(size > end ? 'bytes follow its footer' : 'its footer does not point to its trailer');
}
