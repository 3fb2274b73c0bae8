import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ArchiveStore, IncompleteObject, ObjectInfo } from '../port.js';
import { StorageLocked } from '../storage-locked.js';

export interface StoreUnderTest {
  readonly store: ArchiveStore;
  readonly dispose: () => Promise<void>;
}

const mib = 1024 * 1024;

async function put(store: ArchiveStore, key: string, content: Buffer): Promise<void> {
  const upload = await store.create(key);
  await pipeline(Readable.from([content]), upload.body);
  await upload.commit();
}

async function get(store: ArchiveStore, key: string, start?: number, end?: number): Promise<Buffer> {
  const object = await store.open(key);
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of object.stream(start, end)) chunks.push(chunk);
    return Buffer.concat(chunks);
  } finally {
    await object.close();
  }
}

async function keys(store: ArchiveStore, prefix: string): Promise<string[]> {
  const found: ObjectInfo[] = [];
  for await (const info of store.list(prefix)) found.push(info);
  return found.map(({ key }) => key);
}

async function allKeys(store: ArchiveStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const key of store.allKeys(prefix)) found.push(key);
  return found.sort();
}

/** What every adapter of the port promises. */
export function describeArchiveStore(name: string, start: () => Promise<StoreUnderTest>): void {
  describe(`${name} as an archive store`, () => {
    let tested: StoreUnderTest;
    let store: ArchiveStore;
    let key: string;

    beforeEach(async () => {
      tested = await start();
      store = tested.store;
      key = `${randomUUID()}/db-backups/daily_20260101_020000_ab12.gz.enc`;
    });
    afterEach(() => tested.dispose());

    it('gives back what was written, whole and from any place', async () => {
      const content = randomBytes(3 * mib + 17);
      await put(store, key, content);
      expect(createHash('sha256').update(await get(store, key)).digest('hex')).toBe(createHash('sha256').update(content).digest('hex'));
      expect((await get(store, key, mib - 3, 2 * mib + 5)).equals(content.subarray(mib - 3, 2 * mib + 5))).toBe(true);
      const object = await store.open(key);
      expect(object.sizeBytes).toBe(content.length);
      expect((await object.read(content.length - 10, 10)).equals(content.subarray(-10))).toBe(true);
      expect(await object.read(content.length, 0)).toHaveLength(0);
      await object.close();
    });

    it('has a mark that is written once, by one of those who try, and that no listing shows', async () => {
      expect(await store.mark.read()).toBeNull();
      const texts = Array.from({ length: 8 }, (_, index) => `mark ${index}`);
      const made = await Promise.all(texts.map(async (text) => ((await store.mark.create(text)) ? [text] : [])));
      expect(made.flat()).toHaveLength(1);
      expect([await store.mark.read()]).toEqual(made.flat());
      expect(await store.mark.create('another')).toBe(false);
      await put(store, key, Buffer.from('x'));
      expect([await keys(store, ''), await allKeys(store, '')]).toEqual([[key], [key]]);
      for await (const { key: unfinished } of store.incomplete()) expect(unfinished).toBeNull();
    });

    it('streams in chunks of at most 1 MiB', async () => {
      await put(store, key, randomBytes(2 * mib + 1));
      const object = await store.open(key);
      const sizes: number[] = [];
      for await (const chunk of object.stream()) sizes.push(chunk.length);
      await object.close();
      expect(Math.max(...sizes)).toBeLessThanOrEqual(mib);
    });

    it('refuses to read past the end', async () => {
      await put(store, key, Buffer.from('twelve bytes'));
      const object = await store.open(key);
      await expect(object.read(8, 5)).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
      await expect(object.read(0, 4 * 1024 ** 3)).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
      await object.close();
    });

    it('shows nothing under the key until the commit', async () => {
      const upload = await store.create(key);
      await new Promise<void>((resolve) => upload.body.write(randomBytes(mib), () => resolve()));
      expect(await store.stat(key)).toBeNull();
      await expect(store.open(key)).rejects.toMatchObject({ code: 'ARCHIVE_MISSING' });
      expect(await keys(store, '')).toEqual([]);
      await upload.commit();
      expect(await store.stat(key)).toMatchObject({ key, sizeBytes: mib });
    });

    it('stores an object of no bytes', async () => {
      const upload = await store.create(key);
      await upload.commit();
      expect(await store.stat(key)).toMatchObject({ sizeBytes: 0 });
      expect(await get(store, key)).toHaveLength(0);
    });

    it('leaves nothing of an aborted upload, however often it is aborted', async () => {
      const upload = await store.create(key);
      upload.body.write(randomBytes(mib));
      await upload.abort();
      await upload.abort();
      expect(await store.stat(key)).toBeNull();
      await expect(upload.commit()).rejects.toThrow();
      await put(store, key, Buffer.from('next'));
      expect((await get(store, key)).toString()).toBe('next');
    });

    it('replaces an object whole', async () => {
      await put(store, key, Buffer.from('the first, longer one'));
      await put(store, key, Buffer.from('the second'));
      expect((await get(store, key)).toString()).toBe('the second');
    });

    it('discards what a dead writer left of this key and of no other', async () => {
      const mine = await store.create(key);
      await new Promise<void>((resolve) => mine.body.write(randomBytes(1000), () => resolve()));
      const other = await store.create(`${key}-2`);
      await store.discardIncomplete(key);
      await store.discardIncomplete(key);
      await other.commit();
      expect(await keys(store, '')).toEqual([`${key}-2`]);
      await expect(mine.commit()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    });

    it('tells what was begun and not finished, in one go or in pieces', async () => {
      const begunAt = Date.now();
      await put(store, `${key}-whole`, Buffer.from('whole'));
      const writing = await store.create(key);
      await store.resumable.append(`${key}-pieces`, 0, 100, (async function* () { yield Buffer.alloc(60); })());
      const told = async (): Promise<IncompleteObject[]> => {
        const found: IncompleteObject[] = [];
        for await (const object of store.incomplete()) if (object.key.startsWith(key)) found.push(object);
        return found;
      };
      const found = await told();
      expect([...new Set(found.map((object) => object.key))].sort()).toEqual([key, `${key}-pieces`]);
      // Stores tell whole seconds.
      for (const { touchedAt } of found) expect(Math.abs(touchedAt.getTime() - begunAt)).toBeLessThan(60_000);
      await writing.abort();
      await store.resumable.publish(`${key}-pieces`);
      expect(await told()).toEqual([]);
    });

    it('keeps a committed object when incomplete ones are discarded', async () => {
      await put(store, key, Buffer.from('whole'));
      await store.discardIncomplete(key);
      expect((await get(store, key)).toString()).toBe('whole');
    });

    it('says whether it deleted something', async () => {
      await put(store, key, Buffer.from('x'));
      expect(await store.delete(key)).toBe(true);
      expect(await store.delete(key)).toBe(false);
      await expect(store.open(key)).rejects.toMatchObject({ code: 'ARCHIVE_MISSING' });
    });

    it('deletes for good, also what was replaced or came in pieces', async () => {
      await put(store, key, Buffer.from('the first'));
      await put(store, key, Buffer.from('the second'));
      await store.resumable.append(`${key}-pieces`, 0, 100, (async function* () { yield Buffer.alloc(60); })());
      await store.resumable.publish(`${key}-pieces`);
      expect([...new Set(await allKeys(store, key))]).toEqual([key, `${key}-pieces`]);
      expect([await store.delete(key), await store.delete(`${key}-pieces`)]).toEqual([true, true]);
      expect(await allKeys(store, '')).toEqual([]);
    });

    it('protects nothing where it has no lock', async () => {
      await put(store, key, Buffer.from('x'));
      await store.requireLock();
      await store.protect(key);
      expect(store.lock).toBeNull();
      expect(await store.delete(key)).toBe(true);
    });

    it('lists by prefix in the order of the keys', async () => {
      for (const name of ['a/z', 'a/b/c', 'a.b/c', 'ab/c', 'b']) await put(store, name, Buffer.from(name));
      expect(await keys(store, '')).toEqual(['a.b/c', 'a/b/c', 'a/z', 'ab/c', 'b']);
      expect(await keys(store, 'a/')).toEqual(['a/b/c', 'a/z']);
      expect(await keys(store, 'a')).toEqual(['a.b/c', 'a/b/c', 'a/z', 'ab/c']);
      expect(await keys(store, 'a/b/c')).toEqual(['a/b/c']);
      expect(await keys(store, 'none/')).toEqual([]);
    });

    it.each(['', '/', '/etc/passwd', '../x', 'a/../../x', 'a//b', 'a/', './a', '.hidden', 'a/.partial-x', 'a\\b', 'a b', 'a\0b', 'ä', 'a'.repeat(300), 'a/'.repeat(500) + 'a'])(
      'refuses the key %j',
      async (bad) => {
        for (const call of [() => store.create(bad), () => store.open(bad), () => store.stat(bad), () => store.delete(bad), () => store.discardIncomplete(bad)]) {
          await expect(call()).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
        }
      },
    );

    it('refuses a prefix that climbs', async () => {
      await expect(keys(store, '../')).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    });

    it('writes many objects side by side', async () => {
      const contents = Array.from({ length: 8 }, () => randomBytes(200_000));
      await Promise.all(contents.map((content, index) => put(store, `t/parallel-${index}`, content)));
      for (const [index, content] of contents.entries()) expect((await get(store, `t/parallel-${index}`)).equals(content)).toBe(true);
    });

    it('checks itself and leaves no trace of it', async () => {
      await store.check();
      expect(await keys(store, '')).toEqual([]);
      const free = await store.freeBytes();
      if (free !== null) expect(free).toBeGreaterThan(0);
    });

    it('takes an object in pieces, across instances, and shows it only when it is published', async () => {
      const content = randomBytes(2 * mib + 5);
      const pieces = async function* (from: number, to: number, breaks = false): AsyncGenerator<Buffer> {
        for (let at = from; at < to; at += 100_000) yield content.subarray(at, Math.min(at + 100_000, to));
        if (breaks) throw new Error('the client hung up');
      };
      const { resumable } = store;
      expect(await resumable.received(key)).toBe(0);
      await expect(resumable.publish(key)).rejects.toMatchObject({ code: 'ARCHIVE_MISSING' });
      const cut = await resumable.append(key, 0, content.length, pieces(0, mib, true));
      expect(cut).toMatchObject({ receivedBytes: mib, brokenOff: expect.objectContaining({ message: 'the client hung up' }) });
      expect([await resumable.received(key), await keys(store, ''), await store.stat(key)]).toEqual([mib, [], null]);
      await expect(resumable.append(key, mib - 1, content.length, pieces(0, 5))).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT' });
      expect(await resumable.append(key, mib, content.length, pieces(mib, content.length))).toEqual({ receivedBytes: content.length, brokenOff: null });
      await resumable.publish(key);
      await resumable.publish(key);
      expect([await resumable.received(key), await keys(store, '')]).toEqual([content.length, [key]]);
      expect((await get(store, key)).equals(content)).toBe(true);
    });

    it('takes no more than was announced, and forgets what is given up', async () => {
      const { resumable } = store;
      const tooMuch = await resumable.append(key, 0, 150, (async function* () { yield Buffer.alloc(100); yield Buffer.alloc(100); })());
      expect(tooMuch).toMatchObject({ receivedBytes: 100, brokenOff: { code: 'ARCHIVE_TOO_LARGE' } });
      await store.discardIncomplete(key);
      expect(await resumable.received(key)).toBe(0);
    });
  });
}

export interface LockedStoreUnderTest {
  /** With a lock of some seconds, which the test waits for. */
  readonly store: ArchiveStore;
  /** The same place with a lock of a much shorter time. */
  readonly lax: ArchiveStore;
}

/** What every adapter promises whose store has object locks. */
export function describeLockedStore(name: string, start: () => LockedStoreUnderTest): void {
  describe(`${name} as a store with object locks`, () => {
    let store: ArchiveStore;
    let lax: ArchiveStore;
    let key: string;

    beforeEach(() => {
      ({ store, lax } = start());
      key = `${randomUUID()}/db-backups/daily_20260101_020000_ab12.gz.enc`;
    });

    const lockMs = (of: ArchiveStore): number => (of.lock?.days ?? 0) * 86_400_000;

    /** Until when the store says that it keeps it. */
    async function refused(): Promise<number> {
      const error = await store.delete(key).then(() => null, (reason: unknown) => reason);
      if (!(error instanceof StorageLocked) || error.until === null) throw new Error(`It was not kept: ${String(error)}`);
      expect(error).toMatchObject({ code: 'STORAGE_LOCKED', message: expect.stringContaining(error.until.toISOString()) });
      return error.until.getTime();
    }

    async function publish(): Promise<void> {
      await store.resumable.append(key, 0, 100, (async function* () { yield Buffer.alloc(60); })());
      await store.resumable.publish(key);
    }

    it('keeps what was written until its lock ends, readable all the while, and lets it go for good then', async () => {
      const content = randomBytes(6 * mib);
      const begunAt = Date.now();
      await put(store, key, content);
      const until = await refused();
      expect(until).toBeGreaterThanOrEqual(begunAt + lockMs(store) - 1_000);
      expect(until).toBeLessThanOrEqual(Date.now() + lockMs(store));
      expect((await get(store, key)).equals(content)).toBe(true);
      expect(await keys(store, key)).toEqual([key]);
      await delay(until - Date.now() + 1_000);
      expect(await store.delete(key)).toBe(true);
      expect([await store.stat(key), await allKeys(store, key)]).toEqual([null, []]);
    });

    it('keeps each of what was replaced as long as its own lock says, one of no bytes too', async () => {
      await put(store, key, Buffer.alloc(0));
      await refused();
      await put(store, key, Buffer.from('the second'));
      expect((await get(store, key)).toString()).toBe('the second');
      const until = await refused();
      await delay(until - Date.now() + 1_000);
      await store.delete(key);
      expect(await allKeys(store, key)).toEqual([]);
    });

    it('lets go at once what is not locked yet', async () => {
      await publish();
      expect(await store.delete(key)).toBe(true);
      expect(await allKeys(store, key)).toEqual([]);
    });

    it('protects what came otherwise, and never shortens a lock', async () => {
      await publish();
      await store.protect(key);
      const until = await refused();
      expect(until).toBeGreaterThan(Date.now());
      await lax.protect(key);
      expect(await refused()).toBe(until);
      await lax.discardIncomplete(key);
      expect(await store.stat(key)).not.toBeNull();
    });

    it('lengthens a lock that is shorter than its own', async () => {
      await put(lax, key, Buffer.from('x'));
      const before = await refused();
      await store.protect(key);
      expect(await refused()).toBeGreaterThan(before);
    });

    it('locks nothing that was not finished', async () => {
      const upload = await store.create(key);
      await new Promise<void>((resolve) => upload.body.write(randomBytes(6 * mib), () => resolve()));
      await store.discardIncomplete(key);
      for await (const object of store.incomplete()) expect(object.key).not.toBe(key);
      expect(await allKeys(store, key)).toEqual([]);
    });

    it('checks itself, its lock too, and leaves no trace of it', async () => {
      const before = await allKeys(store, '');
      await store.requireLock();
      await store.check();
      expect(await allKeys(store, '')).toEqual(before);
    });
  });
}
