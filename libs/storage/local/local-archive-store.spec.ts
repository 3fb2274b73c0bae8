import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, open, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { describeArchiveStore } from '../contract/archive-store.contract.js';
import { LocalArchiveStore } from './local-archive-store.js';

describeArchiveStore('LocalArchiveStore', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-store-'));
  return { store: new LocalArchiveStore(join(folder, 'made', 'on-first-use')), dispose: () => rm(folder, { recursive: true }) };
});

describe('LocalArchiveStore', () => {
  let folder: string;
  let root: string;
  let store: LocalArchiveStore;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-store-'));
    root = join(folder, 'store');
    store = new LocalArchiveStore(root);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await rm(folder, { recursive: true });
  });

  async function put(key: string, content: Buffer): Promise<void> {
    const upload = await store.create(key);
    await pipeline(Readable.from([content]), upload.body);
    await upload.commit();
  }

  it('lets nobody else read folders and files', async () => {
    await put('t/db-backups/a', Buffer.from('x'));
    for (const path of [root, join(root, 't'), join(root, 't/db-backups')]) expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect((await stat(join(root, 't/db-backups/a'))).mode & 0o777).toBe(0o600);
  });

  it('follows no symbolic link out of the store', async () => {
    await put('t/a', Buffer.from('x'));
    await mkdir(join(folder, 'outside'));
    await writeFile(join(folder, 'outside', 'secret'), 'secret');
    await symlink(join(folder, 'outside'), join(root, 'link'));
    await symlink(join(folder, 'outside', 'secret'), join(root, 't', 'link'));
    await expect(store.open('t/link')).rejects.toMatchObject({ code: 'ARCHIVE_MISSING' });
    expect(await store.stat('t/link')).toBeNull();
    expect(await store.delete('t/link')).toBe(false);
    await expect(store.open('link/secret')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await expect(store.create('link/new')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    expect(await readdir(join(folder, 'outside'))).toEqual(['secret']);
    const listed: string[] = [];
    for await (const { key } of store.list('')) listed.push(key);
    expect(listed).toEqual(['t/a']);
  });

  it('refuses to commit a file that is shorter than what was written', async () => {
    const upload = await store.create('t/short');
    await new Promise<void>((resolve) => upload.body.write(randomBytes(10_000), () => resolve()));
    const [partial = ''] = await readdir(join(root, 't'));
    await truncate(join(root, 't', partial), 4_000);
    await expect(upload.commit()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: 'The archive store kept 4000 of 10000 bytes of t/short' });
    expect(await readdir(join(root, 't'))).toEqual([]);
  });

  it('names the object, not the path on the machine, when the disk fails', async () => {
    await writeFile(join(folder, 'store'), 'a file where the folder should be');
    await expect(store.create('t/a')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.not.stringContaining(folder) });
    await expect(store.check()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.not.stringContaining(folder) });
  });

  it('reads again after one I/O error and names the object after several', async () => {
    await put('t/a', Buffer.from('content'));
    const probe = await open(join(root, 't/a'));
    const handles = Object.getPrototypeOf(probe) as typeof probe;
    await probe.close();
    const eio = () => Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }));
    const object = await store.open('t/a');
    const read = jest.spyOn(handles, 'read').mockImplementationOnce(eio);
    expect((await object.read(0, 7)).toString()).toBe('content');
    read.mockImplementation(eio);
    await expect(object.read(0, 7)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: 'The archive store failed while reading t/a (EIO)' });
    read.mockRestore();
    await object.close();
  });

  it('says that it cannot write to a folder of somebody else', async () => {
    if (process.getuid?.() === 0) {
      process.stderr.write('Skipped: root may write everywhere\n');
      return;
    }
    await mkdir(root, { mode: 0o700 });
    await chmod(root, 0o500);
    await expect(store.check()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.stringContaining('EACCES') });
  });
});

describe('LocalArchiveStore on a full disk', () => {
  const sizeBytes = 4 * 1024 * 1024;
  let mountPoint: string;
  let mounted = false;

  beforeAll(async () => {
    mountPoint = await mkdtemp(join(tmpdir(), 'holdfast-full-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', mountPoint], { stdio: 'pipe' });
      mounted = true;
    } catch {
      process.stderr.write('Skipped: a file system of its own cannot be mounted here, so nothing is tested on a full disk\n');
    }
  });
  afterAll(async () => {
    if (mounted) execFileSync('umount', [mountPoint]);
    await rm(mountPoint, { recursive: true });
  });

  it('fails with STORAGE_FULL, leaves nothing, and works again when there is space', async () => {
    if (!mounted) return;
    const store = new LocalArchiveStore(join(mountPoint, 'store'));
    const upload = await store.create('t/too-large');
    const content = Array.from({ length: 8 }, () => randomBytes(1024 * 1024));
    await expect(pipeline(Readable.from(content), upload.body)).rejects.toMatchObject({ code: 'STORAGE_FULL', message: expect.stringContaining('t/too-large') });
    await expect(upload.commit()).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await upload.abort();
    expect(await readdir(join(mountPoint, 'store', 't'))).toEqual([]);
    expect(await store.freeBytes()).toBeGreaterThan(sizeBytes / 2);
    const smaller = await store.create('t/fits');
    await pipeline(Readable.from(content.slice(0, 2)), smaller.body);
    await smaller.commit();
    expect(await store.stat('t/fits')).toMatchObject({ sizeBytes: 2 * 1024 * 1024 });
  });

  it('says so when it is checked', async () => {
    if (!mounted) return;
    const filler = join(mountPoint, 'filler');
    await writeFile(filler, Buffer.alloc(sizeBytes)).catch(() => undefined);
    await expect(new LocalArchiveStore(join(mountPoint, 'store')).check()).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await rm(filler);
  });
});
