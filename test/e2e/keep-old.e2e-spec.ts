import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, restore, restoreStart, restoreUndo, seedShop, type Started, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { hashes } from '../support/restore-fixture.ts';
import { type OwnMongod, startMongod } from '../support/servers.ts';

let app: TestApp;
let admin: GraphqlClient;
let mongod: OwnMongod;

beforeAll(async () => {
  [app, mongod] = await Promise.all([startTestApp(), startMongod()]);
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
  await mongod?.stop();
});

let count = 0;
async function shop(): Promise<{ readonly tenant: TestTenant; readonly backup: BackupAnswer }> {
  count += 1;
  const tenant = await createTestTenant(admin, { uri: mongod.uri, database: `shop_${count}` });
  await withDatabase(tenant, (db) => seedShop(db, 60));
  const backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => void (await db.collection('orders').updateMany({}, { $set: { damaged: true } })));
  return { tenant, backup };
}

/** Finds in this collection fail from now on, until the returned function was called. */
async function unreadable(tenant: TestTenant, collection: string): Promise<() => Promise<void>> {
  const set = async (command: object): Promise<void> => {
    const client = await MongoClient.connect(tenant.uri);
    try {
      await client.db('admin').command({ configureFailPoint: 'failCommand', ...command });
    } finally {
      await client.close();
    }
  };
  await set({ mode: 'alwaysOn', data: { failCommands: ['find'], errorCode: 8, namespace: `${tenant.database}.${collection}` } });
  return () => set({ mode: 'off' });
}

async function release(operationId: string, confirmName: string, client = admin): Promise<Started> {
  const { restoreReleaseOld } = await client.run<{ restoreReleaseOld: Started }>(
    'mutation ($input: RestoreReleaseOldInput!) { restoreReleaseOld(input: $input) { operation { id } userErrors { code message field hint } } }', { input: { operationId, confirmName } });
  return restoreReleaseOld;
}

const own = (tenant: TestTenant): Promise<string[]> =>
  withDatabase(tenant, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name).filter((name) => name.startsWith('hf_')).sort());

describe('a restore with keepOld', () => {
  it('restores where live data cannot be read, keeps them, and drops them when they are released', async () => {
    const { tenant, backup } = await shop();
    const readable = await unreadable(tenant, 'orders');
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'FAILED', failure: { code: 'SAFETY_BACKUP_FAILED' } });
    const done = await restore(admin, tenant.id, backup.id, { keepOld: true });
    await readable();
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: null, undoableUntil: null });
    expect(done.steps.map(({ phase }) => phase)).toEqual(['VERIFY', 'STAGE', 'CHECK', 'MAINTENANCE_ON', 'SWAP', 'MAINTENANCE_OFF', 'CLEANUP']);
    expect(await withDatabase(tenant, (db) => db.collection('orders').countDocuments({ damaged: true }))).toBe(0);

    const warning = done.result!.warnings!.find((text) => text.startsWith('orders is kept as '));
    const kept = warning!.slice('orders is kept as '.length);
    expect(await own(tenant)).toContain(kept);
    expect(await withDatabase(tenant, (db) => db.collection(kept).countDocuments({ damaged: true }))).toBe(60);
    expect(await restoreUndo(admin, done.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_UNDOABLE', message: expect.stringMatching(/kept in the database/) }] });

    // Neither a backup nor another restore takes them for the workspace's data, nor removes them.
    const later = await takeBackup(admin, tenant.id);
    expect(later.contents.map(({ name }) => name).filter((name) => name.startsWith('hf_'))).toEqual([]);
    expect(await restore(admin, tenant.id, later.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await own(tenant)).toContain(kept);

    const before = await withDatabase(tenant, hashes);
    expect(await release(done.id, 'another name')).toMatchObject({ operation: null, userErrors: [{ code: 'CONFIRM_NAME_MISMATCH' }] });
    expect(await ended(admin, idOf(await release(done.id, tenant.name)))).toMatchObject({ kind: 'RELEASE', state: 'COMPLETED' });
    expect(await own(tenant)).toEqual([]);
    expect(await withDatabase(tenant, hashes)).toEqual(before);
    const events = await admin.run<{ tenant: { auditEvents: { edges: unknown[] } } }>('query ($id: ID!) { tenant(id: $id) { auditEvents(filter: {action: "restore.old-released"}) { edges { node { action } } } } }', { id: tenant.id });
    expect(events.tenant.auditEvents.edges).toHaveLength(1);
  });

  it('keeps them also when another worker finishes it', async () => {
    const { tenant, backup } = await shop();
    let failures = 0;
    const off = app.at('restore.swapped', () => (failures++ === 0 ? Promise.reject(new Error('stopped by the test')) : Promise.resolve()));
    const done = await restore(admin, tenant.id, backup.id, { keepOld: true });
    off();
    expect([done.state, failures]).toEqual(['COMPLETED', 2]);
    expect((await own(tenant)).length).toBeGreaterThan(0);
    expect(await ended(admin, idOf(await release(done.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
    expect(await own(tenant)).toEqual([]);
  });

  it('is for the provider alone, and for restores that replace live data', async () => {
    const { tenant, backup } = await shop();
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const start = 'mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } userErrors { code } } }';
    const plan = await makePlan(admin, tenant.id, backup.id);
    expect(await owner.codeOf(start, { input: { planId: plan.id, confirmName: tenant.name, keepOld: true } })).toBe('FORBIDDEN');
    expect(await admin.codeOf(start, { input: { planId: plan.id, confirmName: tenant.name, keepOld: true, dryRun: true } })).toBe('BAD_USER_INPUT');
    const done = await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)));
    expect(done.state).toBe('COMPLETED');
    expect(await release(done.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOTHING_KEPT' }] });
    expect(await owner.codeOf('mutation ($input: RestoreReleaseOldInput!) { restoreReleaseOld(input: $input) { operation { id } } }', { input: { operationId: done.id, confirmName: tenant.name } })).toBe('FORBIDDEN');
  });
});
