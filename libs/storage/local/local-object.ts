import type { FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { StoredObject } from '../port.js';
import { storageError, systemCode, truncated } from './storage-error.js';

const chunkBytes = 512 * 1024;
const readTries = 3;
const retryMs = 50;

/** An open file: reads by position, so that readers do not disturb each other. */
export class LocalObject implements StoredObject {
  constructor(
    private readonly key: string,
    private readonly handle: FileHandle,
    readonly sizeBytes: number,
  ) {}

  async read(offset: number, length: number): Promise<Buffer> {
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) throw new RangeError('Offset and length are whole numbers from 0');
    // Before the allocation: a forged length in an archive must not cost its size in memory.
    if (offset + length > this.sizeBytes) throw truncated(this.key);
    const buffer = Buffer.allocUnsafe(length);
    for (let filled = 0; filled < length; ) {
      const bytesRead = await this.readSome(buffer, filled, offset + filled);
      if (bytesRead === 0) throw truncated(this.key);
      filled += bytesRead;
    }
    return buffer;
  }

  async *stream(start = 0, end = this.sizeBytes): AsyncGenerator<Buffer, void, undefined> {
    for (let offset = start; offset < end; offset += chunkBytes) yield await this.read(offset, Math.min(chunkBytes, end - offset));
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  /** A disk may fail once and answer the next time. */
  private async readSome(buffer: Buffer, at: number, position: number): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { bytesRead } = await this.handle.read(buffer, at, buffer.length - at, position);
        return bytesRead;
      } catch (error) {
        if (attempt === readTries || systemCode(error) !== 'EIO') throw storageError(error, 'reading', this.key);
        await delay(retryMs * attempt);
      }
    }
  }
}
