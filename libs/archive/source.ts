import { AppError } from '#errors';
import { open } from 'node:fs/promises';

/** Bytes of one archive, readable at any place. A StoredObject of libs/storage is one. */
export interface ArchiveSource {
  readonly sizeBytes: number;
  /** Exactly `length` bytes from `offset`; throws ARCHIVE_TRUNCATED when there are fewer. */
  read(offset: number, length: number): Promise<Buffer>;
  /** Bytes from `start` up to, not including, `end` (default: all). */
  stream(start?: number, end?: number): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

const cutOff = (): AppError => new AppError('ARCHIVE_TRUNCATED', 'The archive ends before its last byte');

/** An archive in memory. */
export function bufferSource(bytes: Buffer): ArchiveSource {
  return {
    sizeBytes: bytes.length,
    read: async (offset, length) => {
      if (offset + length > bytes.length) throw cutOff();
      return bytes.subarray(offset, offset + length);
    },
    async *stream(start = 0, end = bytes.length) {
      for (let position = start; position < end; position += 1 << 20) yield bytes.subarray(position, Math.min(position + (1 << 20), end));
    },
    close: async () => undefined,
  };
}

/** An archive in a local file, opened now; the caller closes it. */
export async function fileSource(path: string): Promise<ArchiveSource> {
  const file = await open(path, 'r');
  const sizeBytes = (await file.stat()).size;
  const read = async (offset: number, length: number): Promise<Buffer> => {
    const bytes = Buffer.allocUnsafeSlow(Math.min(length, Math.max(sizeBytes - offset, 0)));
    if (bytes.length < length) throw cutOff();
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
      if (bytesRead === 0) throw cutOff();
      filled += bytesRead;
    }
    return bytes;
  };
  return {
    sizeBytes,
    read,
    async *stream(start = 0, end = sizeBytes) {
      for (let position = start; position < end; position += 1 << 20) yield await read(position, Math.min(1 << 20, end - position));
    },
    close: () => file.close(),
  };
}
