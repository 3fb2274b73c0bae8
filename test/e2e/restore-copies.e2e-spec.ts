import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { differences, fingerprint, type Fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, planCreate, restore, restoreStart, restoreUndo, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testMongo } from '../support/servers.ts';
import { uploadFile } from '../support/upload-calls.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(() => app?.stop());


interface Setting {
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
  readonly archived: Fingerprint;
  readonly live: Fingerprint;
}

async function changedShop(): Promise<Setting> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 80));
  const archived = await withDatabase(tenant, fingerprint);
  const backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => void (await db.collection('orders').deleteMany({})));
  return { tenant, backup, archived, live: await withDatabase(tenant, fingerprint) };
}

async function copy(setting: Setting, target: object, input: Readonly<Record<string, unknown>> = {}): Promise<OperationAnswer> {
  const plan = await makePlan(admin, setting.tenant.id, setting.backup.id, { target });
  return ended(admin, idOf(await restoreStart(admin, plan.id, setting.tenant.name, input)));
}

async function whereOf(client: GraphqlClient, id: string): Promise<{ readonly database: string | null; readonly newTenant: { readonly id: string; readonly slug: string; readonly status: string } | null }> {
  const { operation } = await client.run<{ operation: { result: { database: string | null; newTenant: { id: string; slug: string; status: string } | null } } }>(
    'query ($id: ID!) { operation(id: $id) { result { ... on RestoreResult { database newTenant { id slug status } } } } }', { id });
  return operation.result;
}

const beside = (tenant: TestTenant, suffix = randomBytes(3).toString('hex')): string => `${tenant.database}_${suffix}`;
const printOf = (tenant: TestTenant, database: string): Promise<Fingerprint> => withDatabase({ uri: tenant.uri, database }, fingerprint);
/** Without `system.views`, which stays behind empty once a view was tried. */
const namesIn = (tenant: TestTenant, database: string): Promise<string[]> =>
  withDatabase({ uri: tenant.uri, database }, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name).filter((name) => name !== 'system.views').sort());

async function newTenantInput(): Promise<{ readonly slug: string; readonly name: string; readonly environment: string; readonly timeZone: string; readonly target: { readonly engine: string; readonly uri: string; readonly database: string } }> {
  const slug = `copy-${randomBytes(4).toString('hex')}`;
  return { slug, name: `Copy ${slug}`, environment: 'SANDBOX', timeZone: 'UTC', target: { engine: 'MONGODB', ...(await testMongo()) } };
}

async function tenantBySlug(slug: string): Promise<string | null> {
  return admin.codeOf('query ($slug: String!) { tenant(slug: $slug) { id } }', { slug });
}

describe('a restore into a new database', () => {
  it('puts the archive there whole, and leaves the live data and their users alone', async () => {
    const setting = await changedShop();
    const { tenant, archived, live } = setting;
    const database = beside(tenant);
    const done = await copy(setting, { newDatabase: { name: database } });
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: null, undoableUntil: null, result: { dryRun: false } });
    expect(done.steps.map(({ phase }) => phase)).toEqual(['VERIFY', 'STAGE', 'CHECK', 'SWAP', 'CLEANUP']);
    expect(await whereOf(admin, done.id)).toEqual({ database, newTenant: null });
    expect(differences(archived, await printOf(tenant, database))).toEqual([]);
    expect(differences(live, await printOf(tenant, tenant.database))).toEqual([]);
    expect((await namesIn(tenant, database)).filter((name) => name.startsWith('hf_'))).toEqual([]);
    const { tenant: state } = await admin.run<{ tenant: { status: string; sessionEpoch: number; database: { name: string } } }>('query ($id: ID!) { tenant(id: $id) { status sessionEpoch database { name } } }', { id: tenant.id });
    expect(state).toEqual({ status: 'ACTIVE', sessionEpoch: 0, database: { name: tenant.database } });
    expect(await restoreUndo(admin, done.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_UNDOABLE' }] });
  });

  it('refuses names that are not free or not allowed', async () => {
    const setting = await changedShop();
    const { tenant, backup } = setting;
    const other = await createTestTenant(admin);
    const taken = beside(tenant);
    await withDatabase({ uri: tenant.uri, database: taken }, async (db) => void (await db.collection('mine').insertOne({ a: 1 })));
    const refusals = { admin: 'TARGET_REFUSED', local: 'TARGET_REFUSED', Config: 'TARGET_REFUSED', 'a/b': 'TARGET_INVALID', [`${'x'.repeat(64)}`]: 'TARGET_INVALID', [tenant.database]: 'TARGET_IN_USE', [other.database]: 'TARGET_IN_USE', [taken]: 'DATABASE_EXISTS' };
    for (const [name, code] of Object.entries(refusals)) {
      expect([name, await planCreate(admin, tenant.id, backup.id, { target: { newDatabase: { name } } })]).toMatchObject([name, { plan: null, userErrors: [{ code }] }]);
    }
    const restorer = await createTestMember(app, admin, tenant.id, 'RESTORER');
    expect(await planCreate(restorer, tenant.id, backup.id, { target: { newDatabase: { name: `elsewhere_${randomBytes(3).toString('hex')}` } } })).toMatchObject({ plan: null, userErrors: [{ code: 'TARGET_REFUSED' }] });
    expect(await planCreate(restorer, tenant.id, backup.id, { target: { newDatabase: { name: beside(tenant) } } })).toMatchObject({ userErrors: [] });
  });

  it('gives way to whatever somebody makes there in the meantime', async () => {
    const setting = await changedShop();
    const { tenant } = setting;
    const database = beside(tenant);
    const off = app.at('restore.staged', () => withDatabase({ uri: tenant.uri, database }, async (db) => void (await db.collection('mine').insertOne({ a: 1 }))));
    const done = await copy(setting, { newDatabase: { name: database } });
    off();
    expect(done).toMatchObject({ state: 'FAILED', failure: { code: 'LIVE_CHANGED' } });
    expect(await namesIn(tenant, database)).toEqual(['mine']);
  });

  it('leaves nothing when it is a dry run or is canceled', async () => {
    const setting = await changedShop();
    const { tenant, backup } = setting;
    const database = beside(tenant);
    const dry = await copy(setting, { newDatabase: { name: database } }, { dryRun: true });
    expect(dry).toMatchObject({ state: 'COMPLETED', result: { dryRun: true } });
    expect(await namesIn(tenant, database)).toEqual([]);
    const id = Promise.withResolvers<string>();
    const off = app.at('restore.staged', async () => {
      await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: await id.promise } });
    });
    const plan = await makePlan(admin, tenant.id, backup.id, { target: { newDatabase: { name: database } } });
    id.resolve(idOf(await restoreStart(admin, plan.id, tenant.name)));
    expect(await ended(admin, await id.promise)).toMatchObject({ state: 'CANCELED' });
    off();
    expect(await namesIn(tenant, database)).toEqual([]);
  });

  it('has the database to itself from its start to its end', async () => {
    const [one, other] = await Promise.all([changedShop(), changedShop()]);
    const database = beside(one.tenant);
    const target = { newDatabase: { name: database } };
    const [plan, rival] = await Promise.all([makePlan(admin, one.tenant.id, one.backup.id, { target }), makePlan(admin, other.tenant.id, other.backup.id, { target })]);
    const newTenant = { ...(await newTenantInput()), target: { engine: 'MONGODB', uri: one.tenant.uri, database } };
    const late = await makePlan(admin, other.tenant.id, other.backup.id, { target: { newTenant } });
    const refusals: unknown[] = [];
    const off = app.at('restore.staged', async () => {
      refusals.push(await restoreStart(admin, rival.id, other.tenant.name), await restoreStart(admin, late.id, other.tenant.name), await planCreate(admin, other.tenant.id, other.backup.id, { target }));
    });
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, one.tenant.name)))).toMatchObject({ state: 'COMPLETED' });
    off();
    expect(refusals).toMatchObject(refusals.map(() => ({ userErrors: [{ code: 'TARGET_IN_USE' }] })));
    expect(differences(one.archived, await printOf(one.tenant, database))).toEqual([]);
    expect(await planCreate(admin, other.tenant.id, other.backup.id, { target })).toMatchObject({ userErrors: [{ code: 'DATABASE_EXISTS' }] });
  });

  it.each(['restore.committed', 'restore.swap.2'])('is finished forward after a failure at %s', async (point) => {
    const setting = await changedShop();
    const database = beside(setting.tenant);
    let failures = 0;
    const off = app.at(point, () => (failures++ === 0 ? Promise.reject(new Error('stopped by the test')) : Promise.resolve()));
    const done = await copy(setting, { newDatabase: { name: database } });
    off();
    expect([done.state, failures > 0]).toEqual(['COMPLETED', true]);
    expect(differences(setting.archived, await printOf(setting.tenant, database))).toEqual([]);
  });
});

describe('a restore as a new workspace', () => {
  it('makes the workspace with the data in it, for the provider alone', async () => {
    const setting = await changedShop();
    const { tenant, backup, archived, live } = setting;
    const newTenant = await newTenantInput();
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    expect(await owner.codeOf('mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } } }', { input: { tenantId: tenant.id, source: { backupId: backup.id }, target: { newTenant } } })).toBe('FORBIDDEN');

    const statuses: (string | null)[] = [];
    const look = async (): Promise<void> => void statuses.push(await statusOf(newTenant.slug));
    const offs = [app.at('restore.staged', look), app.at('restore.swap.0', look)];
    const done = await copy(setting, { newTenant });
    for (const off of offs) off();
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: null });
    expect(statuses).toEqual([null, 'MAINTENANCE']);
    const where = await whereOf(admin, done.id);
    expect(where).toMatchObject({ database: newTenant.target.database, newTenant: { slug: newTenant.slug, status: 'ACTIVE' } });
    expect((await whereOf(owner, done.id)).newTenant).toBeNull();
    expect(differences(archived, await printOf({ ...tenant, uri: newTenant.target.uri }, newTenant.target.database))).toEqual([]);
    expect(differences(live, await printOf(tenant, tenant.database))).toEqual([]);

    // It is a workspace like any other: its backups are under its own key.
    const own = await takeBackup(admin, where.newTenant!.id);
    expect(await restore(admin, where.newTenant!.id, own.id)).toMatchObject({ state: 'COMPLETED' });
  });

  it('shows its people nothing of the workspace that it is copied from', async () => {
    const setting = await changedShop();
    const newTenant = await newTenantInput();
    const seen = 'query ($slug: String!) { tenant(slug: $slug) { id maintenance { on operation { id tenant { slug } log { message } } } } }';
    const answers: unknown[] = [];
    const off = app.at('restore.swap.0', async () => {
      const { tenant } = await admin.run<{ tenant: { id: string; maintenance: { operation: { tenant: { slug: string } } } } }>(seen, { slug: newTenant.slug });
      const viewer = await createTestMember(app, admin, tenant.id, 'VIEWER');
      answers.push(tenant.maintenance.operation.tenant.slug, await viewer.run(seen, { slug: newTenant.slug }));
    });
    expect(await copy(setting, { newTenant })).toMatchObject({ state: 'COMPLETED' });
    off();
    expect(answers).toMatchObject([setting.tenant.slug, { tenant: { maintenance: { on: true, operation: null } } }]);
  });

  it('refuses backups, restores and a change of target until its data are there', async () => {
    const setting = await changedShop();
    const newTenant = await newTenantInput();
    const refusals: unknown[] = [];
    const off = app.at('restore.swap.0', async () => {
      const { tenant } = await admin.run<{ tenant: { id: string; name: string } }>('query ($slug: String!) { tenant(slug: $slug) { id name } }', { slug: newTenant.slug });
      const { upload } = await uploadFile(admin, tenant.id, 'dump.archive.gz', binaryFixture('mongodump/every-shape.archive.gz'));
      const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: { id: string } } }>(
        'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } } }', { input: { tenantId: tenant.id, source: { uploadId: upload!.id } } });
      const { tenantUpdate } = await admin.run<{ tenantUpdate: { userErrors: { code: string }[] } }>(
        'mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, target: await testMongo() } });
      refusals.push(
        await admin.codeOf('mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { backup { id } } }', { input: { tenantId: tenant.id } }),
        await admin.codeOf('mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } } }', { input: { planId: restorePlanCreate.plan.id, confirmName: tenant.name } }),
        tenantUpdate.userErrors[0]?.code,
      );
    });
    expect(await copy(setting, { newTenant })).toMatchObject({ state: 'COMPLETED' });
    off();
    expect(refusals).toEqual(['MAINTENANCE', 'MAINTENANCE', 'OPERATION_ALREADY_RUNNING']);
  });

  it('refuses slugs and databases that are taken, when the plan is made and when it is carried out', async () => {
    const setting = await changedShop();
    const { tenant, backup } = setting;
    const newTenant = await newTenantInput();
    expect(await planCreate(admin, tenant.id, backup.id, { target: { newTenant: { ...newTenant, slug: tenant.slug } } })).toMatchObject({ plan: null, userErrors: [{ code: 'SLUG_TAKEN' }] });
    expect(await planCreate(admin, tenant.id, backup.id, { target: { newTenant: { ...newTenant, target: { ...newTenant.target, database: tenant.database } } } })).toMatchObject({ plan: null, userErrors: [{ code: 'TARGET_IN_USE' }] });
    const off = app.at('restore.staged', async () => void (await createTestTenant(admin, { slug: newTenant.slug })));
    const done = await copy(setting, { newTenant });
    off();
    expect(done).toMatchObject({ state: 'FAILED', failure: { code: 'SLUG_TAKEN' } });
    expect(await namesIn(tenant, newTenant.target.database)).toEqual([]);
  });

  it('comes to no workspace at all when it fails', async () => {
    const setting = await changedShop();
    const newTenant = await newTenantInput();
    const off = app.at('restore.staged', () => Promise.reject(new Error('stopped by the test')));
    expect(await copy(setting, { newTenant })).toMatchObject({ state: 'FAILED' });
    off();
    expect(await tenantBySlug(newTenant.slug)).toBe('NOT_FOUND');
    expect(await namesIn(setting.tenant, newTenant.target.database)).toEqual([]);
    expect(await copy(setting, { newTenant })).toMatchObject({ state: 'COMPLETED' });
  });
});

async function statusOf(slug: string): Promise<string | null> {
  const { data } = await admin.send<{ tenant: { status: string } | null }>('query ($slug: String!) { tenant(slug: $slug) { status } }', { slug });
  return data?.tenant?.status ?? null;
}
