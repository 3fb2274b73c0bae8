import { randomBytes } from 'node:crypto';
import { createServer, connect, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DeleteObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, ListObjectVersionsCommand, ListPartsCommand, PutObjectLegalHoldCommand, PutObjectLockConfigurationCommand, PutObjectRetentionCommand } from '@aws-sdk/client-s3';
import { s3Bucket, s3Keys, s3LockedBucket, S3Server, s3VersionedBucket } from '../../../test/support/s3-server.js';
import { describeArchiveStore, describeLockedStore } from '../contract/archive-store.contract.js';
import type { ObjectLock } from '../port.js';
import { S3ArchiveStore } from './s3-archive-store.js';
import { parseS3Url } from './s3-location.js';

const mib = 1024 * 1024;
const server = await S3Server.start({ versions: true });
afterAll(async () => server?.stop());

function storeAt(endpoint: string, options: { readonly bucket?: string; readonly prefix?: string; readonly secretAccessKey?: string; readonly partMiB?: number; readonly lock?: ObjectLock | null } = {}): S3ArchiveStore {
  const { bucket = s3Bucket, prefix = `p${randomBytes(6).toString('hex')}`, secretAccessKey = s3Keys.secretAccessKey, partMiB = 5, lock = null } = options;
  return new S3ArchiveStore({ ...parseS3Url(`s3://${bucket}/${prefix}?endpoint=${endpoint}&partMiB=${partMiB}`), lock }, { ...s3Keys, secretAccessKey });
}

async function put(store: S3ArchiveStore, key: string, content: Buffer): Promise<void> {
  const upload = await store.create(key);
  await pipeline(Readable.from([content]), upload.body);
  await upload.commit();
}

async function get(store: S3ArchiveStore, key: string): Promise<Buffer> {
  const object = await store.open(key);
  const chunks: Buffer[] = [];
  for await (const chunk of object.stream()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Between the store and the server: counts what was asked, and breaks connections as it is told to. */
class Breaker {
  requests: string[] = [];
  /** This many requests whose first line holds `matching` are cut off. */
  cuts = 0;
  matching = '';
  /** This many requests are passed on, and their answers lost, whose first line holds `matching`. */
  lostAnswers = 0;
  /** Requests whose first line is like this are refused. */
  refused: RegExp | null = null;
  refusals = 0;
  /** Requests with a condition are answered as by a store that has none. */
  knowsNoConditions = false;
  /** Answers end after so many bytes; null: whole. */
  answerBytes: number | null = null;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(to: number): Promise<Breaker> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const breaker = new Breaker(server, (server.address() as AddressInfo).port);
    server.on('connection', (client) => breaker.pass(client, to));
    return breaker;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private pass(client: Socket, to: number): void {
    const upstream = connect(to, '127.0.0.1');
    let answered = 0;
    let losesAnswer = false;
    const end = (): void => void (client.destroy(), upstream.destroy());
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.on('error', end).on('close', end);
    }
    client.on('data', (chunk: Buffer) => {
      const [line = ''] = chunk.toString('latin1').split('\r\n');
      if (/ HTTP\/1\.1$/.test(line)) {
        this.requests.push(line);
        answered = 0;
        const refuse = (status: string, code: string): void => {
          this.refusals += 1;
          const body = `<Error><Code>${code}</Code><Message>Refused</Message></Error>`;
          client.end(`HTTP/1.1 ${status}\r\ncontent-type: application/xml\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
          upstream.destroy();
        };
        if (this.refused?.test(line) === true) return refuse('403 Forbidden', 'AccessDenied');
        if (this.knowsNoConditions && /\r\nif-none-match:/i.test(chunk.toString('latin1'))) return refuse('501 Not Implemented', 'NotImplemented');
        if (this.cuts > 0 && line.includes(this.matching)) {
          this.cuts -= 1;
          return end();
        }
        if (this.lostAnswers > 0 && line.includes(this.matching)) {
          this.lostAnswers -= 1;
          losesAnswer = true;
        }
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (losesAnswer) return end();
      answered += chunk.length;
      if (this.answerBytes === null || answered <= this.answerBytes) return void client.write(chunk);
      client.end(chunk.subarray(0, Math.max(0, this.answerBytes - (answered - chunk.length))));
      upstream.destroy();
    });
  }
}

if (server === null) {
  it('S3 was not tested: see the line above', () => expect(server).toBeNull());
} else {
  for (const bucket of [s3Bucket, s3VersionedBucket, s3LockedBucket]) {
    describeArchiveStore(`S3ArchiveStore in the bucket ${bucket}`, () => Promise.resolve({ store: storeAt(server.endpoint, { bucket }), dispose: () => Promise.resolve() }));
  }
  const seconds = (mode: ObjectLock['mode'], count: number): ObjectLock => ({ mode, days: count / 86_400 });
  for (const mode of ['COMPLIANCE', 'GOVERNANCE'] as const) {
    describeLockedStore(`S3ArchiveStore (${mode})`, () => {
      const place = { bucket: s3LockedBucket, prefix: `p${randomBytes(6).toString('hex')}` };
      return { store: storeAt(server.endpoint, { ...place, lock: seconds(mode, 6) }), lax: storeAt(server.endpoint, { ...place, lock: seconds(mode, 2) }) };
    });
  }

  describe('S3ArchiveStore, where versions and locks are concerned,', () => {
    const client = server.client();
    afterAll(() => client.destroy());
    let breaker: Breaker;
    beforeAll(async () => {
      breaker = await Breaker.start(server.port);
    });
    afterAll(() => breaker.stop());
    const days: ObjectLock = { mode: 'GOVERNANCE', days: 1 };
    const allKeys = async (store: S3ArchiveStore): Promise<string[]> => {
      const found: string[] = [];
      for await (const key of store.allKeys('')) found.push(key);
      return found;
    };

    it('finds and deletes what somebody else has hidden', async () => {
      const store = storeAt(server.endpoint, { bucket: s3VersionedBucket, prefix: 'hidden' });
      await put(store, 't/a', Buffer.from('x'));
      await client.send(new DeleteObjectCommand({ Bucket: s3VersionedBucket, Key: 'hidden/t/a' }));
      expect([await store.stat('t/a'), await allKeys(store)]).toEqual([null, ['t/a']]);
      expect(await store.delete('t/a')).toBe(true);
      const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: s3VersionedBucket, Prefix: 'hidden/' }));
      expect([Versions, DeleteMarkers]).toEqual([[], []]);
    });

    it.each([s3VersionedBucket, s3LockedBucket])('leaves no version of what it writes for itself in %s', async (bucket) => {
      const prefix = `own-${randomBytes(4).toString('hex')}`;
      const store = storeAt(server.endpoint, { bucket, prefix, lock: bucket === s3LockedBucket ? days : null });
      await store.check();
      for (const at of [0, 10]) await store.resumable.append('t/pieces', at, 100, Readable.from([Buffer.alloc(10)]));
      await store.discardIncomplete('t/pieces');
      const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: `${prefix}/` }));
      expect([Versions, DeleteMarkers]).toEqual([[], []]);
    });

    it('deletes of objects whose names begin alike the one that is meant', async () => {
      const store = storeAt(server.endpoint, { bucket: s3VersionedBucket, prefix: 'alike' });
      for (const key of ['t/a', 't/a-2', 't/a.b']) await put(store, key, Buffer.from('x'));
      await store.delete('t/a');
      expect(await allKeys(store)).toEqual(['t/a-2', 't/a.b']);
    });

    it('says that a bucket has no object lock, when it is asked and when it writes', async () => {
      for (const bucket of [s3Bucket, s3VersionedBucket]) {
        const store = storeAt(server.endpoint, { bucket, lock: days });
        for (const call of [() => store.check(), () => store.requireLock(), () => store.create('t/a')]) {
          await expect(call()).rejects.toMatchObject({ code: 'OBJECT_LOCK_UNFIT', message: `The bucket ${bucket} has no object lock`, hint: expect.stringContaining('made with object lock') });
        }
        expect(await allKeys(store)).toEqual([]);
      }
    });

    it('refuses a bucket that locks by itself whatever is put there', async () => {
      const rule = (Rule: PutObjectLockConfigurationCommand['input']['ObjectLockConfiguration']): Promise<unknown> => client.send(new PutObjectLockConfigurationCommand({ Bucket: s3LockedBucket, ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', ...Rule } }));
      await rule({ Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } } });
      try {
        await expect(storeAt(server.endpoint, { bucket: s3LockedBucket, lock: days }).check()).rejects.toMatchObject({ code: 'OBJECT_LOCK_UNFIT', message: expect.stringContaining('by a rule of its own') });
      } finally {
        await rule({});
      }
    });

    it('says of a legal hold that it has no end, and deletes when it is taken away', async () => {
      const store = storeAt(server.endpoint, { bucket: s3LockedBucket, prefix: 'held' });
      await put(store, 't/a', Buffer.from('x'));
      const hold = (Status: 'ON' | 'OFF'): Promise<unknown> => client.send(new PutObjectLegalHoldCommand({ Bucket: s3LockedBucket, Key: 'held/t/a', LegalHold: { Status } }));
      await hold('ON');
      await expect(store.delete('t/a')).rejects.toMatchObject({ code: 'STORAGE_LOCKED', until: null });
      await hold('OFF');
      expect(await store.delete('t/a')).toBe(true);
    });

    it('deletes all that is not locked beside what is, and says the last date of what stays', async () => {
      const place = { bucket: s3LockedBucket, prefix: 'mixed' };
      const store = storeAt(server.endpoint, { ...place, lock: days });
      await put(storeAt(server.endpoint, place), 't/a', Buffer.from('unlocked'));
      await put(store, 't/a', Buffer.from('locked'));
      await put(storeAt(server.endpoint, { ...place, lock: { mode: 'GOVERNANCE', days: 2 } }), 't/a', Buffer.from('locked for longer'));
      const refused = await store.delete('t/a').catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'STORAGE_LOCKED' });
      expect((refused as { readonly until: Date }).until.getTime() - Date.now()).toBeGreaterThan(1.9 * 86_400_000);
      const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: s3LockedBucket, Prefix: 'mixed/' }));
      expect(Versions).toHaveLength(2);
      // Whom the store gives the right may take a GOVERNANCE lock away; Holdfast does not ask for it.
      for (const { VersionId } of Versions) await client.send(new PutObjectRetentionCommand({ Bucket: s3LockedBucket, Key: 'mixed/t/a', VersionId, BypassGovernanceRetention: true, Retention: { Mode: 'GOVERNANCE', RetainUntilDate: new Date(Date.now() + 500) } }));
      await delay(1_500);
      await store.delete('t/a');
      expect(await allKeys(store)).toEqual([]);
    });

    it('works in a bucket without versions for a user who may not list them, and in one with versions says what is missing before it hides anything', async () => {
      breaker.refused = /[?&]versions/;
      const plain = storeAt(breaker.endpoint);
      await put(plain, 't/a', Buffer.from('x'));
      expect(await allKeys(plain)).toEqual(['t/a']);
      expect([await plain.delete('t/a'), await plain.delete('t/a'), await plain.stat('t/a')]).toEqual([true, false, null]);
      await plain.check();
      expect(breaker.refusals).toBeGreaterThan(0);
      const versioned = storeAt(breaker.endpoint, { bucket: s3VersionedBucket });
      await put(versioned, 't/a', Buffer.from('x'));
      await expect(versioned.delete('t/a')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.stringContaining('s3:ListBucketVersions') });
      expect(await versioned.stat('t/a')).not.toBeNull();
    });
  });

  describe('S3ArchiveStore', () => {
    let breaker: Breaker;
    beforeAll(async () => {
      breaker = await Breaker.start(server.port);
    });
    afterAll(() => breaker.stop());

    const unfinished = async (prefix = ''): Promise<string[]> => {
      const client = server.client();
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: s3Bucket, Prefix: prefix }));
      client.destroy();
      return Uploads.map(({ Key = '' }) => Key);
    };

    it('writes objects of many parts in bounded pieces', async () => {
      const store = storeAt(server.endpoint);
      const content = randomBytes(17 * mib + 3);
      const upload = await store.create('t/large');
      await pipeline(Readable.from([content.subarray(0, 7 * mib), content.subarray(7 * mib)]), upload.body);
      await upload.commit();
      expect((await get(store, 't/large')).equals(content)).toBe(true);
    });

    it('keeps to its prefix: another store of the bucket sees nothing of it', async () => {
      const [one, other] = [storeAt(server.endpoint), storeAt(server.endpoint)];
      await put(one, 't/a', Buffer.from('mine'));
      expect(await other.stat('t/a')).toBeNull();
      for await (const { key } of other.list('')) throw new Error(`Saw ${key}`);
    });

    it.each([1, 4])('sends a part again that failed %s times', async (times) => {
      const store = storeAt(breaker.endpoint);
      const content = randomBytes(6 * mib);
      breaker.matching = 'partNumber=1';
      breaker.cuts = times;
      await put(store, `t/again-${times}`, content);
      expect(breaker.cuts).toBe(0);
      expect((await get(store, `t/again-${times}`)).equals(content)).toBe(true);
    }, 60_000);

    it('gives up a part that goes on failing, and leaves nothing of the upload', async () => {
      const store = storeAt(breaker.endpoint, { prefix: 'given-up' });
      breaker.matching = 'partNumber=2';
      breaker.cuts = 100;
      const upload = await store.create('t/a');
      await expect(pipeline(Readable.from([randomBytes(6 * mib)]), upload.body).then(() => upload.commit())).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.stringContaining('t/a') });
      await upload.abort();
      breaker.cuts = 0;
      expect(await store.stat('t/a')).toBeNull();
      expect((await unfinished()).filter((key) => key.startsWith('given-up'))).toEqual([]);
      await put(store, 't/a', Buffer.from('next'));
      expect((await get(store, 't/a')).toString()).toBe('next');
    }, 60_000);

    it('goes on reading at the byte where the connection broke, and names the object when it goes on breaking', async () => {
      const content = randomBytes(3 * mib);
      await put(storeAt(server.endpoint, { prefix: 'broken' }), 't/a', content);
      const store = storeAt(breaker.endpoint, { prefix: 'broken' });
      breaker.answerBytes = 700_000;
      breaker.requests = [];
      expect((await get(store, 't/a')).equals(content)).toBe(true);
      expect(breaker.requests.filter((line) => line.startsWith('GET')).length).toBeGreaterThan(3);
      breaker.answerBytes = null;
      const opened = await store.open('t/a');
      breaker.answerBytes = 10;
      await expect(opened.read(0, 1000)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.stringContaining('reading t/a') });
      breaker.answerBytes = null;
    }, 60_000);

    it('notices that an object was replaced while it was open', async () => {
      const store = storeAt(server.endpoint);
      await put(store, 't/a', randomBytes(100));
      const object = await store.open('t/a');
      await put(store, 't/a', randomBytes(100));
      await expect(object.read(0, 10)).rejects.toMatchObject({ code: 'ARCHIVE_REPLACED' });
    });

    it('has one mark where the store knows no conditions, too', async () => {
      const store = storeAt(breaker.endpoint);
      breaker.knowsNoConditions = true;
      try {
        expect([await store.mark.create('first'), await store.mark.create('second'), await store.mark.read()]).toEqual([true, false, 'first']);
        expect(breaker.refusals).toBeGreaterThan(0);
      } finally {
        breaker.knowsNoConditions = false;
      }
    });

    it('says what is wrong with keys and bucket, and shows no secret', async () => {
      const wrong = storeAt(server.endpoint, { secretAccessKey: 'not-the-secret' });
      const refused = await wrong.check().catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.stringContaining('SignatureDoesNotMatch') });
      expect(JSON.stringify(refused) + String(refused)).not.toContain('not-the-secret');
      await expect(storeAt(server.endpoint, { bucket: 'no-such-bucket' }).check()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.stringContaining('NoSuchBucket') });
      await expect(storeAt('http://127.0.0.1:1').check()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    }, 60_000);

    it('does not take what it cannot see for gone: a bucket that is not there holds and deletes nothing', async () => {
      const store = storeAt(server.endpoint, { bucket: 'not-there-at-all' });
      for (const call of [() => store.stat('t/a'), () => store.open('t/a'), () => store.delete('t/a')]) await expect(call()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    });

    it('lets a client send the parts itself, and shows the object only when it is published', async () => {
      const store = storeAt(server.endpoint);
      const content = randomBytes(11 * mib);
      const { partBytes, urls } = await store.direct.begin('t/direct', content.length, 60);
      expect([partBytes, urls.length]).toEqual([5 * mib, 3]);
      for (const [index, url] of urls.entries()) {
        expect(await store.resumable.received('t/direct')).toBe(Math.min(index * partBytes, content.length));
        expect((await fetch(url, { method: 'PUT', body: content.subarray(index * partBytes, (index + 1) * partBytes) })).status).toBe(200);
      }
      expect(await store.stat('t/direct')).toBeNull();
      await store.resumable.publish('t/direct');
      await store.resumable.publish('t/direct');
      expect((await get(store, 't/direct')).equals(content)).toBe(true);
      expect((await unfinished()).filter((key) => key.endsWith('t/direct'))).toEqual([]);
      const other = new URL(urls[0] ?? '');
      other.pathname = other.pathname.replace('direct', 'other');
      expect((await fetch(other, { method: 'PUT', body: 'x' })).status).toBe(403);
    });

    it('takes no part that is longer or shorter than it was announced', async () => {
      const store = storeAt(server.endpoint);
      const { partBytes, urls } = await store.direct.begin('t/bound', 6 * mib, 60);
      const [first = '', last = ''] = urls;
      for (const [url, length] of [[first, partBytes - 1], [first, partBytes + 1], [last, mib - 1], [last, mib + 1]] as const) {
        // The server may hang up before it has read what it refuses.
        const answer = await fetch(url, { method: 'PUT', body: Buffer.alloc(length) }).catch(() => null);
        expect(answer === null || answer.status === 403).toBe(true);
      }
      expect(await store.resumable.received('t/bound')).toBe(0);
      expect((await fetch(last, { method: 'PUT', body: Buffer.alloc(mib) })).status).toBe(200);
      await store.discardIncomplete('t/bound');
    });

    it('makes the parts of what comes in pieces as large as the announced size needs', async () => {
      const store = storeAt(server.endpoint, { prefix: 'grown' });
      const announced = 100 * 1024 * mib;
      await store.resumable.append('t/a', 0, announced, Readable.from([Buffer.alloc(25 * mib)]));
      const client = server.client();
      const { Uploads: [upload] = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: s3Bucket, Prefix: 'grown/t/a' }));
      const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket: s3Bucket, Key: 'grown/t/a', UploadId: upload?.UploadId }));
      client.destroy();
      expect(Parts.map(({ Size }) => Size)).toEqual([11 * mib, 11 * mib]);
      expect(await store.resumable.received('t/a')).toBe(25 * mib);
      await store.discardIncomplete('t/a');
    });

    it('knows its upload though the answer to its beginning was lost', async () => {
      const store = storeAt(breaker.endpoint, { prefix: 'twice' });
      const begins = (): number => breaker.requests.filter((line) => /^POST .*uploads/.test(line)).length;
      breaker.requests = [];
      breaker.lostAnswers = 1;
      breaker.matching = '?uploads';
      const { urls: [url = ''] } = await store.direct.begin('t/a', 100, 60);
      expect([begins(), breaker.lostAnswers]).toEqual([2, 0]);
      expect(await unfinished('twice/')).toHaveLength(1);
      expect((await fetch(url, { method: 'PUT', body: Buffer.alloc(100) })).status).toBe(200);
      await store.resumable.publish('t/a');
      expect((await get(store, 't/a')).length).toBe(100);
    });

    it('takes large objects in pieces, and keeps nothing of their tails', async () => {
      const store = storeAt(server.endpoint, { prefix: 'pieces' });
      const content = randomBytes(19 * mib);
      const pieces = async function* (from: number, to: number): AsyncGenerator<Buffer> {
        for (let at = from; at < to; at += 300_000) yield content.subarray(at, Math.min(at + 300_000, to));
      };
      for (let at = 0; at < content.length; at += 5 * mib + 1) await store.resumable.append('t/a', at, content.length, pieces(at, Math.min(at + 5 * mib + 1, content.length)));
      expect(await store.resumable.received('t/a')).toBe(content.length);
      await store.resumable.publish('t/a');
      expect((await get(store, 't/a')).equals(content)).toBe(true);
      const client = server.client();
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: s3Bucket, Prefix: 'pieces/' }));
      client.destroy();
      expect(Contents.map(({ Key }) => Key)).toEqual(['pieces/t/a']);
    });

    it('works again after the server was killed in the middle', async () => {
      const store = storeAt(server.endpoint, { prefix: 'killed' });
      const upload = await store.create('t/a');
      await new Promise<void>((resolve) => upload.body.write(randomBytes(6 * mib), () => resolve()));
      await server.kill();
      await expect(new Promise((resolve, reject) => upload.body.write(randomBytes(6 * mib), (error) => (error ? reject(error) : resolve(null)))).then(() => upload.commit())).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      await server.restart();
      await store.discardIncomplete('t/a');
      await put(store, 't/a', Buffer.from('whole'));
      expect((await get(store, 't/a')).toString()).toBe('whole');
      expect((await unfinished()).filter((key) => key.startsWith('killed'))).toEqual([]);
    }, 60_000);
  });
}
