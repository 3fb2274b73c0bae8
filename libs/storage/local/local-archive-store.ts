import { randomUUID } from 'node:crypto';
import { constants, type Dirent, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AppError } from '#errors';
import { checkPrefix, segmentsOf } from '../object-key.js';
import type { ArchiveStore, IncompleteObject, ObjectInfo, ObjectUpload, StoredObject } from '../port.js';
import { isAbsence, LocalFolders, syncFolder } from './local-folders.js';
import { LocalMark } from './local-mark.js';
import { LocalObject } from './local-object.js';
import { LocalResumable } from './local-resumable.js';
import { LocalUpload } from './local-upload.js';
import { fileMode, markLength, partialMark } from './local-names.js';
import { missing, storageError } from './storage-error.js';

const probeName = '.probe-';

/** Archives in one folder of this machine, or of a file system that every process of the cluster mounts. */
export class LocalArchiveStore implements ArchiveStore {
  readonly location: string;
  readonly resumable: LocalResumable;
  readonly direct = null;
  readonly lock = null;
  readonly mark: LocalMark;
  private readonly folders: LocalFolders;

  /** @param root absolute path; made on first use */
  constructor(private readonly root: string) {
    this.location = pathToFileURL(root).href;
    this.folders = new LocalFolders(root);
    this.resumable = new LocalResumable(this.folders);
    this.mark = new LocalMark(this.folders);
  }

  async create(key: string): Promise<ObjectUpload> {
    const segments = segmentsOf(key);
    try {
      const folders = await this.folders.make(segments.slice(0, -1));
      const folder = folders.at(-1) ?? this.root;
      const name = segments.at(-1) ?? '';
      const temporaryPath = join(folder, `${partialMark}${name}-${randomUUID().slice(0, markLength)}`);
      const handle = await open(temporaryPath, 'wx', fileMode);
      const syncFolders = async () => {
        for (const path of folders.toReversed()) await syncFolder(path);
      };
      return new LocalUpload({ key, temporaryPath, path: join(folder, name), syncFolders }, handle);
    } catch (error) {
      throw storageError(error, 'writing', key);
    }
  }

  async open(key: string): Promise<StoredObject> {
    const path = await this.existing(key);
    if (path === null) throw missing(key);
    let handle: FileHandle | null = null;
    try {
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const info = await handle.stat();
      if (!info.isFile()) throw missing(key);
      return new LocalObject(key, handle, info.size);
    } catch (error) {
      await handle?.close();
      if (isAbsence(error)) throw missing(key);
      throw storageError(error, 'reading', key);
    }
  }

  async stat(key: string): Promise<ObjectInfo | null> {
    const path = await this.existing(key);
    if (path === null) return null;
    try {
      const info = await lstat(path);
      return info.isFile() ? { key, sizeBytes: info.size, modifiedAt: info.mtime } : null;
    } catch (error) {
      if (isAbsence(error)) return null;
      throw storageError(error, 'reading', key);
    }
  }

  async delete(key: string): Promise<boolean> {
    const path = await this.existing(key);
    if (path === null || (await this.stat(key)) === null) return false;
    try {
      await rm(path);
      await syncFolder(join(path, '..'));
      return true;
    } catch (error) {
      if (isAbsence(error)) return false;
      throw storageError(error, 'deleting', key);
    }
  }

  /** In the order of the keys. What is no regular file, and the store's own files, are left out. */
  async *list(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
    checkPrefix(prefix);
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    yield* this.listFolder(folder, prefix);
  }

  async *allKeys(prefix: string): AsyncGenerator<string, void, undefined> {
    for await (const { key } of this.list(prefix)) yield key;
  }

  /** A folder has no locks. */
  protect(): Promise<void> {
    return Promise.resolve();
  }

  requireLock(): Promise<void> {
    return Promise.resolve();
  }

  async discardIncomplete(key: string): Promise<void> {
    const segments = segmentsOf(key);
    const folder = await this.folders.find(segments, key);
    if (folder === null) return;
    try {
      const mine = `${partialMark}${segments.at(-1) ?? ''}-`;
      for (const name of await readdir(folder)) {
        if (name.startsWith(mine) && name.length === mine.length + markLength) await rm(join(folder, name), { force: true });
      }
    } catch (error) {
      if (!isAbsence(error)) throw storageError(error, 'removing the unfinished', key);
    }
  }

  async *incomplete(): AsyncGenerator<IncompleteObject, void, undefined> {
    yield* this.incompleteIn('');
  }

  async freeBytes(): Promise<number> {
    try {
      await this.folders.make([]);
      const { bavail, bsize } = await statfs(this.root);
      return bavail * bsize;
    } catch (error) {
      throw storageError(error, 'measuring', 'the free space');
    }
  }

  async check(): Promise<void> {
    const probe = join(this.root, `${probeName}${randomUUID()}`);
    const sent = Buffer.from(probe);
    try {
      await this.folders.make([]);
      const handle = await open(probe, 'wx+', fileMode);
      try {
        await handle.writeFile(sent);
        await handle.sync();
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(sent.length), 0, sent.length, 0);
        if (bytesRead !== sent.length || !buffer.equals(sent)) throw new AppError('STORAGE_UNAVAILABLE', 'The archive store does not give back what was written to it');
      } finally {
        await handle.close();
        await rm(probe, { force: true });
      }
    } catch (error) {
      throw storageError(error, 'checking', 'a probe file');
    }
  }

  private async *incompleteIn(folder: string): AsyncGenerator<IncompleteObject, void, undefined> {
    for (const entry of await this.entriesOf(folder)) {
      if (entry.isDirectory() && !entry.name.startsWith('.')) yield* this.incompleteIn(`${folder}${entry.name}/`);
      else if (entry.isFile() && entry.name.startsWith(partialMark)) {
        const info = await this.statOf(`${folder}${entry.name}`);
        if (info !== null) yield { key: folder + entry.name.slice(partialMark.length, -(markLength + 1)), touchedAt: info.mtime };
      }
    }
  }

  private async entriesOf(folder: string): Promise<Dirent[]> {
    try {
      return await readdir(join(this.root, folder), { withFileTypes: true });
    } catch (error) {
      if (isAbsence(error)) return [];
      throw storageError(error, 'listing', folder === '' ? 'the archives' : folder);
    }
  }

  /** Null when it has gone meanwhile. */
  private async statOf(path: string): Promise<Stats | null> {
    try {
      return await lstat(join(this.root, path));
    } catch (error) {
      if (isAbsence(error)) return null;
      throw storageError(error, 'listing', path);
    }
  }

  private async *listFolder(folder: string, prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
    const named = (await this.entriesOf(folder))
      .filter((entry) => !entry.name.startsWith('.') && (entry.isFile() || entry.isDirectory()))
      .map((entry) => ({ entry, key: `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}` }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const { entry, key } of named) {
      if (entry.isDirectory()) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* this.listFolder(key, prefix);
      } else if (key.startsWith(prefix)) {
        const info = await this.statOf(key);
        if (info !== null) yield { key, sizeBytes: info.size, modifiedAt: info.mtime };
      }
    }
  }

  /** The path of a key whose folders exist, or null. */
  private async existing(key: string): Promise<string | null> {
    const segments = segmentsOf(key);
    const folder = await this.folders.find(segments, key);
    return folder === null ? null : join(folder, segments.at(-1) ?? '');
  }
}
