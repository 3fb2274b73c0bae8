import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { BackupDeletion } from '../../src/backups/backup-deletion.ts';
import { CopyTicks } from '../../src/destinations/copy-ticks.ts';
import { TenantRemoval } from '../../src/departures/tenant-removal.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { ArchiveStores } from '../../src/platform/storage/archive-stores.ts';
import { Reconciliation } from '../../src/reconcile/reconciliation.ts';
import { AppError } from '../../libs/errors/index.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, type OperationAnswer, restore, seedShop, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { ShorteningProxy } from '../support/s3-proxy.ts';
import { s3Bucket, s3Keys, S3Server } from '../support/s3-server.ts';
import { runFolder, testDatabaseUrl } from '../support/servers.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';
import { WorkerProcess } from '../support/worker-process.ts';

const s3 = await S3Server.start();
let app: TestApp;
let admin: GraphqlClient;
const folder = join(runFolder(), `copies-${randomBytes(4).toString('hex')}`);
const local = (name: string) => ({ url: pathToFileURL(join(folder, name)).href });

beforeAll(async () => {
  const stores = { second: local('second'), third: local('third'), ...(s3 === null ? {} : { offsite: { url: `s3://${s3Bucket}/copies?endpoint=${s3.endpoint}&partMiB=5`, accessKeyId: s3Keys.accessKeyId, secretAccessKey: s3Keys.secretAccessKey } }) };
  app = await startTestApp({ env: { HOLDFAST_STORES: JSON.stringify(stores) } });
  admin = await app.loginAsAdmin();
});
afterAll(async () => {
  await app?.stop();
  await s3?.stop();
});

interface DestinationAnswer {
  readonly id: string;
  readonly store: string;
  readonly movingFrom: string | null;
  readonly deleting: boolean;
  readonly copies: { readonly good: number; readonly waiting: number; readonly failed: number };
}

interface CopyAnswer {
  readonly store: string;
  readonly state: string;
  readonly attempts: number;
  readonly failure: { readonly code: string } | null;
}

const fields = 'id store movingFrom deleting copies { good waiting failed }';

async function call(name: string, input: Readonly<Record<string, unknown>>, client = admin): Promise<{ readonly destination: DestinationAnswer | null; readonly userErrors: readonly UserErrorAnswer[] }> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const more = name.startsWith('destination') ? `destination { ${fields} }` : '';
  const answer = await client.run<Record<string, { destination: DestinationAnswer | null; userErrors: UserErrorAnswer[] }>>(`mutation ($input: ${type}!) { ${name}(input: $input) { ${more} userErrors { code message field hint } } }`, { input });
  return answer[name]!;
}

const query = <Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(sql, [...values]);
const uuidOf = ({ id }: { readonly id: string }): string => parseGlobalId(id)?.uuid ?? '';
const storeOf = (name: string) => app.nest.get(ArchiveStores, { strict: false }).get(name);

async function choose(tenant: TestTenant, store: string): Promise<DestinationAnswer> {
  const { destination, userErrors } = await call('destinationCreate', { tenantId: tenant.id, store });
  if (destination === null) throw new Error(JSON.stringify(userErrors));
  return destination;
}

async function destinationsOf(tenant: TestTenant): Promise<DestinationAnswer[]> {
  return (await admin.run<{ tenant: { destinations: DestinationAnswer[] } }>(`query ($id: ID!) { tenant(id: $id) { destinations { ${fields} } } }`, { id: tenant.id })).tenant.destinations;
}

async function copiesOf(backup: BackupAnswer): Promise<CopyAnswer[]> {
  return (await admin.run<{ backup: { copies: CopyAnswer[] } }>('query ($id: ID!) { backup(id: $id) { copies { store state attempts failure { code } } } }', { id: backup.id })).backup.copies;
}

/** Starts what the ticks start by themselves, and waits for its end. */
async function copy(tenant: TestTenant): Promise<OperationAnswer> {
  await app.nest.get(CopyTicks, { strict: false }).tick();
  const { tenant: shown } = await admin.run<{ tenant: { operations: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(first: 1, filter: { kinds: [COPY] }) { edges { node { id } } } } }', { id: tenant.id });
  const operation = await ended(admin, shown.operations.edges[0]?.node.id ?? '');
  return operation;
}

async function shop(...stores: string[]): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 40));
  for (const store of stores) await choose(tenant, store);
  return tenant;
}

async function keyOf(backup: BackupAnswer): Promise<string> {
  const [row] = await query<{ store_key: string }>('select store_key from backup where id = $1', [uuidOf(backup)]);
  return row?.store_key ?? '';
}

const mainPath = async (backup: BackupAnswer): Promise<string> => join(storeFolder(app), await keyOf(backup));
const pathIn = async (store: string, backup: BackupAnswer): Promise<string> => join(folder, store, await keyOf(backup));

/** Turns one bit, by default in the middle of the file. */
async function damage(path: string, at = 0.5): Promise<void> {
  const bytes = await readFile(path);
  bytes[Math.floor(bytes.length * at)]! ^= 1;
  await writeFile(path, bytes);
}

const later = (tenant: TestTenant): Promise<unknown> => query('update backup_copy set next_attempt_at = now() where tenant_id = $1', [uuidOf(tenant)]);

describe('a store that is the main one by another name', () => {
  it('holds no copies, and keeps the archives when its destination is deleted', async () => {
    const dataDir = join(runFolder(), `alias-${randomBytes(4).toString('hex')}`);
    await mkdir(join(dataDir, 'store'), { recursive: true });
    await symlink(join(dataDir, 'store'), join(dataDir, 'other'));
    const aliased = await startTestApp({ env: { HOLDFAST_DATA_DIR: dataDir, HOLDFAST_STORES: JSON.stringify({ other: { url: pathToFileURL(join(dataDir, 'other')).href } }) } });
    try {
      const client = await aliased.loginAsAdmin();
      const tenant = await createTestTenant(client);
      await withDatabase(tenant, (db) => seedShop(db, 5));
      const backup = await takeBackup(client, tenant.id);
      const { destination } = await call('destinationCreate', { tenantId: tenant.id, store: 'other' }, client);
      const copyNow = async (): Promise<void> => {
        await aliased.nest.get(CopyTicks, { strict: false }).tick();
        const { tenant: shown } = await client.run<{ tenant: { operations: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(first: 1, filter: { kinds: [COPY] }) { edges { node { id } } } } }', { id: tenant.id });
        await ended(client, shown.operations.edges[0]!.node.id);
      };
      await copyNow();
      const { backup: shown } = await client.run<{ backup: { copies: CopyAnswer[] } }>('query ($id: ID!) { backup(id: $id) { copies { store state attempts failure { code } } } }', { id: backup.id });
      expect(shown.copies).toMatchObject([{ store: 'other', state: 'FAILED', failure: { code: 'STORE_TAKEN' } }]);
      const files = await storedFiles(aliased);
      expect(files).toHaveLength(1);
      await call('destinationDelete', { destinationId: destination!.id }, client);
      await copyNow();
      expect(await storedFiles(aliased)).toEqual(files);
      expect(await restore(client, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    } finally {
      await aliased.stop();
    }
  });
});

describe('a workspace with destinations', () => {
  it('has each backup in each of them, the same bytes, those from before too, and shows no credentials', async () => {
    const tenant = await shop();
    const first = await takeBackup(admin, tenant.id);
    const stores = s3 === null ? ['second'] : ['second', 'offsite'];
    for (const store of stores) await choose(tenant, store);
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    expect((await owner.run<{ stores: string[] }>('{ stores }')).stores).toEqual(s3 === null ? ['second', 'third'] : ['second', 'third', 'offsite']);
    const backup = await takeBackup(owner, tenant.id);
    expect(await copy(tenant)).toMatchObject({ kind: 'COPY', state: 'COMPLETED' });
    for (const one of [first, backup]) {
      expect((await copiesOf(one)).map(({ store, state }) => [store, state])).toEqual([...stores].sort().map((store) => [store, 'GOOD']));
      const original = await readFile(await mainPath(one));
      for (const store of stores) {
        const object = await storeOf(store).open(await keyOf(one));
        expect((await object.read(0, object.sizeBytes)).equals(original)).toBe(true);
        await object.close();
      }
    }
    const shown = JSON.stringify(await destinationsOf(tenant));
    expect(await destinationsOf(tenant)).toMatchObject(stores.map((store) => ({ store, copies: { good: 2, waiting: 0, failed: 0 } })));
    for (const secret of [s3Keys.secretAccessKey, s3Keys.accessKeyId, s3Bucket, folder]) expect(shown).not.toContain(secret);
    for (const { id } of await destinationsOf(tenant)) expect(await call('destinationTest', { destinationId: id })).toMatchObject({ userErrors: [] });
  });

  it('knows only stores that are configured, each once', async () => {
    const tenant = await shop('second');
    expect(await call('destinationCreate', { tenantId: tenant.id, store: 'nowhere' })).toMatchObject({ destination: null, userErrors: [{ code: 'STORE_UNKNOWN', field: ['store'] }] });
    const [one] = await destinationsOf(tenant);
    expect((await choose(tenant, 'second')).id).toBe(one?.id);
    const other = await choose(tenant, 'third');
    expect(await call('destinationUpdate', { destinationId: other.id, store: 'second' })).toMatchObject({ userErrors: [{ code: 'STORE_TAKEN' }] });
  });

  it('is restored, downloaded and proven from a copy where the first file is damaged or gone, and the file is made good again', async () => {
    const tenant = await shop('second');
    // Several segments: the middle is read by a restore alone, the beginning by its plan too.
    await withDatabase(tenant, (db) => db.collection('photos').insertMany(Array.from({ length: 6 }, () => ({ bytes: randomBytes(1_000_000) }))));
    const before = await withDatabase(tenant, fingerprint);
    const backup = await takeBackup(admin, tenant.id);
    await copy(tenant);
    const original = await readFile(await mainPath(backup));
    await damage(await mainPath(backup));
    await withDatabase(tenant, (db) => db.collection('orders').deleteMany({}));
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);

    const verify = async (): Promise<OperationAnswer> => {
      const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } } }', { input: { backupId: backup.id } });
      return ended(admin, backupVerify.operation.id);
    };
    expect(await verify()).toMatchObject({ state: 'COMPLETED', result: { ok: true } });
    expect((await readFile(await mainPath(backup))).equals(original)).toBe(true);

    await damage(await mainPath(backup), 0.001);
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);

    await rm(await mainPath(backup));
    const { downloadCreate } = await admin.run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url userErrors { code } } }', { input: { backupId: backup.id, variant: 'ARCHIVE' } });
    const bytes = Buffer.from(await (await fetch(`${app.url}${new URL(downloadCreate.url).pathname}`)).arrayBuffer());
    expect(bytes.equals(original)).toBe(true);

    const rows = [];
    for await (const row of app.nest.get(Reconciliation, { strict: false }).run({ repair: true, makeTenants: false })) if (row.tenantId === uuidOf(tenant)) rows.push(row.kind);
    expect(rows).toEqual(['HEALED']);
    expect((await readFile(await mainPath(backup))).equals(original)).toBe(true);

    // Damaged everywhere it is nowhere, and live data stay as they are.
    await damage(await mainPath(backup));
    await damage(await pathIn('second', backup));
    const live = await withDatabase(tenant, fingerprint);
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'FAILED', failure: { code: expect.stringMatching(/^ARCHIVE_/) } });
    expect(differences(live, await withDatabase(tenant, fingerprint))).toEqual([]);
    expect(await verify()).toMatchObject({ result: { ok: false } });
  });

  it('has a copy made anew that is not what was written, or that its store has lost', async () => {
    const tenant = await shop('second');
    const backup = await takeBackup(admin, tenant.id);
    await copy(tenant);
    await damage(await pathIn('second', backup));
    const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } } }', { input: { backupId: backup.id } });
    await ended(admin, backupVerify.operation.id);
    expect(await copiesOf(backup)).toMatchObject([{ state: 'MISSING' }]);
    await copy(tenant);
    expect(await copiesOf(backup)).toMatchObject([{ state: 'GOOD' }]);
    expect((await readFile(await pathIn('second', backup))).equals(await readFile(await mainPath(backup)))).toBe(true);

    await rm(await pathIn('second', backup));
    const rows = [];
    for await (const row of app.nest.get(Reconciliation, { strict: false }).run({ repair: true, makeTenants: false })) if (row.tenantId === uuidOf(tenant)) rows.push(row.kind);
    expect(rows).toEqual(['COPY_MISSING']);
    await copy(tenant);
    expect((await readFile(await pathIn('second', backup))).equals(await readFile(await mainPath(backup)))).toBe(true);
  });

  it('has a copy tried again whose store fails, and people are told when it goes on failing, once', async () => {
    const tenant = await shop('third');
    const backup = await takeBackup(admin, tenant.id);
    const store = storeOf('third');
    store.create = () => Promise.reject(new AppError('STORAGE_FULL', 'The archive store is full'));
    const alerts = async (): Promise<{ event: string; resolvedAt: string | null }[]> =>
      (await admin.run<{ tenant: { alerts: { edges: { node: { event: string; resolvedAt: string | null } }[] } } }>('query ($id: ID!) { tenant(id: $id) { alerts { edges { node { event resolvedAt } } } } }', { id: tenant.id })).tenant.alerts.edges
        .map(({ node }) => node)
        .filter(({ event }) => event === 'COPY_FAILED');
    try {
      for (let attempt = 1; attempt <= 4; attempt++) {
        expect(await copy(tenant)).toMatchObject({ state: 'COMPLETED' });
        expect(await copiesOf(backup)).toMatchObject([{ state: 'FAILED', attempts: attempt, failure: { code: 'STORAGE_FULL' } }]);
        expect(await alerts()).toHaveLength(attempt < 3 ? 0 : 1);
        await later(tenant);
      }
    } finally {
      // The method of its class is back.
      Reflect.deleteProperty(store, 'create');
    }
    // The clock was years ahead when its pause began.
    await query(`update backup_copy set next_attempt_at = now() + interval '3 years' where tenant_id = $1`, [uuidOf(tenant)]);
    await copy(tenant);
    expect(await copiesOf(backup)).toMatchObject([{ state: 'GOOD', attempts: 0, failure: null }]);
    expect(await alerts()).toEqual([{ event: 'COPY_FAILED', resolvedAt: expect.any(String) }]);
  });

  it('has its copies though those of another workspace cannot be begun, and people of that one are told', async () => {
    const [one, other] = (await Promise.all([shop('second'), shop('second')])).sort((a, b) => (uuidOf(a) < uuidOf(b) ? -1 : 1));
    for (const tenant of [one, other]) await takeBackup(admin, tenant.id);
    await query(`create function refuse_copies() returns trigger language plpgsql as $$ begin raise exception 'no copies'; end $$`);
    await query(`create trigger refuse_copies before insert on operation for each row when (new.tenant_id = '${uuidOf(one)}' and new.kind = 'COPY') execute function refuse_copies()`);
    const copies = (tenant: TestTenant): Promise<{ readonly state: string }[]> => query(`select state from operation where tenant_id = $1 and kind = 'COPY'`, [uuidOf(tenant)]);
    const alerts = (tenant: TestTenant): Promise<{ readonly event: string; readonly resolved: boolean }[]> => query(`select event, resolved_at is not null as resolved from alert where tenant_id = $1 and event = 'COPY_FAILED'`, [uuidOf(tenant)]);
    try {
      await app.nest.get(CopyTicks, { strict: false }).tick();
      expect([await copies(one), await copies(other)]).toMatchObject([[], [{}]]);
      expect([await alerts(one), await alerts(other)]).toEqual([[{ event: 'COPY_FAILED', resolved: false }], []]);
    } finally {
      await query('drop trigger refuse_copies on operation');
    }
    expect(await copy(one)).toMatchObject({ state: 'COMPLETED' });
    expect(await alerts(one)).toEqual([{ event: 'COPY_FAILED', resolved: true }]);
  });

  it('has a copy finished that a worker which died had begun', async () => {
    const tenant = await shop();
    const backup = await takeBackup(admin, tenant.id);
    const off = app.at('copy.written', () => Promise.reject(new Error('The worker stopped here')));
    await choose(tenant, 'second');
    expect(await copy(tenant)).toMatchObject({ state: 'FAILED' });
    off();
    expect(await copiesOf(backup)).toMatchObject([{ state: 'COPYING' }]);
    await copy(tenant);
    expect(await copiesOf(backup)).toMatchObject([{ state: 'GOOD' }]);
  });
});

describe('copies go', () => {
  const deleteBackup = async (backup: BackupAnswer): Promise<readonly UserErrorAnswer[]> => (await call('backupDelete', { backupId: backup.id })).userErrors;

  it('with their backup, in two phases: a store that is away holds up the end of it, not its beginning', async () => {
    const tenant = await shop('second');
    const [backup] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    await copy(tenant);
    const store = storeOf('second');
    store.delete = () => Promise.reject(new AppError('STORAGE_UNAVAILABLE', 'The store is away'));
    expect((await deleteBackup(backup)).map(({ code }) => code)).toEqual(['STORAGE_UNAVAILABLE']);
    expect(await query('select state, deleted_at is not null as begun from backup where id = $1', [uuidOf(backup)])).toEqual([{ state: 'COMPLETED', begun: true }]);
    Reflect.deleteProperty(store, 'delete');
    await query(`update backup set deleted_at = now() - interval '5 minutes' where id = $1`, [uuidOf(backup)]);
    await app.nest.get(BackupDeletion, { strict: false }).tick();
    expect(await query('select state from backup where id = $1', [uuidOf(backup)])).toEqual([{ state: 'DELETED' }]);
    expect(await storeOf('second').stat(await keyOf(backup))).toBeNull();
    expect(await copiesOf(backup)).toEqual([]);
  });

  it('even when the backup is deleted while it is being copied', async () => {
    const tenant = await shop();
    const [backup] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    let deleted: readonly UserErrorAnswer[] | null = null;
    const off = app.at('copy.written', async () => {
      if ((await copiesOf(backup))[0]?.state !== 'COPYING') return;
      off();
      deleted = await deleteBackup(backup);
    });
    // Not before: copies begin by themselves, too.
    await choose(tenant, 'second');
    await copy(tenant);
    expect(deleted).toEqual([]);
    expect(await storeOf('second').stat(await keyOf(backup))).toBeNull();
    expect(await copiesOf(backup)).toEqual([]);
    expect(await destinationsOf(tenant)).toMatchObject([{ copies: { good: 1 } }]);
  });

  it('to another store without a gap: the old ones are read until every new one is good', async () => {
    const tenant = await shop('second');
    const backup = await takeBackup(admin, tenant.id);
    await copy(tenant);
    const [destination] = await destinationsOf(tenant);
    expect(await call('destinationUpdate', { destinationId: destination!.id, store: 'third' })).toMatchObject({ destination: { store: 'third', movingFrom: 'second' } });
    const seen: string[][] = [];
    const off = app.at('copy.written', async () => void seen.push((await copiesOf(backup)).map(({ store, state }) => `${store} ${state}`)));
    await copy(tenant);
    off();
    expect(seen).toEqual([['second GOOD', 'third COPYING']]);
    expect(await destinationsOf(tenant)).toMatchObject([{ id: destination!.id, store: 'third', movingFrom: null, copies: { good: 1 } }]);
    expect((await copiesOf(backup)).map(({ store, state }) => `${store} ${state}`)).toEqual(['third GOOD']);
    expect(await storeOf('second').stat(await keyOf(backup))).toBeNull();
    expect(await storeOf('third').stat(await keyOf(backup))).not.toBeNull();
  });

  it('with their destination, and the backup stays', async () => {
    const tenant = await shop('second');
    const backup = await takeBackup(admin, tenant.id);
    await copy(tenant);
    const [destination] = await destinationsOf(tenant);
    expect(await call('destinationDelete', { destinationId: destination!.id })).toMatchObject({ destination: { deleting: true } });
    await copy(tenant);
    expect(await destinationsOf(tenant)).toEqual([]);
    expect(await storeOf('second').stat(await keyOf(backup))).toBeNull();
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
  });

  it('with their workspace', async () => {
    const tenant = await shop('second');
    const backup = await takeBackup(admin, tenant.id);
    await copy(tenant);
    const key = await keyOf(backup);
    await admin.run('mutation ($input: TenantDeleteInput!) { tenantDelete(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, confirmName: tenant.name } });
    await query('update tenant set deletion_due_at = now() where id = $1', [uuidOf(tenant)]);
    await app.nest.get(TenantRemoval, { strict: false }).tick();
    expect(await query('select deleted_at is not null as gone from tenant where id = $1', [uuidOf(tenant)])).toEqual([{ gone: true }]);
    expect(await storeOf('second').stat(key)).toBeNull();
  });
});

describe('a worker that is killed with -9 while half of a copy has been sent', () => {
  if (s3 === null) {
    it('was not tested: see the line above', () => expect(s3).toBeNull());
    return;
  }

  it('leaves it to another, who makes it whole; nothing of the first try stays', async () => {
    const proxy = await ShorteningProxy.start(s3);
    const client = s3.client();
    const databaseUrl = await testDatabaseUrl();
    const prefix = `killed-${randomBytes(4).toString('hex')}`;
    const stores = (endpoint: string): string => JSON.stringify({ offsite: { url: `s3://${s3Bucket}/${prefix}?endpoint=${endpoint}&partMiB=5`, accessKeyId: s3Keys.accessKeyId, secretAccessKey: s3Keys.secretAccessKey } });
    const first = await startTestApp({ databaseUrl, env: { HOLDFAST_STORES: stores(s3.endpoint) } });
    const { dataDir } = first.config;
    const started: TestApp[] = [first];
    try {
      const maker = await first.loginAsAdmin();
      const tenant = await createTestTenant(maker);
      await withDatabase(tenant, (db) => db.collection('photos').insertMany(Array.from({ length: 24 }, () => ({ bytes: randomBytes(1_000_000) }))));
      const backup = await takeBackup(maker, tenant.id);
      const [row]: { store_key: string; sha256: string }[] = await first.nest.get(DataSource).query('select store_key, sha256 from backup where id = $1', [uuidOf(backup)]);
      started.pop();
      await first.stop();

      const api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api', HOLDFAST_DATA_DIR: dataDir, HOLDFAST_STORES: stores(s3.endpoint) } });
      started.push(api);
      const asker = await api.loginAsAdmin();
      const killed = Promise.withResolvers<void>();
      let victim: WorkerProcess | null = null;
      // Two parts lie there at least, as no more than two are under way at once; the fourth one is asked for, and its sender dies.
      proxy.onAsked = async (method, url) => {
        if (method !== 'PUT' || !url.includes('partNumber=4') || victim === null) return;
        await victim.kill('SIGKILL');
        victim = null;
        killed.resolve();
        throw new Error('Its sender is dead');
      };
      const { destinationCreate } = await asker.run<{ destinationCreate: { userErrors: unknown[] } }>('mutation ($input: DestinationCreateInput!) { destinationCreate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, store: 'offsite' } });
      expect(destinationCreate.userErrors).toEqual([]);
      victim = WorkerProcess.start({ databaseUrl, dataDir, env: { HOLDFAST_STORES: stores(proxy.endpoint) } });
      await killed.promise;
      const uploads = async () => (await client.send(new ListMultipartUploadsCommand({ Bucket: s3Bucket, Prefix: `${prefix}/` }))).Uploads ?? [];
      const [half, ...more] = await uploads();
      expect([half?.Key, more]).toEqual([`${prefix}/${row?.store_key}`, []]);
      const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket: s3Bucket, Key: half?.Key, UploadId: half?.UploadId }));
      expect(Parts.length).toBeGreaterThan(0);
      const { tenant: shown } = await asker.run<{ tenant: { operations: { edges: { node: { id: string; state: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(first: 1, filter: { kinds: [COPY] }) { edges { node { id state } } } } }', { id: tenant.id });
      const [operation] = shown.operations.edges;
      expect(operation?.node.state).toBe('RUNNING');

      const healthy = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: dataDir, HOLDFAST_STORES: stores(s3.endpoint) } });
      started.push(healthy);
      expect(await ended(asker, operation?.node.id ?? '')).toMatchObject({ kind: 'COPY', state: 'COMPLETED' });
      expect(await uploads()).toEqual([]);
      const { backup: copied } = await asker.run<{ backup: { copies: unknown } }>('query ($id: ID!) { backup(id: $id) { copies { store state attempts } } }', { id: backup.id });
      expect(copied.copies).toEqual([{ store: 'offsite', state: 'GOOD', attempts: 0 }]);
      const object = await healthy.nest.get(ArchiveStores, { strict: false }).get('offsite').open(row?.store_key ?? '');
      const bytes = await object.read(0, object.sizeBytes);
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(row?.sha256);
      // It is read from there alone.
      await rm(join(storeFolder(api), row?.store_key ?? ''));
      const { backupVerify } = await asker.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } } }', { input: { backupId: backup.id } });
      expect(await ended(asker, backupVerify.operation.id)).toMatchObject({ state: 'COMPLETED', result: { ok: true } });
    } finally {
      for (const one of started) await one.stop();
      client.destroy();
      await proxy.stop();
    }
  }, 120_000);
});
