import { randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import type { ArchiveStore } from '../../libs/storage/index.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import { UploadExpiry } from '../../src/transfers/upload-expiry.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { smallPayload } from '../support/archives.ts';
import { storedFiles } from '../support/store-faults.ts';
import { addressOf, send, sha256Of, type UploadAnswer, uploadComplete, uploadCreate, uploadFile } from '../support/upload-calls.ts';

let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;

beforeAll(async () => {
  app = await startTestApp({ env: { HOLDFAST_MAX_UPLOAD_BYTES: '20000000' } });
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
});

afterAll(async () => {
  await app?.stop();
});

const tusHeaders = { 'Tus-Resumable': '1.0.0' } as const;
const patchHeaders = (offset: number) => ({ ...tusHeaders, 'Upload-Offset': String(offset), 'Content-Type': 'application/offset+octet-stream' });

async function created(bytes: Buffer, name = 'shop.archive', input: Readonly<Record<string, unknown>> = {}, of = tenant): Promise<UploadAnswer & { readonly address: string }> {
  const { upload, userErrors } = await uploadCreate(admin, of.id, name, bytes, input);
  if (upload === null) throw new Error(JSON.stringify(userErrors));
  return { ...upload, address: addressOf(app.url, upload) };
}

async function offsetOf(address: string, url = app.url): Promise<number> {
  const head = await fetch(`${url}${new URL(address).pathname}`, { method: 'HEAD', headers: tusHeaders });
  expect(head.status).toBe(200);
  return Number(head.headers.get('upload-offset'));
}

async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { code: string } }).error.code;
}

/** Sends a part, says more is to come, and hangs up once the server has taken it. */
function breakOff(address: string, offset: number, part: Buffer, announced: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(address, { method: 'PATCH', headers: { ...patchHeaders(offset), 'Content-Length': announced } });
    request.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? resolve() : reject(error)));
    request.on('close', resolve);
    request.write(part);
    const poll = async (): Promise<void> => {
      while ((await offsetOf(address)) < offset + part.length) await new Promise((next) => setTimeout(next, 20));
      request.destroy();
    };
    poll().catch(reject);
  });
}

describe('an upload', () => {
  it('is resumable after a broken connection and after a restart of the server, and needs no login', async () => {
    const bytes = gzipSync(smallPayload(4000).payload, { level: 0 });
    const upload = await created(bytes);
    expect(upload).toMatchObject({ protocol: 'TUS', state: 'OPEN', maxBytes: String(bytes.length), headers: [{ name: 'Tus-Resumable', value: '1.0.0' }] });
    expect(await offsetOf(upload.address)).toBe(0);
    const first = Math.floor(bytes.length / 3);
    await breakOff(upload.address, 0, bytes.subarray(0, first), bytes.length);
    expect(await offsetOf(upload.address)).toBe(first);
    const early = await uploadComplete(admin, upload.id);
    expect(early.userErrors).toMatchObject([{ code: 'UPLOAD_INCOMPLETE', message: `${first} of ${bytes.length} bytes have arrived` }]);

    const other = await startTestApp({ databaseUrl: app.config.databaseUrl, env: { HOLDFAST_DATA_DIR: app.config.dataDir } });
    try {
      const address = `${other.url}${new URL(upload.address).pathname}`;
      expect(await offsetOf(address, other.url)).toBe(first);
      await send(address, bytes, 100_000);
    } finally {
      await other.stop();
    }
    expect(await offsetOf(upload.address)).toBe(bytes.length);
    const done = await uploadComplete(admin, upload.id);
    expect(done).toMatchObject({ userErrors: [], upload: { state: 'COMPLETED', encrypted: false, keyId: null, url: null } });
    expect(await uploadComplete(admin, upload.id)).toMatchObject({ userErrors: [], upload: { state: 'COMPLETED' } });
    expect((await fetch(upload.address, { method: 'PATCH', headers: patchHeaders(bytes.length), body: Buffer.alloc(0) })).status).toBe(409);
  });

  it('speaks the protocol: version, offset, type, length, termination', async () => {
    const bytes = randomBytes(1000);
    const upload = await created(bytes);
    const options = await fetch(upload.address, { method: 'OPTIONS' });
    expect([options.status, options.headers.get('tus-version'), options.headers.get('tus-extension'), options.headers.get('tus-max-size')]).toEqual([204, '1.0.0', 'termination,expiration', '20000000']);
    const head = await fetch(upload.address, { method: 'HEAD', headers: tusHeaders });
    expect(Object.fromEntries(head.headers)).toMatchObject({ 'upload-offset': '0', 'upload-length': '1000', 'cache-control': 'no-store', 'tus-resumable': '1.0.0' });
    expect((await fetch(upload.address, { method: 'HEAD' })).status).toBe(412);
    const patch = (offset: number, body: Buffer, headers: Readonly<Record<string, string>> = {}, method = 'PATCH') => fetch(upload.address, { method, headers: { ...patchHeaders(offset), ...headers }, body });
    expect((await patch(0, bytes, { 'Content-Type': 'application/octet-stream' })).status).toBe(415);
    const wrong = await patch(5, bytes.subarray(5));
    expect([wrong.status, await codeOf(wrong)]).toEqual([409, 'UPLOAD_CONFLICT']);
    const long = await patch(0, Buffer.concat([bytes, bytes]));
    expect([long.status, await codeOf(long)]).toEqual([413, 'ARCHIVE_TOO_LARGE']);
    const some = await patch(0, bytes.subarray(0, 600), { 'X-HTTP-Method-Override': 'PATCH' }, 'POST');
    expect([some.status, some.headers.get('upload-offset')]).toEqual([204, '600']);
    expect((await fetch(upload.address, { method: 'GET' })).status).toBe(405);
    expect((await fetch(upload.address, { method: 'DELETE', headers: tusHeaders })).status).toBe(204);
    expect((await fetch(upload.address, { method: 'HEAD', headers: tusHeaders })).status).toBe(404);
    expect((await uploadComplete(admin, upload.id).catch((error: { code: string }) => error.code))).toBe('NOT_FOUND');
    for (const token of [randomBytes(32).toString('base64url'), 'x', '%2e%2e']) expect((await fetch(`${app.url}/uploads/${token}`, { method: 'HEAD', headers: tusHeaders })).status).toBe(404);
  });

  it('takes chunked bodies of no announced length only up to its size', async () => {
    const bytes = randomBytes(1000);
    const upload = await created(bytes);
    const status = await new Promise<number>((resolve, reject) => {
      const request = httpRequest(upload.address, { method: 'PATCH', headers: { ...patchHeaders(0), 'Transfer-Encoding': 'chunked' } }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on('error', reject);
      request.end(Buffer.concat([bytes, bytes]));
    });
    expect(status).toBe(413);
    expect(await offsetOf(upload.address)).toBeLessThanOrEqual(1000);
  });

  it('goes on in a newer request while an older one hangs', async () => {
    const bytes = gzipSync(smallPayload(400).payload);
    const upload = await created(bytes);
    const hanging = httpRequest(upload.address, { method: 'PATCH', headers: { ...patchHeaders(0), 'Content-Length': bytes.length } });
    const dropped = new Promise<string>((resolve, reject) => {
      hanging.on('error', reject).on('response', (response) => {
        response.setEncoding('utf8').on('data', (text: string) => resolve(`${response.statusCode} ${text}`));
      });
    });
    hanging.write(bytes.subarray(0, 100));
    while ((await offsetOf(upload.address)) < 100) await new Promise((next) => setTimeout(next, 20));
    await send(upload.address, bytes);
    expect(await dropped).toMatch(/^423 .*goes on in another request/);
    hanging.on('error', () => undefined).destroy();
    expect(await uploadComplete(admin, upload.id)).toMatchObject({ upload: { state: 'COMPLETED' } });
  });

  it('is refused, bytes and all, when they are not the announced ones', async () => {
    const bytes = gzipSync(smallPayload().payload);
    const upload = await created(bytes, 'x.gz', { sha256: sha256Of(Buffer.from('another')) });
    const before = await storedFiles(app);
    await send(upload.address, bytes);
    expect((await uploadComplete(admin, upload.id)).userErrors).toMatchObject([{ code: 'UPLOAD_MISMATCH' }]);
    expect((await uploadComplete(admin, upload.id)).userErrors).toMatchObject([{ code: 'UPLOAD_MISMATCH' }]);
    expect((await fetch(upload.address, { method: 'HEAD', headers: tusHeaders })).status).toBe(410);
    expect(await storedFiles(app)).toEqual(before);
    expect(await planOf(upload.id)).toMatchObject({ userErrors: [{ code: 'UPLOAD_MISMATCH' }] });
  });

  it('is completed by another call when the process died while it checked', async () => {
    const bytes = gzipSync(smallPayload().payload);
    const upload = await created(bytes);
    await send(upload.address, bytes);
    // As the dead process leaves it: the bytes under their final name, the lease not given back.
    const source = app.nest.get(DataSource);
    const [row] = await source.query<{ store_key: string; id: string }[]>(`select id, store_key from upload where state = 'OPEN' order by created_at desc limit 1`);
    await app.nest.get<ArchiveStore>(ARCHIVE_STORE).resumable.publish(row!.store_key);
    await source.query(`update upload set writer = gen_random_uuid(), writer_until = clock_timestamp() + interval '1 minute' where id = $1`, [row!.id]);
    expect((await uploadComplete(admin, upload.id)).userErrors).toMatchObject([{ code: 'UPLOAD_BUSY' }]);
    expect((await fetch(upload.address, { method: 'PATCH', headers: patchHeaders(bytes.length), body: Buffer.alloc(0) })).status).toBe(423);
    await source.query(`update upload set writer_until = clock_timestamp() where id = $1`, [row!.id]);
    expect(await uploadComplete(admin, upload.id)).toMatchObject({ userErrors: [], upload: { state: 'COMPLETED' } });
  });

  it('is checked once when it is completed twice at the same time', async () => {
    const bytes = gzipSync(smallPayload().payload);
    const upload = await created(bytes, 'twice.gz', { purpose: 'IMPORT' });
    await send(upload.address, bytes);
    const answers = await Promise.all([1, 2, 3].map(() => uploadComplete(admin, upload.id)));
    const backups = new Set(answers.flatMap(({ backup }) => (backup === null ? [] : [backup.id])));
    expect(backups.size).toBe(1);
    for (const { userErrors } of answers) expect([[], ['UPLOAD_BUSY']]).toContainEqual(userErrors.map(({ code }) => code));
  });

  it('is kept for 24 hours from its announcement, and for 24 more once it is complete', async () => {
    const hoursLeft = async (id: string): Promise<number> => {
      const [row] = await app.nest.get(DataSource).query<{ hours: number }[]>('select extract(epoch from expires_at - clock_timestamp())::float8 / 3600 as hours from upload where id = $1', [parseGlobalId(id)!.uuid]);
      return row!.hours;
    };
    const bytes = gzipSync(smallPayload().payload);
    const upload = await created(bytes);
    expect(await hoursLeft(upload.id)).toBeGreaterThan(23.9);
    expect(await hoursLeft(upload.id)).toBeLessThanOrEqual(24);
    await app.nest.get(DataSource).query(`update upload set expires_at = expires_at - interval '20 hours' where id = $1`, [parseGlobalId(upload.id)!.uuid]);
    await send(upload.address, bytes);
    await uploadComplete(admin, upload.id);
    expect(await hoursLeft(upload.id)).toBeGreaterThan(23.9);
    expect(await hoursLeft(upload.id)).toBeLessThanOrEqual(24);
  });

  it('keeps its token as a hash alone', async () => {
    const upload = await created(randomBytes(10));
    const token = upload.address.split('/').at(-1)!;
    const [row] = await app.nest.get(DataSource).query<{ text: string }[]>(`select json_agg(u)::text || (select json_agg(a)::text from audit_event a) as text from upload u`);
    expect(row!.text).toContain(tenant.slug === '' ? '' : 'shop.archive');
    expect(row!.text).not.toContain(token);
  });
});

describe('uploadCreate', () => {
  const codesOf = async (name: string, input: Readonly<Record<string, unknown>>, of = tenant): Promise<unknown> => {
    try {
      return (await uploadCreate(admin, of.id, name, Buffer.alloc(10), input)).userErrors.map(({ code, field }) => [code, field]);
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  it('is not taken away by a request that finds fault with it when another one has completed it', async () => {
    const bytes = Buffer.from('not what was announced');
    const upload = await created(bytes, 'a.gz', { sha256: sha256Of(Buffer.from('something else')) });
    await send(upload.address, bytes);
    const sql = <Row>(text: string, values: readonly unknown[]): Promise<Row[]> => app.nest.get(DataSource).query(text, [...values]);
    const id = parseGlobalId(upload.id)!.uuid;
    const store = app.nest.get<ArchiveStore>(ARCHIVE_STORE);
    const open = store.open.bind(store);
    // It was silent for so long that another one took its place, and is through.
    store.open = async (key) => {
      await sql(`update upload set state = 'COMPLETED', writer = null, writer_until = null where id = $1`, [id]);
      return open(key);
    };
    try {
      expect((await uploadComplete(admin, upload.id)).userErrors).toMatchObject([{ code: 'UPLOAD_MISMATCH' }]);
    } finally {
      store.open = open;
    }
    const [row] = await sql<{ store_key: string; state: string }>('select store_key, state from upload where id = $1', [id]);
    expect(row!.state).toBe('COMPLETED');
    expect(await storedFiles(app)).toContain(row!.store_key);
  });

  it('refuses by name, size and form what is certain to be refused', async () => {
    for (const name of ['dump.sql', 'dump.SQL.gz']) expect(await codesOf(name, {})).toEqual([['ARCHIVE_UNSUPPORTED', ['filename']]]);
    expect(await codesOf('a.gz', { size: '20000001' })).toEqual([['ARCHIVE_TOO_LARGE', ['size']]]);
    for (const [name, input] of [['a.gz', { size: '0' }], ['../a.gz', {}], ['a\u0000', {}], ['a.gz', { sha256: 'abc' }]] as const) expect(await codesOf(name, input)).toBe('BAD_USER_INPUT');
  });

  it('keeps to the quota of the workspace, with what is still on its way', async () => {
    const small = await createTestTenant(admin);
    await app.nest.get(DataSource).query('update tenant set quota_bytes = 1000 where slug = $1', [small.slug]);
    expect(await codesOf('a.gz', { size: '700' }, small)).toEqual([]);
    expect(await codesOf('a.gz', { size: '400' }, small)).toEqual([['STORAGE_QUOTA_EXCEEDED', null]]);
    expect(await codesOf('a.gz', { size: '300' }, small)).toEqual([]);
  });

  it('lets a workspace begin so many an hour', async () => {
    const busy = await createTestTenant(admin);
    await app.nest.get(DataSource).query(
      `insert into upload (id, tenant_id, purpose, state, file_name, size_bytes, sha256, token_hash, store_key, expires_at)
       select gen_random_uuid(), t.id, 'RESTORE', 'REFUSED', 'x', 1, '', gen_random_uuid()::text::bytea, gen_random_uuid()::text, now() + interval '1 day' from tenant t, generate_series(1, 60) where t.slug = $1`,
      [busy.slug],
    );
    expect(await codesOf('a.gz', {}, busy)).toBe('RATE_LIMITED');
  });

  it('is for those who may restore', async () => {
    const operator = await createTestMember(app, admin, tenant.id, 'OPERATOR');
    await expect(uploadCreate(operator, tenant.id, 'a.gz', Buffer.alloc(10))).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const foreign = await createTestTenant(admin);
    await expect(uploadCreate(owner, tenant.id, 'a.gz', Buffer.alloc(10), { purpose: 'IMPORT', sourceTenantId: foreign.id })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

async function planOf(uploadId: string, client = admin, of = tenant): Promise<{ readonly plan: { readonly id: string; readonly confirmName: string; readonly source: unknown; readonly checks: readonly unknown[] } | null; readonly userErrors: readonly unknown[] }> {
  const { restorePlanCreate } = await client.run<{ restorePlanCreate: Awaited<ReturnType<typeof planOf>> }>(
    `mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) {
      plan { id confirmName source { kind fileName encrypted keyId size backup { id } } checks { key ok blocking } } userErrors { code message } } }`,
    { input: { tenantId: of.id, source: { uploadId } } },
  );
  return restorePlanCreate;
}

describe('the bytes of an upload', () => {
  const gz = (text: string): Buffer => gzipSync(Buffer.from(text));
  it.each([
    ['an SQL script', Buffer.from('-- MySQL dump 10.13\nCREATE TABLE x (id int);\n'), /SQL script/],
    ['a compressed SQL script', gz('\n\nINSERT INTO x VALUES (1);'), /SQL script/],
    ['a dump of PostgreSQL', Buffer.concat([Buffer.from('PGDMP'), randomBytes(100)]), /pg_dump/],
    ['a compressed dump of PostgreSQL', gz('PGDMP and more'), /pg_dump/],
    ['something else', randomBytes(200).fill(0x41, 0, 8), /no archive that Holdfast knows/],
  ])('are refused by name: %s', async (_what, bytes, message) => {
    const { userErrors } = await uploadFile(admin, tenant.id, 'backup.gz', bytes);
    expect(userErrors).toMatchObject([{ code: 'ARCHIVE_UNSUPPORTED', message: expect.stringMatching(message), hint: expect.stringMatching(/mongodump/) }]);
  });
});

describe('uploads that nobody wants any more', () => {
  it('are removed, bytes and row, unless a restore reads them or a backup was made of them', async () => {
    const lost = await createTestTenant(admin);
    const source = app.nest.get(DataSource);
    const bytes = gzipSync(smallPayload().payload);
    const half = await created(bytes, 'half.gz', {}, lost);
    await fetch(half.address, { method: 'PATCH', headers: patchHeaders(0), body: bytes.subarray(0, 50) });
    const whole = await uploadFile(admin, lost.id, 'whole.gz', bytes);
    const kept = await uploadFile(admin, lost.id, 'kept.gz', bytes, { purpose: 'IMPORT' });
    await ended(admin, kept.operation!.id);
    await source.query(`update upload set expires_at = now() - interval '1 second' where tenant_id = (select id from tenant where slug = $1)`, [lost.slug]);
    expect((await fetch(half.address, { method: 'HEAD', headers: tusHeaders })).status).toBe(410);

    const expiry = app.nest.get(UploadExpiry, { strict: false });
    await Promise.all([expiry.tick(), expiry.tick()]);
    expect(await source.query(`select 1 from upload u join tenant t on t.id = u.tenant_id where t.slug = $1`, [lost.slug])).toEqual([]);
    const { backup } = await admin.run<{ backup: { usable: boolean; storeKey?: string } }>('query ($id: ID!) { backup(id: $id) { usable } }', { id: kept.backup!.id });
    expect(backup.usable).toBe(true);
    const [{ id }] = (await source.query<{ id: string }[]>('select id from tenant where slug = $1', [lost.slug])) as [{ id: string }];
    expect((await storedFiles(app)).filter((path) => path.startsWith(id))).toEqual([expect.stringMatching(/db-backups\/imported_/)]);
    expect(await planOf(whole.upload!.id, admin, lost).catch((error: { code: string }) => error.code)).toBe('NOT_FOUND');
    const actions = await source.query<{ action: string }[]>('select action from audit_event where tenant_id = $1', [id]);
    expect(actions.map(({ action }) => action)).toEqual(expect.arrayContaining(['upload.created', 'upload.completed', 'archive.imported', 'upload.abandoned']));
  });
});

describe('a restore from an upload', () => {
  it('puts the archive of the public tool in the place of the database, under its own name', async () => {
    const { upload, userErrors } = await uploadFile(admin, tenant.id, 'every-shape.archive.gz', binaryFixture('mongodump/every-shape.archive.gz'));
    expect(userErrors).toEqual([]);
    const { plan } = await planOf(upload!.id);
    expect(plan).toMatchObject({ source: { kind: 'UPLOAD', fileName: 'every-shape.archive.gz', encrypted: false, keyId: null, backup: null } });
    expect(await ended(admin, idOf(await restoreStart(admin, plan!.id, plan!.confirmName)))).toMatchObject({ state: 'COMPLETED', failure: null });
  });

  it('takes a plan no more when the file has gone', async () => {
    const { upload } = await uploadFile(admin, tenant.id, 'a.gz', gzipSync(smallPayload().payload));
    const { plan } = await planOf(upload!.id);
    await app.nest.get(DataSource).query(`update upload set expires_at = now() - interval '1 second' where state = 'COMPLETED'`);
    await app.nest.get(UploadExpiry, { strict: false }).tick();
    expect((await restoreStart(admin, plan!.id, plan!.confirmName)).userErrors).toMatchObject([{ code: 'PLAN_STALE' }]);
  });

  it('is only of the workspace that the upload is for', async () => {
    const { upload } = await uploadFile(admin, tenant.id, 'a.gz', gzipSync(smallPayload().payload));
    const other = await createTestTenant(admin);
    expect(await planOf(upload!.id, admin, other).catch((error: { code: string }) => error.code)).toBe('NOT_FOUND');
    const stranger = await createTestMember(app, admin, other.id, 'OWNER');
    expect(await planOf(upload!.id, stranger, other).catch((error: { code: string }) => error.code)).toBe('NOT_FOUND');
    expect(await uploadComplete(stranger, upload!.id).catch((error: { code: string }) => error.code)).toBe('NOT_FOUND');
  });
});

describe('our own archives', () => {
  it.each(['GZIP', 'ZSTD', 'NONE'])('come back through the door, and restore: %s', async (codec) => {
    const own = await createTestTenant(admin);
    await withDatabase(own, (db) => seedShop(db, 50));
    const backup = await takeBackup(admin, own.id, { codec });
    const bytes = await download(backup.id);
    await withDatabase(own, (db) => db.dropDatabase());
    const { upload, userErrors } = await uploadFile(admin, own.id, backup.fileName!, bytes);
    expect(userErrors).toEqual([]);
    expect(upload).toMatchObject({ encrypted: true, keyId: backup.keyId });
    const { plan } = await planOf(upload!.id, admin, own);
    expect(plan).toMatchObject({ source: { kind: 'UPLOAD', encrypted: true, keyId: backup.keyId } });
    expect(await ended(admin, idOf(await restoreStart(admin, plan!.id, plan!.confirmName)))).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(own, (db) => db.collection('orders').countDocuments())).toBe(50);
  });
});

async function download(backupId: string, variant = 'ARCHIVE'): Promise<Buffer> {
  const { downloadCreate } = await admin.run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId, variant } });
  return Buffer.from(await (await fetch(`${app.url}${new URL(downloadCreate.url).pathname}`)).arrayBuffer());
}
