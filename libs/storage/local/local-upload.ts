import type { FileHandle } from 'node:fs/promises';
import { lstat, rename, rm } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { AppError } from '#errors';
import type { ObjectUpload } from '../port.js';
import { storageError } from './storage-error.js';

const bufferedBytes = 4 * 1024 * 1024;

export interface UploadPlace {
  readonly key: string;
  readonly temporaryPath: string;
  readonly path: string;
  /** Makes the new names in the folders durable. */
  syncFolders(): Promise<void>;
}

/** A file under a temporary name. Its length on the disk is compared with what was written before it gets its own name. */
export class LocalUpload implements ObjectUpload {
  readonly body: Writable;
  private writtenBytes = 0;
  private state: 'open' | 'committed' | 'gone' = 'open';

  constructor(
    private readonly place: UploadPlace,
    private readonly handle: FileHandle,
  ) {
    this.body = new Writable({
      highWaterMark: bufferedBytes,
      write: (chunk: Buffer, _encoding, done) => void this.append([chunk]).then(() => done(), done),
      writev: (chunks: { chunk: Buffer }[], done) => void this.append(chunks.map(({ chunk }) => chunk)).then(() => done(), done),
      decodeStrings: true,
    });
    // A failure is seen by whoever writes and by commit; nobody else has to listen.
    this.body.on('error', () => undefined);
  }

  async commit(): Promise<void> {
    if (this.state !== 'open') throw new Error(this.state === 'gone' ? 'The upload was aborted' : 'The upload is committed already');
    const { key, temporaryPath, path } = this.place;
    try {
      this.body.end();
      await finished(this.body);
      await this.handle.sync();
      await this.handle.close();
      const { size } = await lstat(temporaryPath);
      if (size !== this.writtenBytes) throw new AppError('STORAGE_UNAVAILABLE', `The archive store kept ${size} of ${this.writtenBytes} bytes of ${key}`);
      await rename(temporaryPath, path);
      this.state = 'committed';
      await this.place.syncFolders();
    } catch (error) {
      await this.abort();
      throw storageError(error, 'writing', key);
    }
  }

  async abort(): Promise<void> {
    if (this.state !== 'open') return;
    this.state = 'gone';
    const closed = finished(this.body).catch(() => undefined);
    this.body.destroy();
    await closed;
    await this.handle.close().catch(() => undefined);
    try {
      await rm(this.place.temporaryPath, { force: true });
    } catch (error) {
      throw storageError(error, 'removing the unfinished', this.place.key);
    }
  }

  private async append(chunks: readonly Buffer[]): Promise<void> {
    try {
      for (let rest = [...chunks]; rest.length > 0; ) {
        const { bytesWritten } = await this.handle.writev(rest);
        this.writtenBytes += bytesWritten;
        rest = skip(rest, bytesWritten);
      }
    } catch (error) {
      throw storageError(error, 'writing', this.place.key);
    }
  }
}

/** A write may take fewer bytes than it was given. */
function skip(chunks: readonly Buffer[], bytes: number): Buffer[] {
  let left = bytes;
  return chunks.flatMap((chunk) => {
    const taken = Math.min(left, chunk.length);
    left -= taken;
    return taken === chunk.length ? [] : [chunk.subarray(taken)];
  });
}
