import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, fingerprint, type Fingerprint } from '../../scripts/demo/fingerprint.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { KeptDatabaseSweep } from '../../src/restore/kept-database-sweep.ts';
import { RetentionClock } from '../../src/retention/retention-clock.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, planCreate, restore, restoreStart, restoreUndo, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { startMongod } from '../support/servers.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(() => app?.stop());

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(text, values);
const rawId = (id: string): string => parseGlobalId(id)!.uuid;

interface Setting {
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
  readonly archived: Fingerprint;
  readonly live: Fingerprint;
}

async function changedShop(target: { readonly uri?: string; readonly database?: string } = {}): Promise<Setting> {
  const tenant = await createTestTenant(admin, target);
  await withDatabase(tenant, (db) => seedShop(db, 80));
  const archived = await withDatabase(tenant, fingerprint);
  const backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => void (await db.collection('orders').deleteMany({})));
  return { tenant, backup, archived, live: await withDatabase(tenant, fingerprint) };
}

async function repoint({ tenant, backup }: Setting, start: Readonly<Record<string, unknown>> = {}, plan: Readonly<Record<string, unknown>> = {}): Promise<OperationAnswer> {
  const { id } = await makePlan(admin, tenant.id, backup.id, { cutover: 'REPOINT', ...plan });
  return ended(admin, idOf(await restoreStart(admin, id, tenant.name, start)));
}

const undo = async ({ tenant }: Setting, { id }: OperationAnswer): Promise<OperationAnswer> => ended(admin, idOf(await restoreUndo(admin, id, tenant.name)));

interface TenantAnswer {
  readonly status: string;
  readonly sessionEpoch: number;
  readonly database: { readonly name: string };
}

async function tenantOf(tenant: TestTenant): Promise<TenantAnswer> {
  return (await admin.run<{ tenant: TenantAnswer }>('query ($id: ID!) { tenant(id: $id) { status sessionEpoch database { name } } }', { id: tenant.id })).tenant;
}

const databaseOf = async (tenant: TestTenant): Promise<string> => (await tenantOf(tenant)).database.name;
const printOf = (tenant: TestTenant, database: string): Promise<Fingerprint> => withDatabase({ uri: tenant.uri, database }, fingerprint);
/** Without `system.views`, which stays behind empty once a view was tried. */
const namesIn = (tenant: TestTenant, database: string): Promise<string[]> =>
  withDatabase({ uri: tenant.uri, database }, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name).filter((name) => name !== 'system.views').sort());

const exists = (tenant: TestTenant, database: string): Promise<boolean> =>
  withDatabase({ uri: tenant.uri, database }, async (db) => (await db.admin().listDatabases({ nameOnly: true })).databases.some(({ name }) => name === database));

/** The 7 days are over. */
async function expire({ id }: OperationAnswer): Promise<void> {
  await sql(`update database_claim set expires_at = now() - interval '1 second' where operation_id = $1`, [rawId(id)]);
}

async function releases(tenant: TestTenant): Promise<OperationAnswer[]> {
  const { tenant: answer } = await admin.run<{ tenant: { operations: { edges: { node: OperationAnswer }[] } } }>(
    'query ($id: ID!) { tenant(id: $id) { operations(filter: {kinds: [RELEASE]}) { edges { node { id state } } } } }', { id: tenant.id });
  return answer.operations.edges.map(({ node }) => node);
}

async function sweep(tenant: TestTenant): Promise<void> {
  await app.nest.get(KeptDatabaseSweep, { strict: false }).tick();
  for (const { id } of await releases(tenant)) await ended(admin, id);
}

/** Cluster times are of whole seconds. */
async function nextSecond(tenant: TestTenant): Promise<void> {
  const secondOf = (): Promise<number> => withDatabase(tenant, async (db) => (await db.command({ ping: 1 }))['operationTime'].getHighBits());
  await withDatabase(tenant, async (db) => void (await db.createCollection('marks')));
  for (const begun = await secondOf(); (await secondOf()) === begun; ) await withDatabase(tenant, async (db) => void (await db.command({ collMod: 'marks', validationLevel: 'off' })));
}

async function auditCount(tenant: TestTenant, action: string): Promise<number> {
  const [row] = await sql<{ count: string }>('select count(*) from audit_event where tenant_id = $1 and action = $2', [rawId(tenant.id), action]);
  return Number(row!.count);
}

describe('a restore with cutover REPOINT', () => {
  it('gives the workspace a new database and leaves the former one as it was', async () => {
    const setting = await changedShop();
    const { tenant, backup, archived, live } = setting;
    const plan = await admin.run<{ restorePlanCreate: { plan: { id: string; cutover: string; newDatabase: string } } }>(
      'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id cutover newDatabase } } }', { input: { tenantId: tenant.id, source: { backupId: backup.id }, cutover: 'REPOINT' } });
    const { id, cutover, newDatabase } = plan.restorePlanCreate.plan;
    expect([cutover, newDatabase.startsWith(`${tenant.database}_r`)]).toEqual(['REPOINT', true]);
    await using updates = admin.subscribe<{ tenantUpdated: { status: string; database: { name: string } } }>('subscription ($id: ID!) { tenantUpdated(id: $id) { status database { name } } }', { id: tenant.id });
    const done = await ended(admin, idOf(await restoreStart(admin, id, tenant.name)));
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED' }, undoableUntil: expect.any(String), result: { database: newDatabase, warnings: expect.arrayContaining([expect.stringMatching(/change streams/)]) } });
    expect(done.steps.map(({ phase }) => phase)).toEqual(['VERIFY', 'SAFETY_BACKUP', 'STAGE', 'CHECK', 'MAINTENANCE_ON', 'SWAP', 'MAINTENANCE_OFF', 'CLEANUP']);
    expect(await tenantOf(tenant)).toEqual({ status: 'ACTIVE', sessionEpoch: 1, database: { name: newDatabase } });
    expect(differences(archived, await printOf(tenant, newDatabase))).toEqual([]);
    expect(differences(live, await printOf(tenant, tenant.database))).toEqual([]);
    expect((await namesIn(tenant, newDatabase)).filter((name) => name.startsWith('hf_'))).toEqual([]);
    expect(await auditCount(tenant, 'tenant.repointed')).toBe(1);
    for await (const { data } of updates) {
      if (data?.tenantUpdated.status !== 'ACTIVE' || data.tenantUpdated.database.name !== newDatabase) continue;
      break;
    }

    // Whatever comes next is of the new database.
    const later = await takeBackup(admin, tenant.id);
    expect(later.contents.find(({ name }) => name === 'orders')).toMatchObject({ documents: '80' });
    expect(await restore(admin, tenant.id, later.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await namesIn(tenant, tenant.database)).toContain('orders');
  });

  it('is taken back by undo with every write that went to the former database, and the undo by another one', async () => {
    const setting = await changedShop();
    const { tenant, archived } = setting;
    const off = app.at('restore.planned', () => withDatabase(tenant, async (db) => void (await db.collection('orders').insertOne({ late: true }))));
    const done = await repoint(setting);
    off();
    const moved = await databaseOf(tenant);
    expect(await restoreUndo(admin, done.id, 'another name')).toMatchObject({ operation: null, userErrors: [{ code: 'CONFIRM_NAME_MISMATCH' }] });
    await withDatabase({ uri: tenant.uri, database: moved }, async (db) => void (await db.collection('orders').insertOne({ newer: true })));

    const back = await undo(setting, done);
    expect(back).toMatchObject({ kind: 'UNDO', state: 'COMPLETED', undoableUntil: expect.any(String), result: { database: tenant.database } });
    expect(back.steps.map(({ phase }) => phase)).toEqual(['MAINTENANCE_ON', 'SWAP', 'MAINTENANCE_OFF']);
    expect(await tenantOf(tenant)).toEqual({ status: 'ACTIVE', sessionEpoch: 2, database: { name: tenant.database } });
    expect(await withDatabase(tenant, (db) => db.collection('orders').countDocuments({ late: true }))).toBe(1);
    expect(await restoreUndo(admin, done.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_UNDOABLE' }] });

    expect(await undo(setting, back)).toMatchObject({ state: 'COMPLETED' });
    expect(await databaseOf(tenant)).toBe(moved);
    expect(await withDatabase({ uri: tenant.uri, database: moved }, (db) => db.collection('orders').countDocuments({ newer: true }))).toBe(1);
    await withDatabase({ uri: tenant.uri, database: moved }, async (db) => void (await db.collection('orders').deleteOne({ newer: true })));
    expect(differences(archived, await printOf(tenant, moved))).toEqual([]);
  });

  it('goes back over several of them at once, and never into a database that was emptied', async () => {
    const setting = await changedShop();
    const { tenant, live } = setting;
    const first = await repoint(setting);
    const second = await repoint(setting);
    const between = await databaseOf(tenant);
    expect(await undo(setting, first)).toMatchObject({ state: 'COMPLETED', result: { warnings: expect.arrayContaining([expect.stringMatching(/newer restore/)]) } });
    expect(await databaseOf(tenant)).toBe(tenant.database);
    expect(differences(live, await printOf(tenant, tenant.database))).toEqual([]);
    const [row] = await sql<{ database: string }>('select database from database_claim where operation_id = $1', [rawId(second.id)]);
    expect(row!.database).not.toBe(between);
    await withDatabase({ uri: tenant.uri, database: row!.database }, async (db) => void (await db.dropDatabase()));
    expect(await undo(setting, second)).toMatchObject({ state: 'FAILED', failure: { code: 'NOT_UNDOABLE' } });
    expect(await tenantOf(tenant)).toMatchObject({ status: 'ACTIVE', database: { name: tenant.database } });
  });

  it('refuses what is not for it, and names that are taken', async () => {
    const setting = await changedShop();
    const { tenant, backup } = setting;
    const other = await createTestTenant(admin);
    const refused = async (input: object): Promise<string> => (await planCreate(admin, tenant.id, backup.id, { cutover: 'REPOINT', ...input })).userErrors[0]?.code ?? 'nothing';
    const create = 'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } } }';
    for (const input of [{ mode: 'MERGE' }, { collections: ['orders'] }]) {
      expect(await admin.codeOf(create, { input: { tenantId: tenant.id, source: { backupId: backup.id }, cutover: 'REPOINT', ...input } })).toBe('BAD_USER_INPUT');
    }
    expect(await refused({ target: { newDatabase: { name: other.database } } })).toBe('TARGET_IN_USE');
    expect(await refused({ target: { newDatabase: { name: tenant.database } } })).toBe('TARGET_IN_USE');
    const restorer = await createTestMember(app, admin, tenant.id, 'RESTORER');
    expect(await planCreate(restorer, tenant.id, backup.id, { cutover: 'REPOINT', target: { newDatabase: { name: 'elsewhere' } } })).toMatchObject({ userErrors: [{ code: 'TARGET_REFUSED' }] });
    expect(await planCreate(restorer, tenant.id, backup.id, { cutover: 'REPOINT' })).toMatchObject({ userErrors: [] });
  });

  it('keeps former databases from everybody else as long as they are the way back', async () => {
    const setting = await changedShop();
    const { tenant } = setting;
    await repoint(setting);
    const target = { engine: 'MONGODB', uri: tenant.uri, database: tenant.database };
    const { tenantCreate } = await admin.run<{ tenantCreate: { userErrors: { code: string }[] } }>('mutation ($input: TenantCreateInput!) { tenantCreate(input: $input) { userErrors { code } } }', {
      input: { slug: `taken-${tenant.slug}`, name: 'Taken', environment: 'SANDBOX', timeZone: 'UTC', target } });
    expect(tenantCreate.userErrors).toMatchObject([{ code: 'TARGET_IN_USE' }]);
    const other = await createTestTenant(admin);
    const { tenantUpdate } = await admin.run<{ tenantUpdate: { userErrors: { code: string }[] } }>('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code } } }', {
      input: { tenantId: other.id, target: { uri: tenant.uri, database: tenant.database } } });
    expect(tenantUpdate.userErrors).toMatchObject([{ code: 'TARGET_IN_USE' }]);
  });

  it('leaves nothing when it is a dry run, fails or is canceled, and the workspace as it was', async () => {
    const setting = await changedShop();
    const { tenant, backup, live } = setting;
    const database = `${tenant.database}_try`;
    const plan = { target: { newDatabase: { name: database } } };
    expect(await repoint(setting, { dryRun: true }, plan)).toMatchObject({ state: 'COMPLETED', safetyBackup: null, undoableUntil: null, result: { dryRun: true } });
    for (const point of ['restore.staged', 'restore.checked', 'restore.maintenance', 'restore.planned']) {
      const off = app.at(point, () => Promise.reject(new Error('stopped by the test')));
      expect([point, await repoint(setting, {}, plan)]).toMatchObject([point, { state: 'FAILED' }]);
      off();
      const id = Promise.withResolvers<string>();
      const cancel = app.at(point, async () => void (await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: await id.promise } })));
      const { id: planId } = await makePlan(admin, tenant.id, backup.id, { cutover: 'REPOINT', ...plan });
      id.resolve(idOf(await restoreStart(admin, planId, tenant.name)));
      expect([point, await ended(admin, await id.promise)]).toMatchObject([point, { state: 'CANCELED' }]);
      cancel();
      expect(await namesIn(tenant, database)).toEqual([]);
    }
    expect(await tenantOf(tenant)).toMatchObject({ status: 'ACTIVE', database: { name: tenant.database } });
    expect(differences(live, await printOf(tenant, tenant.database))).toEqual([]);
  });

  it('stops when live collections have changed since the plan, or somebody makes something in the new database', async () => {
    const setting = await changedShop();
    const { tenant } = setting;
    const database = `${tenant.database}_race`;
    const off = app.at('restore.staged', () => withDatabase({ uri: tenant.uri, database }, async (db) => void (await db.collection('mine').insertOne({ a: 1 }))));
    expect(await repoint(setting, {}, { target: { newDatabase: { name: database } } })).toMatchObject({ state: 'FAILED', failure: { code: 'LIVE_CHANGED' } });
    off();
    expect(await namesIn(tenant, database)).toEqual(['mine']);
    const off2 = app.at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.createCollection('meanwhile'))));
    expect(await repoint(setting)).toMatchObject({ state: 'FAILED', failure: { code: 'LIVE_CHANGED', message: expect.stringMatching(/meanwhile/) } });
    off2();
    expect(await databaseOf(tenant)).toBe(tenant.database);
  });

  it('needs no safety backup where live data cannot be read, for the provider alone', async () => {
    // Of its own: a server has one such fail point.
    const mongod = await startMongod();
    const setting = await changedShop({ uri: mongod.uri, database: 'damaged' });
    const { tenant, backup } = setting;
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const plan = await makePlan(admin, tenant.id, backup.id, { cutover: 'REPOINT' });
    expect(await owner.codeOf('mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } } }', { input: { planId: plan.id, confirmName: tenant.name, keepOld: true } })).toBe('FORBIDDEN');
    try {
      await withDatabase({ uri: tenant.uri, database: 'admin' }, (db) =>
        db.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data: { failCommands: ['find'], errorCode: 8, namespace: `${tenant.database}.orders` } }));
      expect(await repoint(setting)).toMatchObject({ state: 'FAILED', failure: { code: 'SAFETY_BACKUP_FAILED' } });
      const done = await repoint(setting, { keepOld: true });
      expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: null, undoableUntil: expect.any(String) });
      expect(done.steps.map(({ phase }) => phase)).not.toContain('SAFETY_BACKUP');
      expect(await undo(setting, done)).toMatchObject({ state: 'COMPLETED' });
      expect(await databaseOf(tenant)).toBe(tenant.database);
    } finally {
      await mongod.stop();
    }
  });
});

describe('a former database', () => {
  it('is dropped after its 7 days, not before, not while work runs, and not once the workspace has it back', async () => {
    const setting = await changedShop();
    const { tenant, backup } = setting;
    const done = await repoint(setting);
    const [claim] = await sql<{ days: string }>(`select round(extract(epoch from expires_at - now()) / 3600) as days from database_claim where operation_id = $1`, [rawId(done.id)]);
    expect(Number(claim!.days)).toBe(168);
    await sweep(tenant);
    expect([await exists(tenant, tenant.database), await releases(tenant)]).toEqual([true, []]);

    // Work that runs goes first.
    const plan = await makePlan(admin, tenant.id, backup.id);
    await expire(done);
    const off = app.at('restore.staged', () => app.nest.get(KeptDatabaseSweep, { strict: false }).tick());
    await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)));
    off();
    expect([await exists(tenant, tenant.database), await releases(tenant)]).toEqual([true, []]);
    expect(await restoreUndo(admin, done.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'UNDO_EXPIRED' }] });

    const now = await databaseOf(tenant);
    const print = await printOf(tenant, now);
    await sweep(tenant);
    expect(await releases(tenant)).toMatchObject([{ state: 'COMPLETED' }]);
    expect(await namesIn(tenant, tenant.database)).toEqual([]);
    expect(await exists(tenant, tenant.database)).toBe(false);
    expect(differences(print, await printOf(tenant, now))).toEqual([]);
    expect([await auditCount(tenant, 'restore.database-expired'), await auditCount(tenant, 'restore.database-dropped')]).toEqual([1, 1]);
    expect(await restoreUndo(admin, done.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_UNDOABLE' }] });
    // Its name is free again.
    await createTestTenant(admin, { uri: tenant.uri, database: tenant.database });

    const again = await changedShop();
    const moved = await repoint(again);
    const back = await undo(again, moved);
    await expire(moved);
    await sweep(again.tenant);
    expect(differences(again.live, await printOf(again.tenant, again.tenant.database))).toEqual([]);
    expect(back.state).toBe('COMPLETED');
  });

  it('is not dropped as long as a product goes on writing there', async () => {
    const setting = await changedShop();
    const { tenant } = setting;
    const done = await repoint(setting);
    await withDatabase(tenant, async (db) => void (await db.collection('orders').insertOne({ written: 'by a product that did not follow' })));
    await expire(done);
    await sql(`update database_claim set created_at = now() - interval '5 seconds' where operation_id = $1`, [rawId(done.id)]);
    await sweep(tenant);
    const [release] = await releases(tenant);
    expect(await ended(admin, release!.id)).toMatchObject({ state: 'FAILED', failure: { code: 'DATABASE_IN_USE' } });
    // What goes there is in no backup any more: people have to know.
    expect(await sql(`select text from alert where tenant_id = $1 and event = 'RESTORE_FAILED'`, [rawId(tenant.id)])).toEqual([{ text: expect.stringContaining(`The former database ${tenant.database} was written to within the last hour`) }]);
    expect(await withDatabase(tenant, (db) => db.collection('orders').countDocuments({}))).toBe(1);
    expect((await namesIn(tenant, tenant.database)).filter((name) => name.startsWith('hf_'))).toEqual([]);

    // What a TTL deletes is no product at work.
    await nextSecond(tenant);
    await withDatabase(tenant, async (db) => void (await db.collection('customers').deleteMany({})));
    await sql(`update database_claim set created_at = now() - interval '1 second' where operation_id = $1`, [rawId(done.id)]);
    await expire(done);
    await sweep(tenant);
    expect(await exists(tenant, tenant.database)).toBe(false);
  });

  it('is not dropped where the workspace has it back by another way, nor given to anybody by another of its members', async () => {
    const setting = await changedShop();
    const { tenant, live } = setting;
    const done = await repoint(setting);
    // Kept when the replica set had a member that has gone since.
    const [claim] = await sql<{ deployment: string }>('select deployment from database_claim where operation_id = $1', [rawId(done.id)]);
    const former = claim!.deployment.replace('/', '/gone.example:27017,');
    await sql('update database_claim set deployment = $2 where operation_id = $1', [rawId(done.id), former]);
    const target = { uri: tenant.uri, database: tenant.database };
    const other = await createTestTenant(admin);
    for (const tenantId of [tenant.id, other.id]) {
      const { tenantUpdate } = await admin.run<{ tenantUpdate: { userErrors: { code: string }[] } }>('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code } } }', { input: { tenantId, target } });
      expect(tenantUpdate.userErrors).toMatchObject([{ code: 'TARGET_IN_USE' }]);
    }
    const { tenantCreate } = await admin.run<{ tenantCreate: { userErrors: { code: string }[] } }>('mutation ($input: TenantCreateInput!) { tenantCreate(input: $input) { userErrors { code } } }', {
      input: { slug: `again-${tenant.slug}`, name: 'Again', environment: 'SANDBOX', timeZone: 'UTC', target: { engine: 'MONGODB', ...target } } });
    expect(tenantCreate.userErrors).toMatchObject([{ code: 'TARGET_IN_USE' }]);

    await sql('update tenant set target_database = $2 where id = $1', [rawId(tenant.id), tenant.database]);
    await expire(done);
    await sweep(tenant);
    const [release] = await releases(tenant);
    expect(await ended(admin, release!.id)).toMatchObject({ state: 'FAILED', failure: { code: 'DATABASE_IN_USE' } });
    expect(differences(live, await printOf(tenant, tenant.database))).toEqual([]);
  });

  it('stays while the clock is not to be believed', async () => {
    const setting = await changedShop();
    const { tenant } = setting;
    const done = await repoint(setting);
    await sweep(tenant);
    const clock = app.nest.get(RetentionClock, { strict: false });
    const [ahead] = await sql<{ at: Date }>(`select clock_timestamp() + interval '8 days' as at`);
    Object.assign(clock, { read: () => Promise.resolve({ database: ahead!.at, process: ahead!.at, monotonicMs: performance.now() }) });
    await expire(done);
    await sweep(tenant);
    expect([await exists(tenant, tenant.database), await releases(tenant)]).toEqual([true, []]);
    Reflect.deleteProperty(clock, 'read');
    await sql('update retention_clock set last_seen_at = null, held_until = null, held_because = null');
    await sweep(tenant);
    expect(await exists(tenant, tenant.database)).toBe(false);
  });

  it('that cannot be dropped now is tried again a day later, also by another worker after a crash, and is no way back meanwhile', async () => {
    const setting = await changedShop();
    const { tenant } = setting;
    const done = await repoint(setting);
    await expire(done);
    const off = app.at('release.dropping', () => Promise.reject(new Error('stopped by the test')));
    await sweep(tenant);
    off();
    expect(await releases(tenant)).toMatchObject([{ state: 'FAILED' }]);
    await sweep(tenant);
    expect(await releases(tenant)).toHaveLength(1);
    expect(await restoreUndo(admin, done.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_UNDOABLE' }] });
    await expire(done);
    await sweep(tenant);
    expect(await exists(tenant, tenant.database)).toBe(false);
  });

  it('is given up early by restoreReleaseOld', async () => {
    const setting = await changedShop();
    const { tenant } = setting;
    const done = await repoint(setting);
    const { restoreReleaseOld } = await admin.run<{ restoreReleaseOld: { operation: { id: string } | null; userErrors: [] } }>(
      'mutation ($input: RestoreReleaseOldInput!) { restoreReleaseOld(input: $input) { operation { id } userErrors { code } } }', { input: { operationId: done.id, confirmName: tenant.name } });
    expect(await ended(admin, restoreReleaseOld.operation!.id)).toMatchObject({ kind: 'RELEASE', state: 'COMPLETED' });
    expect(await exists(tenant, tenant.database)).toBe(false);
  });
});
