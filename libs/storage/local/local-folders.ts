import { lstat, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '#errors';
import { storageError, systemCode } from './storage-error.js';

const folderMode = 0o700;

/** The folders of a store. A symbolic link in the place of one would lead out of the store, so it is refused. */
export class LocalFolders {
  constructor(readonly root: string) {}

  /** The folder of a key's last segment, or null where it does not exist. */
  async find(segments: readonly string[], key: string): Promise<string | null> {
    let folder = this.root;
    try {
      for (const name of segments.slice(0, -1)) {
        folder = join(folder, name);
        await requireFolder(folder);
      }
      return folder;
    } catch (error) {
      if (isAbsence(error)) return null;
      throw storageError(error, 'reading', key);
    }
  }

  /** The folders from the root down, each made if need be. */
  async make(names: readonly string[]): Promise<string[]> {
    await mkdir(this.root, { recursive: true, mode: folderMode });
    const folders = [this.root];
    for (const name of names) {
      const folder = join(folders.at(-1) ?? this.root, name);
      await mkdir(folder, { mode: folderMode }).catch((error: unknown) => {
        if (systemCode(error) !== 'EEXIST') throw error;
      });
      await requireFolder(folder);
      folders.push(folder);
    }
    return folders;
  }
}

async function requireFolder(path: string): Promise<void> {
  const info = await lstat(path);
  if (!info.isDirectory()) throw new AppError('STORAGE_UNAVAILABLE', 'The archive store holds something that is no folder in the place of one');
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export function isAbsence(error: unknown): boolean {
  const code = systemCode(error);
  // ELOOP: a symbolic link where O_NOFOLLOW expects a file.
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP';
}
