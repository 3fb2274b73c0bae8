import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BSON } from 'mongodb';
import { DataSource } from 'typeorm';
import { DocumentSums, encodeNamespaceEnd, terminator } from '../../libs/archive/index.ts';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, readBackup, restore, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture, jsonFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { archiveOf, hashes, type TestNamespace } from '../support/restore-fixture.ts';
import { runFolder } from '../support/servers.ts';
import { storedFiles } from '../support/store-faults.ts';
import { type CompletedAnswer, uploadComplete, uploadFile } from '../support/upload-calls.ts';

let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
let backup: BackupAnswer;
let archive: Buffer;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
  await withDatabase(tenant, async (db) => {
    await seedShop(db, 100);
    // More than one segment of the archive.
    await db.collection('noise').insertOne({ noise: randomBytes(500_000) });
  });
  backup = await takeBackup(admin, tenant.id);
  archive = await download(backup.id);
});

afterAll(async () => {
  await app?.stop();
});

async function download(backupId: string, variant = 'ARCHIVE'): Promise<Buffer> {
  const { downloadCreate } = await admin.run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId, variant } });
  return Buffer.from(await (await fetch(`${app.url}${new URL(downloadCreate.url).pathname}`)).arrayBuffer());
}

async function imported(of: TestTenant, name: string, bytes: Buffer, input: Readonly<Record<string, unknown>> = {}): Promise<{ readonly operation: OperationAnswer; readonly answer: CompletedAnswer }> {
  const answer = await uploadFile(admin, of.id, name, bytes, { purpose: 'IMPORT', ...input });
  if (answer.operation === null) throw new Error(JSON.stringify(answer.userErrors));
  return { operation: await ended(admin, answer.operation.id), answer };
}

const fileNames = async (): Promise<string[]> => (await storedFiles(app)).filter((path) => !path.includes('safety'));

describe('an imported archive of ours', () => {
  it('is a backup once it was read whole: it can be downloaded, verified and restored', async () => {
    const { operation, answer } = await imported(tenant, 'from the attic.gz.enc', archive);
    expect(answer).toMatchObject({ upload: { state: 'COMPLETED', encrypted: true }, operation: { kind: 'IMPORT' }, backup: { label: 'imported', trigger: 'IMPORT' } });
    expect(operation).toMatchObject({ kind: 'IMPORT', state: 'COMPLETED', steps: [{ phase: 'VERIFY', state: 'COMPLETED' }], progress: { percent: 100 }, result: { __typename: 'BackupResult' } });
    const row = operation.backup!;
    expect(row).toMatchObject({
      state: 'COMPLETED', usable: true, label: 'imported', trigger: 'IMPORT', encrypted: true, keyId: backup.keyId, codec: 'GZIP', size: String(archive.length), documents: backup.documents,
      consistency: backup.consistency, contents: backup.contents, verification: { ok: true }, fileName: expect.stringMatching(/^imported_\d{8}_\d{6}_[0-9a-f]{8}\.gz\.enc$/),
    });
    // Completing it once more is the same import.
    expect(await uploadComplete(admin, answer.upload!.id)).toMatchObject({ backup: { id: row.id }, operation: { id: operation.id } });
    expect((await download(row.id)).equals(archive)).toBe(true);
    expect(gunzipSync(await download(row.id, 'DECRYPTED')).equals(gunzipSync(await download(backup.id, 'DECRYPTED')))).toBe(true);

    const before = await withDatabase(tenant, fingerprint);
    await withDatabase(tenant, (db) => db.dropDatabase());
    const plan = await makePlan(admin, tenant.id, row.id);
    expect(Math.abs(new Date(plan.dataLossSince!).getTime() - Date.now())).toBeLessThan(600_000);
    expect(await restore(admin, tenant.id, row.id)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  });

  it('ends FAILED when a byte of its middle is wrong, and leaves none', async () => {
    const damaged = Buffer.from(archive);
    damaged[Math.floor(damaged.length / 2)]! ^= 1;
    const files = await fileNames();
    const { operation, answer } = await imported(tenant, 'damaged.gz.enc', damaged);
    expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'ARCHIVE_CORRUPT' }, backup: { state: 'FAILED', usable: false, failure: { code: 'ARCHIVE_CORRUPT' } } });
    expect(answer.userErrors).toEqual([]);
    expect(await fileNames()).toEqual(files);
  });

  it('is refused at once when its end is missing', async () => {
    const { userErrors, operation } = await uploadFile(admin, tenant.id, 'cut.gz.enc', archive.subarray(0, archive.length - 20), { purpose: 'IMPORT' });
    expect([operation, userErrors]).toMatchObject([null, [{ code: 'ARCHIVE_TRUNCATED' }]]);
  });

  it('is not for a plan as an upload, and an upload for a plan is no backup', async () => {
    const { answer } = await imported(tenant, 'x.gz.enc', archive);
    const refused = await admin.codeOf('mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } } }', { input: { tenantId: tenant.id, source: { uploadId: answer.upload!.id } } });
    expect(refused).toBe('BAD_USER_INPUT');
  });
});

describe("another workspace's archive", () => {
  const actionsOf = async (of: TestTenant): Promise<string[]> => {
    const rows = await app.nest.get(DataSource).query<{ text: string }[]>(`select action || ' ' || outcome || ' ' || coalesce(detail->>'code', '') as text from audit_event where tenant_id = $1`, [parseGlobalId(of.id)!.uuid]);
    return rows.map(({ text }) => text.trim());
  };

  it('is refused, bytes and all, even to the provider who does not say whose it is', async () => {
    const other = await createTestTenant(admin);
    const files = await fileNames();
    for (const purpose of ['RESTORE', 'IMPORT']) {
      const { userErrors } = await uploadFile(admin, other.id, 'a.gz.enc', archive, { purpose });
      expect(userErrors).toMatchObject([{ code: 'ARCHIVE_FOREIGN' }]);
      expect(JSON.stringify(userErrors)).not.toContain(parseGlobalId(tenant.id)!.uuid);
    }
    expect(await actionsOf(other)).toEqual(expect.arrayContaining(['upload.refused REFUSED ARCHIVE_FOREIGN']));
    expect(await fileNames()).toEqual(files);
  });

  it('is refused when it is of yet another one than the provider says', async () => {
    const [third, other] = [await createTestTenant(admin), await createTestTenant(admin)];
    const { userErrors } = await uploadFile(admin, other.id, 'a.gz.enc', archive, { purpose: 'IMPORT', sourceTenantId: third.id });
    expect(userErrors).toMatchObject([{ code: 'ARCHIVE_FOREIGN' }]);
  });

  it('is imported by the provider on purpose: it restores there, and both workspaces can see that', async () => {
    const other = await createTestTenant(admin);
    const { operation } = await imported(other, 'a.gz.enc', archive, { sourceTenantId: tenant.id });
    expect(operation).toMatchObject({ state: 'COMPLETED', backup: { usable: true, encrypted: true } });
    // Whoever may restore there needs no more than that.
    const restorer = await createTestMember(app, admin, other.id, 'RESTORER');
    expect(await restore(restorer, other.id, operation.backup!.id)).toMatchObject({ state: 'COMPLETED' });
    const [source, copy] = [await withDatabase(tenant, fingerprint), await withDatabase(other, fingerprint)];
    expect(differences(source, copy)).toEqual([]);
    expect(gunzipSync(await download(operation.backup!.id, 'DECRYPTED')).subarray(0, 4).toString('hex')).toBe('6de29981');
    expect(await actionsOf(other)).toEqual(expect.arrayContaining(['archive.imported OK']));
    expect(await actionsOf(tenant)).toEqual(expect.arrayContaining(['archive.imported-elsewhere OK']));
    // Its own backups are its own: the keys of the first workspace do not open the door to more.
    const own = await takeBackup(admin, other.id);
    expect((await uploadFile(admin, tenant.id, 'b.gz.enc', await download(own.id))).userErrors).toMatchObject([{ code: 'ARCHIVE_FOREIGN' }]);
  });
});

describe('a key that the server does not have', () => {
  it('leaves the bytes for when it has been added', async () => {
    const env = { HOLDFAST_DATA_DIR: app.config.dataDir, BACKUP_ENCRYPTION_KEY: Buffer.alloc(32, 3).toString('base64'), HOLDFAST_ROLE: 'api' };
    const keyless = await startTestApp({ databaseUrl: app.config.databaseUrl, env });
    let id: string;
    try {
      const client = await keyless.loginAsAdmin();
      const answer = await uploadFile(client, tenant.id, 'a.gz.enc', archive).catch((error: unknown) => error);
      expect(answer).toMatchObject({ upload: null, userErrors: [{ code: 'KEY_UNKNOWN' }] });
      const [row] = await app.nest.get(DataSource).query<{ id: string }[]>(`select id from upload where state = 'OPEN' and file_name = 'a.gz.enc'`);
      id = Buffer.from(`Upload:${row!.id}`).toString('base64url');
    } finally {
      await keyless.stop();
    }
    expect(await uploadComplete(admin, id)).toMatchObject({ userErrors: [], upload: { state: 'COMPLETED' } });
  });
});

async function bytesOf(namespaces: readonly TestNamespace[]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of (await archiveOf(namespaces)).payload()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('a plain archive', () => {
  it('shows the open lock, and is verified, downloaded and restored like any other', async () => {
    const own = await createTestTenant(admin);
    const bytes = binaryFixture('mongodump/every-shape.archive.gz');
    const { operation } = await imported(own, 'every-shape.archive.gz', bytes);
    expect(operation).toMatchObject({
      state: 'COMPLETED', progress: { percent: 100 },
      backup: { usable: true, encrypted: false, keyId: null, codec: 'GZIP', consistency: null, fileName: expect.stringMatching(/\.gz$/) },
    });
    const { id } = operation.backup!;
    for (const variant of ['ARCHIVE', 'DECRYPTED']) expect((await download(id, variant)).equals(bytes)).toBe(true);
    const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } userErrors { code } } }', { input: { backupId: id } });
    expect(await ended(admin, backupVerify.operation.id)).toMatchObject({ state: 'COMPLETED', result: { ok: true } });
    expect(await restore(admin, own.id, id)).toMatchObject({ state: 'COMPLETED' });
    const { 'system.views': _views, ...expected } = jsonFixture<{ collections: Record<string, string> }>('mongodump/every-shape.dbhash.json').collections;
    expect(await withDatabase(own, hashes)).toEqual(expected);
    expect((await readBackup(admin, id)).verification).toMatchObject({ ok: true });
  });

  it('ends FAILED when it was cut or has bytes after its end', async () => {
    const whole = binaryFixture('mongodump/every-shape.archive.gz');
    const plain = gunzipSync(whole);
    for (const bytes of [whole.subarray(0, whole.length - 100), plain.subarray(0, plain.length - 50), Buffer.concat([whole, Buffer.alloc(40)])]) {
      const { operation } = await imported(tenant, 'cut.gz', bytes);
      expect(operation.state).toBe('FAILED');
      expect(['ARCHIVE_TRUNCATED', 'ARCHIVE_CORRUPT']).toContain(operation.failure!.code);
    }
  });

  const document = Buffer.from('05000000 00'.replaceAll(' ', ''), 'hex');
  it.each([
    ['admin', [{ name: 'users', db: 'admin', documents: [document] }], /"admin"/],
    ['local', [{ name: 'x', db: 'local' }], /"local"/],
    ['a path', [{ name: '../../etc/passwd' }], /no server takes/],
    ['a dollar', [{ name: '$cmd' }], /belongs to the server/],
    ['users of a database', [{ name: '$admin.system.users' }], /belongs to the server/],
    ['our own names', [{ name: `hf_${'a'.repeat(32)}_old_0` }], /Holdfast's own/],
    ['several databases', [{ name: 'a', db: 'one' }, { name: 'a', db: 'two' }], /2 databases.*--db/],
  ] as const)('is refused for its names: %s', async (_what, namespaces, message) => {
    const bytes = await bytesOf(namespaces);
    for (const file of [bytes, gzipSync(bytes)]) {
      const { userErrors } = await uploadFile(admin, tenant.id, 'a.gz', file);
      expect(userErrors).toMatchObject([{ code: 'ARCHIVE_UNSUPPORTED', message: expect.stringMatching(message) }]);
    }
  });

  it('in which a document stands twice, as it was deleted and came again while the archive was made, is restored with it once', async () => {
    const of = await createTestTenant(admin);
    const carts = ['before', 'other', 'after'].map((text, n) => Buffer.from(BSON.serialize({ _id: n % 2, text })));
    const { operation } = await imported(of, 'busy.archive', await bytesOf([{ name: 'carts', documents: carts }]));
    const restored = await restore(admin, of.id, operation.backup!.id);
    expect(restored).toMatchObject({ state: 'COMPLETED', result: { warnings: [expect.stringMatching(/^"carts" was written to .* 1 of its documents stands there twice/)] } });
    expect(await withDatabase(of, (db) => db.collection('carts').find().toArray())).toEqual([{ _id: 0, text: 'before' }, { _id: 1, text: 'other' }]);
  });

  it('that expands without end is given up at the limit', async () => {
    // One document of 16 MiB of zeros over and over again, a thousandth of it on the wire.
    const one = Buffer.alloc(16 * 1024 * 1024);
    one.writeInt32LE(one.length, 0);
    const member = zstdCompressSync(one);
    const whole = await bytesOf([{ name: 'bomb' }]);
    const opened = whole.subarray(0, whole.length - terminator.length - encodeNamespaceEnd('source', 'bomb', new DocumentSums().crc).length);
    const bomb = Buffer.concat([zstdCompressSync(opened), ...Array.from({ length: 80 }, () => member)]);
    const { operation } = await imported(tenant, 'bomb.zst', bomb);
    expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'ARCHIVE_TOO_LARGE' } });
  });
});

describe('with the public tools', () => {
  const run = promisify(execFile);
  const toolOf = (name: string): string | null => {
    const folders = [process.env['MONGO_TOOLS_DIR'] ?? '', ...(process.env['PATH'] ?? '').split(delimiter)].filter((folder) => folder !== '');
    return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
  };

  it('restores what mongodump writes, compressed and not, and mongorestore reads what we wrote', async () => {
    const [mongodump, mongorestore] = [toolOf('mongodump'), toolOf('mongorestore')];
    if (mongodump === null || mongorestore === null) {
      process.stdout.write('skipped: mongodump or mongorestore was not found on PATH or in MONGO_TOOLS_DIR\n');
      return;
    }
    const before = await withDatabase(tenant, hashes);
    for (const flags of [[], ['--gzip']]) {
      const { stdout } = await run(mongodump, ['--uri', tenant.uri, '--db', tenant.database, '--archive', '--quiet', ...flags], { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 });
      const own = await createTestTenant(admin);
      const { upload } = await uploadFile(admin, own.id, 'dump', stdout);
      const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: { id: string; confirmName: string } } }>(
        'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id confirmName } userErrors { code message } } }',
        { input: { tenantId: own.id, source: { uploadId: upload!.id } } },
      );
      const { plan } = restorePlanCreate;
      expect(await ended(admin, idOf(await restoreStart(admin, plan.id, plan.confirmName)))).toMatchObject({ state: 'COMPLETED', failure: null });
      expect(await withDatabase(own, hashes)).toEqual(before);
    }
    const target = await createTestTenant(admin);
    const child = run(mongorestore, ['--uri', target.uri, '--archive', '--gzip', '--quiet', `--nsFrom=${tenant.database}.*`, `--nsTo=${target.database}.*`], { cwd: runFolder() });
    child.child.stdin!.end(await download((await takeBackup(admin, tenant.id)).id, 'DECRYPTED'));
    await child;
    expect(await withDatabase(target, hashes)).toEqual(await withDatabase(tenant, hashes));
  });
});
