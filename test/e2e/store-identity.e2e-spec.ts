import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { DataSource } from 'typeorm';
import type { ArchiveStore } from '../../libs/storage/index.ts';
import { run as runAdmin } from '../../src/admin/run.ts';
import { BackupDeletion } from '../../src/backups/backup-deletion.ts';
import { CopyTicks } from '../../src/destinations/copy-ticks.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import { RetentionSweep } from '../../src/retention/retention-sweep.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, backupCreate, ended, type OperationAnswer, readBackup, restore, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { s3Bucket, s3Keys, S3Server } from '../support/s3-server.ts';
import { runFolder, testDatabaseUrl } from '../support/servers.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';

const s3 = await S3Server.start();
const open: TestApp[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.stop();
});
afterAll(async () => s3?.stop());

interface Running {
  readonly app: TestApp;
  readonly admin: GraphqlClient;
}

async function start(env: Readonly<Record<string, string>> = {}, databaseUrl?: string): Promise<Running> {
  const app = await startTestApp({ env, ...(databaseUrl === undefined ? {} : { databaseUrl }) });
  open.push(app);
  return { app, admin: await app.loginAsAdmin() };
}

/** The same installation, by a process that remembers nothing. */
async function restart({ app }: Running, env: Readonly<Record<string, string>> = {}): Promise<Running> {
  open.splice(open.indexOf(app), 1);
  await app.stop();
  return start({ HOLDFAST_DATA_DIR: app.config.dataDir, ...env }, app.config.databaseUrl);
}

async function shop(admin: GraphqlClient): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 20));
  return tenant;
}

async function command(app: TestApp, ...args: string[]): Promise<{ readonly code: number; readonly text: string }> {
  const lines: string[] = [];
  const code = await runAdmin(args, () => app.config, { print: (line) => lines.push(line), complain: (line) => lines.push(line) });
  return { code, text: lines.join('\n') };
}

async function tryBackup(admin: GraphqlClient, tenant: TestTenant): Promise<OperationAnswer> {
  const { operation } = await backupCreate(admin, tenant.id);
  return ended(admin, operation!.id);
}

async function verify(admin: GraphqlClient, { id }: BackupAnswer): Promise<OperationAnswer> {
  const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } userErrors { code } } }', { input: { backupId: id } });
  return ended(admin, backupVerify.operation.id);
}

async function deleteBackup(admin: GraphqlClient, { id }: BackupAnswer): Promise<readonly { code: string; message: string; hint: string | null }[]> {
  return (await admin.run<{ backupDelete: { userErrors: { code: string; message: string; hint: string | null }[] } }>('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code message hint } } }', { input: { backupId: id } })).backupDelete.userErrors;
}

/** As when a disk is not mounted: an empty folder in its place. Returns what puts it back. */
async function unmount(folder: string): Promise<() => Promise<void>> {
  await rename(folder, `${folder}-away`);
  await mkdir(folder);
  return async () => {
    await rm(folder, { recursive: true });
    await rename(`${folder}-away`, folder);
  };
}

const states = (admin: GraphqlClient, backups: readonly BackupAnswer[]): Promise<string[]> => Promise.all(backups.map(async ({ id }) => (await readBackup(admin, id)).state));
const sql = <Row>(app: TestApp, text: string, values: readonly unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(text, [...values]);
const knownIn = async (app: TestApp): Promise<unknown[]> => (await sql<{ store: string; id: string }>(app, 'select store, id from store_identity order by store')).map(({ store, id }) => [store, id]);
const markOf = async (folder: string): Promise<string> => (JSON.parse(await readFile(join(folder, '.holdfast/store'), 'utf8')) as { id: string }).id;
const ready = async (app: TestApp) => (await (await fetch(`${app.url}/readyz`)).json()) as { status: string; checks: { storage: { state: string; message?: string } } };

/** The run of the next hour. */
async function retention(app: TestApp): Promise<void> {
  await sql(app, "update retention_state set next_at = now() - interval '1 second'");
  await app.nest.get(RetentionSweep, { strict: false }).look();
}

describe('a store whose folder is empty all of a sudden', () => {
  it('is neither written to nor believed: no backup, no deletion, nothing missing; and all goes on when it is back', async () => {
    const { app, admin } = await start();
    const tenant = await shop(admin);
    const [old, due, last] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    const putBack = await unmount(storeFolder(app));

    expect(await tryBackup(admin, tenant)).toMatchObject({ state: 'FAILED', failure: { code: 'STORE_CHANGED', message: 'The main archive store is not the one that was used before: its identity is missing' } });
    expect(await verify(admin, last)).toMatchObject({ state: 'FAILED', failure: { code: 'STORE_CHANGED' } });
    expect(await readBackup(admin, last.id)).toMatchObject({ state: 'COMPLETED', verification: { ok: true } });
    expect(await command(app, 'reconcile', '--repair')).toMatchObject({ code: 1, text: expect.stringContaining('STORE_CHANGED') });
    expect(await deleteBackup(admin, old)).toEqual([{ code: 'STORE_CHANGED', message: expect.any(String), hint: expect.stringContaining('store-accept') }]);
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, manualRetention: { mode: 'COUNT', count: 1 } } });
    await sql(app, `update backup set deleted_at = now() - interval '5 minutes' where deleted_at is not null`);
    await app.nest.get(BackupDeletion, { strict: false }).tick();
    await retention(app);
    expect(await states(admin, [old, due, last])).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED']);
    expect(await sql(app, `select text from alert where event = 'RETENTION_REFUSED' and resolved_at is null`)).toEqual([{ text: expect.stringContaining('The main archive store is not the one') }]);
    expect(await readdir(storeFolder(app), { recursive: true })).toEqual([]);
    const { status, checks } = await ready(app);
    expect([status, checks.storage]).toEqual(['down', { state: 'down', message: expect.stringMatching(/^The main archive store is not the one/) }]);

    await putBack();
    await app.nest.get(BackupDeletion, { strict: false }).tick();
    await retention(app);
    expect(await states(admin, [old, due, last])).toEqual(['DELETED', 'DELETED', 'COMPLETED']);
    expect(await tryBackup(admin, tenant)).toMatchObject({ state: 'COMPLETED' });
    expect(await restore(admin, tenant.id, last.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await command(app, 'reconcile')).toMatchObject({ code: 0 });
  }, 120_000);

  it('finishes no deletion that retention has begun, whose files are not there', async () => {
    const { app, admin } = await start();
    const tenant = await shop(admin);
    const backups = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, manualRetention: { mode: 'COUNT', count: 1 } } });
    const deletion = app.nest.get(BackupDeletion, { strict: false });
    const begin = deletion.begin.bind(deletion);
    let putBack = (): Promise<void> => Promise.resolve();
    // The disk goes between the two phases.
    deletion.begin = async (...args) => {
      const begun = await begin(...args);
      putBack = await unmount(storeFolder(app));
      return begun;
    };
    await retention(app);
    Reflect.deleteProperty(deletion, 'begin');
    expect(await sql(app, `select state, removal_failure ->> 'code' as code from backup where deleted_at is not null`)).toEqual([{ state: 'COMPLETED', code: 'STORE_CHANGED' }]);
    await putBack();
    await sql(app, `update backup set deleted_at = now() - interval '5 minutes' where deleted_at is not null`);
    await deletion.tick();
    expect(await states(admin, backups)).toEqual(['DELETED', 'COMPLETED']);
    expect(await storedFiles(app)).toHaveLength(1);
  });

  it('is used when an operator says that it is meant, who has seen what is there; the other one is the stranger then', async () => {
    const running = await start();
    const { app, admin } = running;
    const tenant = await shop(admin);
    await takeBackup(admin, tenant.id);
    const first = await markOf(storeFolder(app));
    expect(await command(app, 'stores')).toEqual({ code: 0, text: `The main store: good; known ${first}, found ${first}; 1 of 1 archives that were looked for lie there` });
    await unmount(storeFolder(app));
    expect(await command(app, 'stores')).toEqual({ code: 1, text: `The main store: CHANGED; known ${first}, found none; 0 of 1 archives that were looked for lie there` });
    expect(await command(app, 'store-accept', '--main')).toMatchObject({ code: 2 });
    expect(await command(app, 'store-accept', '--main', '--found', first)).toMatchObject({ code: 1, text: expect.stringContaining('STORE_CHANGED') });
    expect(await readdir(storeFolder(app))).toEqual([]);

    expect(await command(app, 'store-accept', '--main', '--found', 'none')).toMatchObject({ code: 0 });
    const second = await markOf(storeFolder(app));
    expect(await knownIn(app)).toEqual([['', second]]);
    expect(await sql(app, `select subject_id, detail from audit_event where action = 'store.accepted'`)).toEqual([{ subject_id: 'main', detail: { from: first, to: second, hadIdentity: false } }]);
    expect(await tryBackup(admin, tenant)).toMatchObject({ state: 'COMPLETED' });
    expect((await command(app, 'reconcile')).text).toMatch(/^MISSING /m);

    await rename(storeFolder(app), `${storeFolder(app)}-new`);
    await rename(`${storeFolder(app)}-away`, storeFolder(app));
    expect(await tryBackup(admin, tenant)).toMatchObject({ state: 'FAILED', failure: { code: 'STORE_CHANGED', message: expect.stringContaining('the identity of another one') } });
    expect(await command(app, 'store-accept', '--main', '--found', first)).toMatchObject({ code: 0 });
    expect(await tryBackup((await restart(running)).admin, tenant)).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);
});

describe('a store that copies go to', () => {
  it('is not written to where it is another one, and what is good there stays good', async () => {
    const folder = join(runFolder(), `changed-${randomBytes(4).toString('hex')}`);
    const { app, admin } = await start({ HOLDFAST_STORES: JSON.stringify({ nas: { url: pathToFileURL(folder).href } }) });
    const tenant = await shop(admin);
    const copied = await takeBackup(admin, tenant.id);
    await admin.run('mutation ($input: DestinationCreateInput!) { destinationCreate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, store: 'nas' } });
    const copy = async (): Promise<void> => {
      await app.nest.get(CopyTicks, { strict: false }).tick();
      const { tenant: shown } = await admin.run<{ tenant: { operations: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(first: 1, filter: { kinds: [COPY] }) { edges { node { id } } } } }', { id: tenant.id });
      await ended(admin, shown.operations.edges[0]!.node.id);
    };
    const copies = (): Promise<unknown[]> => sql(app, `select state, failure ->> 'code' as code from backup_copy order by state`);
    await copy();
    expect(await copies()).toEqual([{ state: 'GOOD', code: null }]);
    expect(await knownIn(app)).toEqual([['', await markOf(storeFolder(app))], ['nas', await markOf(folder)]]);

    const putBack = await unmount(folder);
    await takeBackup(admin, tenant.id);
    await copy();
    expect(await verify(admin, copied)).toMatchObject({ state: 'COMPLETED', result: { ok: true } });
    expect(await command(app, 'reconcile', '--repair')).toMatchObject({ code: 1, text: expect.stringContaining('The archive store nas is not the one') });
    expect(await copies()).toEqual([{ state: 'FAILED', code: 'STORE_CHANGED' }, { state: 'GOOD', code: null }]);
    expect(await readdir(folder)).toEqual([]);

    await putBack();
    await sql(app, 'update backup_copy set next_attempt_at = now()');
    await copy();
    expect(await copies()).toEqual([{ state: 'GOOD', code: null }, { state: 'GOOD', code: null }]);
  });
});

describe('a store of which PostgreSQL knows no identity', () => {
  it('keeps its own when the catalogue is rebuilt from it, or an older PostgreSQL comes back', async () => {
    const first = await start();
    const tenant = await shop(first.admin);
    const backup = await takeBackup(first.admin, tenant.id);
    const mark = await markOf(storeFolder(first.app));
    const rebuilt = await start({ HOLDFAST_DATA_DIR: first.app.config.dataDir }, await testDatabaseUrl());
    expect(await command(rebuilt.app, 'rebuild')).toMatchObject({ code: 0 });
    expect(await states(rebuilt.admin, [backup])).toEqual(['COMPLETED']);
    expect(await knownIn(rebuilt.app)).toEqual([['', mark]]);

    await sql(first.app, 'delete from store_identity');
    const older = await restart(first);
    expect(await tryBackup(older.admin, tenant)).toMatchObject({ state: 'COMPLETED' });
    expect([await knownIn(older.app), await markOf(storeFolder(older.app))]).toEqual([[['', mark]], mark]);
  });

  it('is given one by its first archive, or where it holds what it should; where it holds nothing of that it is refused', async () => {
    const fresh = await start();
    const tenant = await shop(fresh.admin);
    expect(await ready(fresh.app)).toMatchObject({ checks: { storage: { state: 'ok' } } });
    expect(await knownIn(fresh.app)).toEqual([]);
    await takeBackup(fresh.admin, tenant.id);
    expect(await knownIn(fresh.app)).toEqual([['', await markOf(storeFolder(fresh.app))]]);

    // As an installation from before there were identities.
    await sql(fresh.app, 'delete from store_identity');
    await rm(join(storeFolder(fresh.app), '.holdfast'), { recursive: true });
    const putBack = await unmount(storeFolder(fresh.app));
    const updated = await restart(fresh);
    expect(await tryBackup(updated.admin, tenant)).toMatchObject({ state: 'FAILED', failure: { code: 'STORE_CHANGED', message: expect.stringContaining('holds none of the archives that it should') } });
    expect(await command(updated.app, 'reconcile', '--repair')).toMatchObject({ code: 1, text: expect.stringContaining('STORE_CHANGED') });
    expect(await ready(updated.app)).toMatchObject({ status: 'down' });
    expect([await knownIn(updated.app), await readdir(storeFolder(updated.app))]).toEqual([[], []]);
    await putBack();
    expect(await command(updated.app, 'reconcile')).toMatchObject({ code: 0 });
    expect(await tryBackup(updated.admin, tenant)).toMatchObject({ state: 'COMPLETED' });
    expect(await knownIn(updated.app)).toEqual([['', await markOf(storeFolder(updated.app))]]);
  });

  it('is given one identity, however many processes use it first', async () => {
    const { app } = await start();
    const others = await Promise.all(Array.from({ length: 3 }, () => start({ HOLDFAST_DATA_DIR: app.config.dataDir, HOLDFAST_ROLE: 'api' }, app.config.databaseUrl)));
    const stores = [app, ...others.map((one) => one.app)].map(({ nest }) => nest.get<ArchiveStore>(ARCHIVE_STORE));
    await Promise.all(stores.flatMap((store, process) => Array.from({ length: 4 }, async (_, index) => (await store.create(`t/${process}-${index}`)).abort())));
    expect(await knownIn(app)).toEqual([['', await markOf(storeFolder(app))]]);
    for (const store of stores) await (await store.create('t/later')).abort();
  });
});

if (s3 === null) {
  it('S3 was not tested: see the line above', () => expect(s3).toBeNull());
} else {
  it('another place in a bucket is neither written to nor believed, and all goes on at the right address', async () => {
    process.env['AWS_ACCESS_KEY_ID'] = s3Keys.accessKeyId;
    process.env['AWS_SECRET_ACCESS_KEY'] = s3Keys.secretAccessKey;
    const address = (prefix: string) => ({ HOLDFAST_STORE_URL: `s3://${s3Bucket}/${prefix}?endpoint=${s3.endpoint}&partMiB=5` });
    const keys = async (): Promise<string[]> => {
      const client = s3.client();
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: s3Bucket }));
      client.destroy();
      return Contents.map(({ Key = '' }) => Key).sort();
    };
    const right = await start(address('right'));
    const tenant = await shop(right.admin);
    const backups = [await takeBackup(right.admin, tenant.id), await takeBackup(right.admin, tenant.id)];
    const before = await keys();
    expect(before).toEqual(['right/.holdfast/store', ...before.filter((key) => key.startsWith(`right/${parseGlobalId(tenant.id)!.uuid}/`))]);

    const wrong = await restart(right, address('wrong'));
    expect(await tryBackup(wrong.admin, tenant)).toMatchObject({ state: 'FAILED', failure: { code: 'STORE_CHANGED' } });
    expect(await verify(wrong.admin, backups[1]!)).toMatchObject({ state: 'FAILED', failure: { code: 'STORE_CHANGED' } });
    expect(await deleteBackup(wrong.admin, backups[0]!)).toMatchObject([{ code: 'STORE_CHANGED', message: expect.not.stringContaining('wrong') }]);
    expect(await command(wrong.app, 'reconcile', '--repair')).toMatchObject({ code: 1, text: expect.stringContaining('STORE_CHANGED') });
    expect(await states(wrong.admin, backups)).toEqual(['COMPLETED', 'COMPLETED']);
    expect(await keys()).toEqual(before);

    const again = await restart(wrong, address('right'));
    await sql(again.app, `update backup set deleted_at = now() - interval '5 minutes' where deleted_at is not null`);
    await again.app.nest.get(BackupDeletion, { strict: false }).tick();
    expect(await states(again.admin, backups)).toEqual(['DELETED', 'COMPLETED']);
    expect(await command(again.app, 'reconcile')).toMatchObject({ code: 0 });
    expect(await tryBackup(again.admin, tenant)).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);
}
