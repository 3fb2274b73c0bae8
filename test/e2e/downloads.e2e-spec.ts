import { createHash, randomBytes } from 'node:crypto';
import { get, type IncomingMessage } from 'node:http';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import type { ArchiveStore } from '../../libs/storage/index.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import { DownloadsService } from '../../src/transfers/downloads.service.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { heldSince } from '../support/garbage.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';

let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
let backup: BackupAnswer;
let stored: Buffer;
let path: string;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
  // Large enough, and random enough, for a transfer that can be broken in its middle.
  await withDatabase(tenant, async (db) => {
    for (let n = 0; n < 8; n++) await db.collection('noise').insertOne({ noise: randomBytes(2_000_000) });
  });
  backup = await takeBackup(admin, tenant.id);
  path = join(storeFolder(app), (await storedFiles(app))[0]!);
  stored = await readFile(path);
});

afterAll(async () => {
  await app?.stop();
});

const sql = (text: string, values: unknown[]): Promise<unknown> => app.nest.get(DataSource).query(text, values);

async function link(variant = 'ARCHIVE', client = admin): Promise<string> {
  const { downloadCreate } = await client.run<{ downloadCreate: { url: string | null; expiresAt: string | null; userErrors: { code: string }[] } }>(
    'mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url expiresAt userErrors { code } } }',
    { input: { backupId: backup.id, variant } },
  );
  if (downloadCreate.url === null) throw new Error(downloadCreate.userErrors.map(({ code }) => code).join());
  expect(new Date(downloadCreate.expiresAt!).getTime() - Date.now()).toBeLessThanOrEqual(5 * 60_000);
  return `${app.url}${new URL(downloadCreate.url).pathname}`;
}

const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());

/** Reads some of the answer and hangs up. */
function breakOff(url: string, afterBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const request = get(url, (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let read = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        read += chunk.length;
        if (read < afterBytes) return;
        request.destroy();
        resolve(Buffer.concat(chunks));
      });
    });
    request.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? undefined : reject(error)));
  });
}

describe('a download link', () => {
  it('needs no header, gives the stored bytes, and works once', async () => {
    const url = await link();
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), head.headers.get('accept-ranges')]).toEqual([200, backup.size, 'bytes']);
    const response = await fetch(url);
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/octet-stream', 'content-disposition': `attachment; filename="${backup.fileName}"`, 'cache-control': 'private, no-store', 'x-content-type-options': 'nosniff',
      etag: `"${createHash('sha256').update(stored).digest('hex')}"`,
    });
    expect((await bytesOf(response)).equals(stored)).toBe(true);
    expect(await (await fetch(url)).json()).toMatchObject({ error: { code: 'DOWNLOAD_EXPIRED' } });
  });

  it.each(['ARCHIVE', 'DECRYPTED'])('gives the whole file to nobody who comes right after, or at the same time (%s)', async (variant) => {
    for (let n = 0; n < 5; n++) {
      const url = await link(variant);
      await bytesOf(await fetch(url));
      expect((await fetch(url, { headers: { range: 'bytes=0-0' } })).status).toBe(410);
    }
    const url = await link(variant);
    const sizes = await Promise.all(Array.from({ length: 4 }, () => fetch(url).then(bytesOf).then(({ length }) => length, () => 0)));
    const whole = variant === 'ARCHIVE' ? stored.length : Number((await fetch(await link(variant), { method: 'HEAD' })).headers.get('content-length'));
    expect(sizes.filter((size) => size === whole)).toHaveLength(1);
  });

  it('is open again when its last bytes did not go out, and takes no more than these', async () => {
    const url = await link();
    const downloads = app.nest.get(DownloadsService);
    const { download, file } = await downloads.open(url.split('/').at(-1)!, '127.0.0.1');
    try {
      const spentLink = await downloads.spend(download, file, [0, stored.length]);
      await spent(url);
      await downloads.reopen(download, file, spentLink!, [0, stored.length - 5]);
    } finally {
      await file.close();
    }
    const rest = await fetch(url, { headers: { range: 'bytes=-5' } });
    expect((await bytesOf(rest)).equals(stored.subarray(-5))).toBe(true);
    await spent(url);
  });

  it('answers single ranges, and is spent when every byte has gone out', async () => {
    const url = await link();
    const half = Math.floor(stored.length / 2);
    const second = await fetch(url, { headers: { range: `bytes=${half}-` } });
    expect([second.status, second.headers.get('content-range')]).toEqual([206, `bytes ${half}-${stored.length - 1}/${stored.length}`]);
    expect((await bytesOf(second)).equals(stored.subarray(half))).toBe(true);
    const last = await fetch(url, { headers: { range: 'bytes=-5' } });
    expect((await bytesOf(last)).equals(stored.subarray(-5))).toBe(true);
    const beyond = await fetch(url, { headers: { range: `bytes=${stored.length}-` } });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${stored.length}`]);
    const stale = await fetch(url, { method: 'HEAD', headers: { range: 'bytes=0-1', 'if-range': '"another"' } });
    expect(stale.status).toBe(200);
    const first = await fetch(url, { headers: { range: `bytes=0-${half - 1}`, 'if-range': stale.headers.get('etag')! } });
    expect(first.status).toBe(206);
    expect((await bytesOf(first)).equals(stored.subarray(0, half))).toBe(true);
    await spent(url);
  });

  it('lets a transfer that broke off go on where it stopped', async () => {
    const url = await link();
    const begun = await breakOff(url, 1_000_000);
    expect(begun.length).toBeLessThan(stored.length);
    const rest = await fetch(url, { headers: { range: `bytes=${begun.length}-` } });
    expect(rest.status).toBe(206);
    expect(Buffer.concat([begun, await bytesOf(rest)]).equals(stored)).toBe(true);
    await spent(url);
  });

  it('ends with its time, and an unknown one is not found', async () => {
    const url = await link();
    await app.nest.get(DataSource).query(`update download set expires_at = now() - interval '1 second' where spent_at is null`);
    expect((await fetch(url)).status).toBe(410);
    for (const token of [randomBytes(32).toString('base64url'), 'x', '%2e%2e']) expect((await fetch(`${app.url}/downloads/${token}`)).status).toBe(404);
  });

  it('is kept as a hash alone, and every step is in the audit log', async () => {
    const token = (await link()).split('/').at(-1)!;
    const { rows } = await app.nest.get(DataSource).query<{ text: string }[]>(`select json_agg(d)::text || (select coalesce(json_agg(a)::text, '') from audit_event a) as text from download d`).then((found) => ({ rows: found }));
    expect(rows[0]!.text).not.toContain(token);
    const { tenant: found } = await admin.run<{ tenant: { auditEvents: { edges: { node: { action: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { auditEvents(first: 100) { edges { node { action } } } } }', { id: tenant.id });
    const actions = found.auditEvents.edges.map(({ node }) => node.action);
    expect(actions).toEqual(expect.arrayContaining(['download.created', 'download.finished', 'backup.created']));
  });

  it('is given only to those who may download', async () => {
    const viewer = await createTestMember(app, admin, tenant.id, 'VIEWER');
    expect(await viewer.codeOf('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId: backup.id, variant: 'ARCHIVE' } })).toBe('FORBIDDEN');
  });
});

describe('a large download', () => {
  it('reads the store as fast as the client takes it and no faster, so that memory stays flat', async () => {
    const bytes = 256 * 1024 * 1024;
    const large = `${path}.large`;
    await writeFile(large, '');
    await truncate(large, bytes);
    const store = app.nest.get<ArchiveStore>(ARCHIVE_STORE);
    const open = store.open.bind(store);
    let read = 0;
    store.open = async () => {
      const object = await open(large.slice(storeFolder(app).length + 1));
      return {
        sizeBytes: object.sizeBytes,
        read: (offset, length) => object.read(offset, length),
        async *stream(start, end) {
          for await (const chunk of object.stream(start, end)) {
            read += chunk.length;
            yield chunk;
          }
        },
        close: () => object.close(),
      };
    };
    await sql('update backup set size_bytes = $1', [bytes]);
    try {
      const url = await link();
      const before = process.memoryUsage().arrayBuffers;
      const mostHeld = bytes / 2;
      const response = await new Promise<IncomingMessage>((resolve, reject) => get(url, resolve).on('error', reject));
      response.pause();
      // Whatever lies between the two ends of the connection fills up, and then nothing more is read.
      for (let last = -1; last !== read || read === 0; ) {
        last = read;
        await delay(300);
      }
      expect(read).toBeLessThan(bytes / 4);
      let received = 0;
      let peak = 0;
      for await (const chunk of response) {
        received += (chunk as Buffer).length;
        if (peak < mostHeld && process.memoryUsage().arrayBuffers - before >= mostHeld) peak = heldSince(before);
      }
      expect([received, read]).toEqual([bytes, bytes]);
      expect(peak).toBeLessThan(mostHeld);
      await spent(url);
    } finally {
      store.open = open;
      await sql('update backup set size_bytes = $1', [stored.length]);
      await rm(large);
    }
  });
});

describe('a decrypted download', () => {
  it('is the plain archive that the public tools read', async () => {
    const response = await fetch(await link('DECRYPTED'));
    expect(Object.fromEntries(response.headers)).toMatchObject({ 'content-type': 'application/gzip', 'accept-ranges': 'none', 'content-disposition': `attachment; filename="${backup.fileName!.replace(/\.enc$/, '')}"` });
    const plain = gunzipSync(await bytesOf(response));
    expect(plain.readUInt32BE(0)).toBe(0x6de29981);
    expect(plain.length).toBeGreaterThan(16_000_000);
  });

  it('breaks off, and never ends well, when the stored file was damaged', async () => {
    const damaged = Buffer.from(stored);
    damaged[damaged.length - 400_000]! ^= 1;
    const url = await link('DECRYPTED');
    await writeFile(path, damaged);
    try {
      // Before or after the head has gone out: errors of fetch are of another realm.
      await expect(fetch(url).then(bytesOf)).rejects.toMatchObject({ message: expect.any(String) });
    } finally {
      await writeFile(path, stored);
    }
  });
});

async function spent(url: string): Promise<void> {
  expect((await fetch(url, { method: 'HEAD' })).status).toBe(410);
}
