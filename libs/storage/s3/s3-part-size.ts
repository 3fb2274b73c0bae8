import { AppError } from '#errors';

const mib = 1024 * 1024;
/** Of one upload, and of one part, by the rules of S3. */
export const mostParts = 10_000;
const mostPartBytes = 5 * 1024 * mib;

/**
 * The size of each part but the last: about `wishedParts` of them, none smaller than `leastBytes`, and as many as it takes where a part cannot be larger.
 *
 * @throws AppError ARCHIVE_TOO_LARGE for what no upload of S3 can hold
 */
export function partBytesFor(sizeBytes: number, leastBytes: number, wishedParts: number = mostParts): number {
  const wishedBytes = Math.ceil(sizeBytes / wishedParts / mib) * mib;
  const partBytes = Math.max(leastBytes, Math.min(wishedBytes, mostPartBytes));
  if (partBytes * mostParts < sizeBytes) throw new AppError('ARCHIVE_TOO_LARGE', `An S3 store takes files of at most ${mostPartBytes * mostParts} bytes`);
  return partBytes;
}
