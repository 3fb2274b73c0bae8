import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import type { ObjectInfo } from '../../libs/storage/index.ts';
import { run as runAdmin } from '../../src/admin/run.ts';
import { BackupCatalogue, type KnownObject } from '../../src/backups/backup-catalogue.ts';
import { Reconciliation } from '../../src/reconcile/reconciliation.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, makePlan, restore, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';
import { uploadFile } from '../support/upload-calls.ts';

const open: TestApp[] = [];
afterAll(async () => {
  for (const app of open) await app.stop();
});

async function start(env: Readonly<Record<string, string>> = {}, databaseUrl?: string): Promise<{ readonly app: TestApp; readonly admin: GraphqlClient }> {
  const app = await startTestApp({ env, ...(databaseUrl === undefined ? {} : { databaseUrl }) });
  open.push(app);
  return { app, admin: await app.loginAsAdmin() };
}

async function stop(app: TestApp): Promise<void> {
  open.splice(open.indexOf(app), 1);
  await app.stop();
}

async function command(app: TestApp, ...args: string[]): Promise<{ readonly code: number; readonly lines: readonly string[] }> {
  const lines: string[] = [];
  const code = await runAdmin(args, () => app.config, { print: (line) => lines.push(line), complain: (line) => lines.push(line) });
  return { code, lines };
}

async function shop(admin: GraphqlClient): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 60));
  return tenant;
}

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly label: string;
  readonly trigger: string;
  readonly state: string;
  readonly scope: string;
  readonly collections: readonly string[] | null;
  readonly size: string;
  readonly documents: string | null;
  readonly encrypted: boolean;
  readonly keyId: string | null;
  readonly createdAt: string;
  readonly verification: { readonly ok: boolean; readonly code: string | null };
}

async function backupsOf(admin: GraphqlClient, tenantId: string): Promise<Listed[]> {
  const { tenant } = await admin.run<{ tenant: { backups: { edges: { node: Listed }[] } } }>(
    'query ($id: ID!) { tenant(id: $id) { backups { edges { node { id name label trigger state scope collections size documents encrypted keyId createdAt verification { ok code } } } } } }',
    { id: tenantId },
  );
  return tenant.backups.edges.map(({ node }) => node);
}

const pathOf = async (app: TestApp, fileName: string | null): Promise<string> => join(storeFolder(app), (await storedFiles(app)).find((file) => file.includes(fileName ?? '?')) ?? '');

describe('reconcile', () => {
  it('says what differs, changes nothing unasked, and lets the rows follow the store', async () => {
    const { app, admin } = await start();
    const tenant = await shop(admin);
    const [kept, gone, cut, lost] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    expect(await command(app, 'reconcile')).toEqual({ code: 0, lines: ['The store and the catalogue agree'] });

    const away = join(storeFolder(app), '..', 'away');
    await rename(await pathOf(app, gone.fileName), away);
    const cutPath = await pathOf(app, cut.fileName);
    await writeFile(cutPath, (await readFile(cutPath)).subarray(0, -10));
    await app.nest.get(DataSource).query('delete from backup where file_name = $1', [lost.fileName]);
    await writeFile(join(storeFolder(app), 'stray'), 'x');

    const told = await command(app, 'reconcile');
    expect([told.code, told.lines.map((line) => line.split(' ')[0]).sort()]).toEqual([1, ['DAMAGED', 'MISSING', 'UNKNOWN', 'UNREGISTERED']]);
    expect((await backupsOf(admin, tenant.id)).map(({ state }) => state)).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED']);

    expect((await command(app, 'reconcile', '--repair')).code).toBe(1);
    const repaired = new Map((await backupsOf(admin, tenant.id)).map((backup) => [backup.id, backup]));
    expect(repaired.get(kept.id)).toMatchObject({ state: 'COMPLETED', verification: { ok: true } });
    expect(repaired.get(gone.id)).toMatchObject({ state: 'MISSING' });
    expect(repaired.get(cut.id)).toMatchObject({ verification: { ok: false } });
    expect(repaired.get(lost.id)).toMatchObject({ state: 'COMPLETED', label: 'manual', trigger: 'MANUAL', size: lost.size, documents: lost.documents, verification: { ok: true } });

    await rename(away, join(storeFolder(app), (await storedFiles(app))[0]!.replace(/[^/]+$/, ''), gone.fileName ?? ''));
    await rm(join(storeFolder(app), 'stray'));
    expect((await command(app, 'reconcile', '--repair')).lines).toContainEqual(expect.stringMatching(/^FOUND /));
    expect((await backupsOf(admin, tenant.id)).find(({ id }) => id === gone.id)).toMatchObject({ state: 'COMPLETED' });
    expect((await restore(admin, tenant.id, lost.id)).state).toBe('COMPLETED');
    await stop(app);
  }, 120_000);
});

describe('reconcile beside running work', () => {
  it('takes no backup for missing that was finished or moved after the store was listed, and registers none twice', async () => {
    const { app, admin } = await start();
    const tenant = await shop(admin);
    await takeBackup(admin, tenant.id);
    const catalogue = app.nest.get(BackupCatalogue, { strict: false });
    const reconciliation = app.nest.get(Reconciliation, { strict: false });
    const differences = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { kind } of reconciliation.run({ repair: true, makeTenants: false })) found.push(kind);
      return found;
    };
    // A page of the store is listed, a backup is taken, and a page of rows is read.
    const page: ObjectInfo[] = [];
    for await (const info of catalogue.stored()) page.push(info);
    Object.assign(catalogue, { stored: () => Readable.from(page) });
    const fresh = await takeBackup(admin, tenant.id);
    expect(await differences()).toEqual([]);
    expect((await backupsOf(admin, tenant.id)).find(({ id }) => id === fresh.id)).toMatchObject({ state: 'COMPLETED' });

    // The other way round.
    const rows: KnownObject[] = [];
    for await (const one of catalogue.known()) rows.push(one);
    Reflect.deleteProperty(catalogue, 'stored');
    Object.assign(catalogue, { known: () => Readable.from(rows) });
    await takeBackup(admin, tenant.id);
    expect(await differences()).toEqual([]);
    Reflect.deleteProperty(catalogue, 'known');
    expect(await differences()).toEqual([]);
    expect(await backupsOf(admin, tenant.id)).toHaveLength(3);
    await stop(app);
  });
});

describe('rebuild', () => {
  it('makes the catalogue from the store alone, after the control plane is gone, and a workspace is restored from it', async () => {
    const first = await start();
    const tenant = await shop(first.admin);
    const other = await shop(first.admin);
    const before = await withDatabase(tenant, fingerprint);
    const whole = await takeBackup(first.admin, tenant.id);
    const partial = await takeBackup(first.admin, tenant.id, { scope: 'MASTER', codec: 'ZSTD' });
    await takeBackup(first.admin, other.id);
    await restore(first.admin, tenant.id, whole.id);
    const plain = await uploadFile(first.admin, other.id, 'dump.gz', binaryFixture('mongodump/every-shape.archive.gz'), { purpose: 'IMPORT' });
    await ended(first.admin, plain.operation!.id);
    const known = await backupsOf(first.admin, tenant.id);
    const knownOther = await backupsOf(first.admin, other.id);
    const env = { HOLDFAST_DATA_DIR: first.app.config.dataDir };
    await stop(first.app);

    const second = await start(env, await testDatabaseUrl());
    const rebuilt = await command(second.app, 'rebuild');
    expect(rebuilt).toMatchObject({ code: 0, lines: expect.arrayContaining(['The store and the catalogue agree']) });
    const shown = await second.admin.run<{ tenant: { id: string; name: string; suspended: boolean } }>('query ($slug: String!) { tenant(slug: $slug) { id name suspended } }', { slug: tenant.slug });
    expect(shown.tenant).toEqual({ id: tenant.id, name: tenant.name, suspended: true });
    const facts = (rows: readonly Listed[]) =>
      rows.map(({ id, label, trigger, state, scope, collections, size, documents, encrypted, keyId, verification: { ok } }) => ({ id, label, trigger, state, scope, collections, size, documents, encrypted, keyId, ok })).sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(facts(await backupsOf(second.admin, tenant.id))).toEqual(facts(known));
    expect((await backupsOf(second.admin, tenant.id)).find(({ id }) => id === partial.id)?.collections).not.toBeNull();
    // A plain file does not say which backup it was.
    expect((await backupsOf(second.admin, other.id)).map(({ encrypted, documents }) => [encrypted, documents]).sort()).toEqual(knownOther.map(({ encrypted, documents }) => [encrypted, documents]).sort());
    expect((await command(second.app, 'rebuild')).lines).toEqual(['The store and the catalogue agree']);

    await withDatabase(tenant, (db) => db.dropDatabase());
    const { tenantUpdate } = await second.admin.run<{ tenantUpdate: { userErrors: unknown[] } }>('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code message } } }', {
      input: { tenantId: tenant.id, target: { uri: tenant.uri, database: tenant.database } },
    });
    expect(tenantUpdate.userErrors).toEqual([]);
    await second.admin.run('mutation ($input: TenantResumeInput!) { tenantResume(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id } });
    expect((await restore(second.admin, tenant.id, whole.id)).state).toBe('COMPLETED');
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
    await stop(second.app);
  }, 120_000);

  it('registers an archive whose key is missing as unverified: not restorable until the key is there', async () => {
    const first = await start();
    const tenant = await shop(first.admin);
    const backup = await takeBackup(first.admin, tenant.id);
    const env = { HOLDFAST_DATA_DIR: first.app.config.dataDir };
    await stop(first.app);
    const databaseUrl = await testDatabaseUrl();
    const second = await start({ ...env, BACKUP_ENCRYPTION_KEY: Buffer.alloc(32, 77).toString('base64') }, databaseUrl);
    expect(await command(second.app, 'rebuild')).toMatchObject({ code: 0, lines: expect.arrayContaining([expect.stringContaining('not verified: its key is missing')]) });
    expect(await backupsOf(second.admin, tenant.id)).toMatchObject([{ id: backup.id, label: 'manual', verification: { ok: false, code: 'KEY_UNKNOWN' } }]);
    const plan = await makePlan(second.admin, tenant.id, backup.id);
    expect(plan.checks.find(({ key }) => key === 'key')).toMatchObject({ ok: false, blocking: true });
    await stop(second.app);
    const third = await start(env, databaseUrl);
    const { backupVerify } = await third.admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } } }', { input: { backupId: backup.id } });
    await ended(third.admin, backupVerify.operation.id);
    expect(await backupsOf(third.admin, tenant.id)).toMatchObject([{ verification: { ok: true } }]);
    await stop(third.app);
  }, 120_000);
});
