import { AppError } from '#errors';
import { constants, createGunzip, createZstdDecompress, gunzip, gzip, zstdCompress, zstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib';
import type { Codec } from './header.js';

/** Frames above this are refused: a reader holds whole frames in memory. */
export const maxFrameBytes = 64 * 1024 * 1024;
/** The prelude of thousands of collections is larger. */
export const maxPreludeBytes = 256 * 1024 * 1024;

const outputChunkBytes = 256 * 1024;

/** One independent gzip member or zstd frame, made on the thread pool. */
export function compressFrame(codec: Codec, payload: Buffer, level: number | undefined): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: Buffer): void => (error === null ? resolve(result) : reject(error));
    switch (codec) {
      case 'none':
        return resolve(payload);
      case 'gzip':
        return gzip(payload, { level: level ?? 6, chunkSize: outputChunkBytes }, done);
      case 'zstd':
        return zstdCompress(payload, { chunkSize: outputChunkBytes, pledgedSrcSize: payload.length, params: { [constants.ZSTD_c_compressionLevel]: level ?? 3 } }, done);
    }
  });
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
      else reject(decompressionError(error));
    };
    // One byte more than expected, so that the usual frame needs a single pass.
    const options = { info: true, maxOutputLength: payloadBytes, chunkSize: Math.min(Math.max(payloadBytes + 1, 1024), 4 * 1024 * 1024) };
    if (codec === 'gzip') gunzip(compressed, options, done);
    else zstdDecompress(compressed, options, done);
  });
}

/** The archive error that a failure of zlib stands for; other errors are returned unchanged. */
export function decompressionError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  if (error.code === 'ERR_BUFFER_TOO_LARGE') return new AppError('ARCHIVE_TOO_LARGE', 'A frame of the archive expands beyond what the manifest says', { cause: error });
  if (error.code === 'Z_BUF_ERROR' || error.code === 'ZSTD_error_srcSize_wrong') return new AppError('ARCHIVE_TRUNCATED', 'The compressed data end too early', { cause: error });
  if (/^(?:Z_|ZSTD_error)/.test(error.code)) return new AppError('ARCHIVE_CORRUPT', 'The compressed data are damaged', { cause: error });
  return error;
}

/** A stream that decompresses concatenated members or frames. */
export function createDecompressor(codec: 'gzip' | 'zstd'): Gunzip | ZstdDecompress {
  return codec === 'gzip' ? createGunzip({ chunkSize: 1 << 20 }) : createZstdDecompress({ chunkSize: 1 << 20 });
}
