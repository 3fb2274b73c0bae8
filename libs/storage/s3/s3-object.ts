import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '#errors';
import type { StoredObject } from '../port.js';
import type { S3Bucket } from './s3-bucket.js';
import { s3Error } from './s3-error.js';

const chunkBytes = 1024 * 1024;
/** In a row without a byte; whatever arrives starts the count anew. */
const failuresBorne = 5;
const firstPauseMs = 100;

/** Reads by range, bound to the object as it was when it was opened. */
export class S3Object implements StoredObject {
  constructor(
    private readonly bucket: S3Bucket,
    private readonly key: string,
    readonly sizeBytes: number,
    private readonly etag: string | undefined,
  ) {}

  async read(offset: number, length: number): Promise<Buffer> {
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) throw new RangeError('Offset and length are whole numbers from 0');
    // Before the allocation: a forged length in an archive must not cost its size in memory.
    if (offset + length > this.sizeBytes) throw new AppError('ARCHIVE_TRUNCATED', `The stored object ${this.key} ends too early`);
    const chunks: Buffer[] = [];
    for await (const chunk of this.stream(offset, offset + length)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** A connection that breaks is made anew at the byte that was reached. */
  async *stream(start = 0, end = this.sizeBytes): AsyncGenerator<Buffer, void, undefined> {
    let offset = start;
    for (let failures = 0; offset < end; ) {
      try {
        for await (const bytes of await this.bucket.get(this.key, offset, end, this.etag)) {
          failures = 0;
          for (let at = 0; at < bytes.length; at += chunkBytes) {
            const chunk = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(chunkBytes, bytes.length - at));
            offset += chunk.length;
            yield chunk;
          }
        }
        if (offset < end) throw new Error('The connection ended too early');
      } catch (error) {
        failures += 1;
        const coded = s3Error(error, 'reading', this.key);
        if (coded.code !== 'STORAGE_UNAVAILABLE' || failures === failuresBorne) throw coded;
        await delay(firstPauseMs * 2 ** (failures - 1));
      }
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
