import { constants } from 'node:fs';
import { type FileHandle, lstat, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '#errors';
import { segmentsOf } from '../object-key.js';
import type { AppendResult, ResumableObjects } from '../port.js';
import { isAbsence, type LocalFolders, syncFolder } from './local-folders.js';
import { fileMode, partialMark, resumableMark } from './local-names.js';
import { missing, storageError } from './storage-error.js';

/** Grows under a temporary name, which `discardIncomplete` and `list` of the store know as one of its own. */
export class LocalResumable implements ResumableObjects {
  constructor(private readonly folders: LocalFolders) {}

  async received(key: string): Promise<number> {
    const { partial, whole } = await this.places(key);
    return (await sizeOf(partial, key)) ?? (await sizeOf(whole, key)) ?? 0;
  }

  async append(key: string, offset: number, limitBytes: number, body: AsyncIterable<Buffer>): Promise<AppendResult> {
    const segments = segmentsOf(key);
    let handle: FileHandle | null = null;
    try {
      const folders = await this.folders.make(segments.slice(0, -1));
      handle = await open(partialPath(folders.at(-1) ?? this.folders.root, segments), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, fileMode);
      const { size } = await handle.stat();
      if (size !== offset) throw new AppError('UPLOAD_CONFLICT', `${size} bytes have arrived, not ${offset}`);
      const result = await write(handle, offset, limitBytes, body);
      await handle.sync();
      for (const folder of folders.toReversed()) await syncFolder(folder);
      return result;
    } catch (error) {
      throw storageError(error, 'writing', key);
    } finally {
      await handle?.close();
    }
  }

  async publish(key: string): Promise<void> {
    const { folder, partial, whole } = await this.places(key);
    try {
      if (folder === null || partial === null || whole === null) throw missing(key);
      await rename(partial, whole).catch(async (error: unknown) => {
        if (!isAbsence(error)) throw error;
        if ((await sizeOf(whole, key)) === null) throw missing(key);
      });
      await syncFolder(folder);
    } catch (error) {
      throw storageError(error, 'writing', key);
    }
  }

  private async places(key: string): Promise<{ readonly folder: string | null; readonly partial: string | null; readonly whole: string | null }> {
    const segments = segmentsOf(key);
    const folder = await this.folders.find(segments, key);
    return { folder, partial: folder && partialPath(folder, segments), whole: folder && join(folder, segments.at(-1) ?? '') };
  }
}

/** At its own place for each byte: a writer that was thought dead can only write the same bytes again. */
async function write(handle: FileHandle, offset: number, limitBytes: number, body: AsyncIterable<Buffer>): Promise<AppendResult> {
  let receivedBytes = offset;
  const chunks = body[Symbol.asyncIterator]();
  const finish = async (brokenOff: unknown): Promise<AppendResult> => {
    await chunks.return?.();
    return { receivedBytes, brokenOff };
  };
  for (;;) {
    let next: IteratorResult<Buffer>;
    try {
      next = await chunks.next();
    } catch (error) {
      return { receivedBytes, brokenOff: error };
    }
    if (next.done === true) return { receivedBytes, brokenOff: null };
    const chunk = next.value;
    if (receivedBytes + chunk.length > limitBytes) return finish(new AppError('ARCHIVE_TOO_LARGE', `More than the ${limitBytes} bytes that were announced are being sent`));
    for (let written = 0; written < chunk.length; ) {
      const { bytesWritten } = await handle.write(chunk, written, chunk.length - written, receivedBytes + written);
      written += bytesWritten;
    }
    receivedBytes += chunk.length;
  }
}

function partialPath(folder: string, segments: readonly string[]): string {
  return join(folder, `${partialMark}${segments.at(-1) ?? ''}-${resumableMark}`);
}

async function sizeOf(path: string | null, key: string): Promise<number | null> {
  if (path === null) return null;
  try {
    const info = await lstat(path);
    return info.isFile() ? info.size : null;
  } catch (error) {
    if (isAbsence(error)) return null;
    throw storageError(error, 'reading', key);
  }
}
