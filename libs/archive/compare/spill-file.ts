import { AppError } from '#errors';
import { randomUUID } from 'node:crypto';
import { constants, open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

const bufferBytes = 32 * 1024;
const longestKey = 255;

export interface SpilledRecord {
  /** At most 255 bytes. */
  readonly key: Buffer;
  readonly digest: Buffer;
}

export const digestBytes = 16;

/**
 * Records in a temporary file, in as many partitions as the reader can take one by one: one buffer of 32 KiB a partition is all that stands
 * in memory. The file has no name once it is open, so a process that is killed leaves nothing behind.
 */
export class SpillFile {
  private readonly buffers: Buffer[];
  private readonly filled: number[];
  private readonly pieces: { readonly offset: number; readonly length: number }[][];
  private size = 0;

  private constructor(
    private readonly file: FileHandle,
    readonly partitions: number,
  ) {
    this.buffers = Array.from({ length: partitions }, () => Buffer.alloc(0));
    this.filled = Array.from({ length: partitions }, () => 0);
    this.pieces = Array.from({ length: partitions }, () => []);
  }

  /** @throws AppError STORAGE_FULL */
  static async create(folder: string, partitions: number): Promise<SpillFile> {
    const path = join(folder, `compare-${randomUUID()}`);
    const file = await full(() => open(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600));
    await unlink(path);
    return new SpillFile(file, partitions);
  }

  /** The same key always comes into the same partition. @throws AppError STORAGE_FULL */
  async add(key: Buffer, digest: Buffer): Promise<void> {
    if (key.length > longestKey || digest.length !== digestBytes) throw new RangeError('A record does not fit');
    const partition = hashOf(key) % this.partitions;
    const bytes = 1 + key.length + digestBytes;
    if (this.filled[partition]! + bytes > bufferBytes) await this.flush(partition);
    if (this.buffers[partition]!.length === 0) this.buffers[partition] = Buffer.allocUnsafeSlow(bufferBytes);
    const buffer = this.buffers[partition]!;
    let at = this.filled[partition]!;
    buffer[at++] = key.length;
    at += key.copy(buffer, at);
    at += digest.copy(buffer, at);
    this.filled[partition] = at;
  }

  /** Call once after the last record; frees the buffers. */
  async seal(): Promise<void> {
    for (let partition = 0; partition < this.partitions; partition += 1) {
      await this.flush(partition);
      this.buffers[partition] = Buffer.alloc(0);
    }
  }

  /** The records of one partition, in the order in which they came. A record is only valid until the next one. */
  async *read(partition: number): AsyncGenerator<SpilledRecord, void, undefined> {
    for (const { offset, length } of this.pieces[partition] ?? []) {
      const piece = Buffer.allocUnsafeSlow(length);
      let got = 0;
      while (got < length) {
        const { bytesRead } = await this.file.read(piece, got, length - got, offset + got);
        if (bytesRead === 0) throw new Error('The temporary file is shorter than it was');
        got += bytesRead;
      }
      for (let at = 0; at < length; ) {
        const keyEnd = at + 1 + piece[at]!;
        yield { key: piece.subarray(at + 1, keyEnd), digest: piece.subarray(keyEnd, keyEnd + digestBytes) };
        at = keyEnd + digestBytes;
      }
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private async flush(partition: number): Promise<void> {
    const length = this.filled[partition]!;
    if (length === 0) return;
    let written = 0;
    while (written < length) {
      const { bytesWritten } = await full(() => this.file.write(this.buffers[partition]!, written, length - written, this.size + written));
      written += bytesWritten;
    }
    this.pieces[partition]!.push({ offset: this.size, length });
    this.size += length;
    this.filled[partition] = 0;
  }
}

/** FNV-1a. */
function hashOf(key: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

async function full<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new AppError('STORAGE_FULL', 'There is no space left for the temporary file of the comparison', { cause: error });
    throw error;
  }
}
