import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, type FileHandle, link, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { markPlace, mostMarkBytes } from '../mark-place.js';
import type { StoreMark } from '../port.js';
import { isAbsence, type LocalFolders, syncFolder } from './local-folders.js';
import { fileMode } from './local-names.js';
import { storageError, systemCode } from './storage-error.js';

const named = 'its own mark';
/** What file systems say that have no second name for a file. */
const noLinks: ReadonlySet<string | null> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

export class LocalMark implements StoreMark {
  constructor(private readonly folders: LocalFolders) {}

  async read(): Promise<string | null> {
    const folder = await this.folders.find(markPlace, named);
    if (folder === null) return null;
    let handle: FileHandle | null = null;
    try {
      handle = await open(join(folder, markPlace[1]), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(mostMarkBytes), 0, mostMarkBytes, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } catch (error) {
      if (isAbsence(error)) return null;
      throw storageError(error, 'reading', named);
    } finally {
      await handle?.close();
    }
  }

  async create(text: string): Promise<boolean> {
    try {
      const folders = await this.folders.make([markPlace[0]]);
      const folder = folders.at(-1) ?? this.folders.root;
      const temporaryPath = join(folder, `${markPlace[1]}-${randomUUID()}`);
      try {
        const handle = await open(temporaryPath, 'wx', fileMode);
        try {
          await handle.writeFile(text);
          await handle.sync();
        } finally {
          await handle.close();
        }
        if (!(await nameNew(temporaryPath, join(folder, markPlace[1])))) return false;
      } finally {
        await rm(temporaryPath, { force: true });
      }
      for (const path of folders.toReversed()) await syncFolder(path);
      return true;
    } catch (error) {
      throw storageError(error, 'writing', named);
    }
  }
}

/** A renaming would take the place of one that is there. */
async function nameNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to).catch((error: unknown) => {
      if (!noLinks.has(systemCode(error))) throw error;
      return copyFile(from, to, constants.COPYFILE_EXCL);
    });
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}
