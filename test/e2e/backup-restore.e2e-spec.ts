import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { differences } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, idOf, makePlan, readBackup, restore, restoreStart, seedShop, takeBackup, watch, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { print } from '../support/restore-bench.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
});

async function shop(name?: string): Promise<TestTenant> {
  const tenant = await createTestTenant(admin, name === undefined ? {} : { name });
  await withDatabase(tenant, seedShop);
  return tenant;
}

describe('the main job', () => {
  it('backs up, downloads, is refused with the wrong name, and brings every byte back', async () => {
    const tenant = await shop('Bäckerei "Süd" & Söhne');
    const before = await print(tenant);

    const started = await backupCreate(admin, tenant.id, { name: 'Before the worst day' });
    expect(started.backup).toMatchObject({ state: 'QUEUED', usable: false, label: 'manual', trigger: 'MANUAL', name: 'Before the worst day' });
    const states = await watch(admin, idOf(started));
    const last = states.at(-1)!;
    expect(last).toMatchObject({ state: 'COMPLETED', progress: { percent: 100 }, result: { __typename: 'BackupResult' } });
    expect(last.steps.map(({ phase, state }) => [phase, state])).toEqual(['PREPARE', 'DUMP', 'FINALIZE', 'READ_BACK'].map((phase) => [phase, 'COMPLETED']));
    expect(states.map(({ revision }) => revision)).toEqual([...states.map(({ revision }) => revision)].sort((a, b) => a - b));
    const backup = last.backup!;
    // The capped log cannot be read at one cluster time: the whole is as weak as its weakest part.
    expect(backup).toMatchObject({ state: 'COMPLETED', usable: true, encrypted: true, codec: 'GZIP', consistency: 'FUZZY', verification: { ok: true }, keptBecause: ["it is the workspace's last good backup"] });
    expect(backup.fileName).toMatch(/^manual_\d{8}_\d{6}_[0-9a-f]{8}\.gz\.enc$/);
    expect(backup.contents.find(({ name }) => name === 'orders')).toMatchObject({ documents: '500', indexes: 3 });

    const file = await download(backup.id, 'ARCHIVE');
    expect(file.bytes.length).toBe(Number(backup.size));
    expect(file.bytes.subarray(0, 4).toString()).toBe('DBK1');
    expect(file.headers.get('content-disposition')).toBe(`attachment; filename="${backup.fileName}"`);
    const plain = await download(backup.id, 'DECRYPTED');
    expect(gunzipSync(plain.bytes).subarray(0, 4)).toEqual(Buffer.from([0x6d, 0xe2, 0x99, 0x81]));

    await withDatabase(tenant, async (db) => {
      await db.collection('orders').deleteMany({});
      await db.collection('customers').drop();
      await db.collection('readings').drop();
      await db.collection('made_by_mistake').insertOne({ a: 1 });
      await db.collection('log').insertOne({ later: true });
      await db.command({ collMod: 'big_orders', viewOn: 'log', pipeline: [] });
    });
    const plan = await makePlan(admin, tenant.id, backup.id);
    expect(plan).toMatchObject({ confirmName: tenant.name });
    expect(plan.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(Object.fromEntries(plan.changes.map(({ name, change }) => [name, change]))).toMatchObject({
      orders: 'CHANGED', customers: 'ADDED', readings: 'ADDED', made_by_mistake: 'MISSING', log: 'CHANGED', big_orders: 'CHANGED',
    });

    for (const wrong of ['', ' ', tenant.slug, tenant.name.toUpperCase(), ` ${tenant.name}`]) {
      expect(await restoreStart(admin, plan.id, wrong)).toMatchObject({ operation: null, userErrors: [{ code: 'CONFIRM_NAME_MISMATCH', field: ['confirmName'], hint: expect.any(String) }] });
    }
    const restoring = await watch(admin, idOf(await restoreStart(admin, plan.id, tenant.name.normalize('NFD'))));
    const restored = restoring.at(-1)!;
    expect(restored).toMatchObject({ state: 'COMPLETED', progress: { percent: 100 }, result: { dryRun: false } });
    expect(restored.steps.map(({ phase }) => phase)).toEqual(['VERIFY', 'SAFETY_BACKUP', 'STAGE', 'CHECK', 'MAINTENANCE_ON', 'SWAP', 'MAINTENANCE_OFF', 'CLEANUP']);
    expect(restored.result?.collections?.find(({ name }) => name === 'orders')).toMatchObject({ inserted: '500', dropped: '0' });
    expect(restored.safetyBackup).toMatchObject({ state: 'COMPLETED', trigger: 'SAFETY', label: 'safety' });
    expect(differences(before, await print(tenant))).toEqual([]);
    expect(await leftovers(tenant)).toEqual([]);

    const { tenant: state } = await admin.run<{ tenant: { status: string; sessionEpoch: number; maintenance: { on: boolean } } }>('query ($id: ID!) { tenant(id: $id) { status sessionEpoch maintenance { on } } }', { id: tenant.id });
    expect(state).toEqual({ status: 'ACTIVE', sessionEpoch: 1, maintenance: { on: false } });

    // The safety backup is a backup like any other: it brings the damaged state back, here without ending the sessions.
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, endSessions: false } });
    const undone = await restore(admin, tenant.id, restored.safetyBackup!.id);
    expect(undone.state).toBe('COMPLETED');
    const { tenant: after } = await admin.run<{ tenant: { sessionEpoch: number } }>('query ($id: ID!) { tenant(id: $id) { sessionEpoch } }', { id: tenant.id });
    expect(after.sessionEpoch).toBe(1);
    await withDatabase(tenant, async (db) => expect(await db.collection('made_by_mistake').countDocuments()).toBe(1));
  });

  it.each(['NONE', 'ZSTD'])('restores what was stored with the codec %s', async (codec) => {
    const tenant = await shop();
    const before = await print(tenant);
    const backup = await takeBackup(admin, tenant.id, { codec });
    await withDatabase(tenant, (db) => db.dropDatabase());
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(before, await print(tenant))).toEqual([]);
    expect(await readBackup(admin, backup.id)).toMatchObject({ fileName: expect.stringMatching(codec === 'NONE' ? /\.archive\.enc$/ : /\.zst\.enc$/) });
  });
});

async function leftovers(tenant: TestTenant): Promise<string[]> {
  return withDatabase(tenant, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name).filter((name) => name.includes('hf_')));
}

async function link(backupId: string, variant: string): Promise<string> {
  const { downloadCreate } = await admin.run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url expiresAt userErrors { code message } } }', { input: { backupId, variant } });
  // The test's server listens on a port that its configuration does not know.
  return `${app.url}${new URL(downloadCreate.url).pathname}`;
}

async function download(backupId: string, variant: string): Promise<{ readonly bytes: Buffer; readonly headers: Headers }> {
  const response = await fetch(await link(backupId, variant));
  expect(response.status).toBe(200);
  return { bytes: Buffer.from(await response.arrayBuffer()), headers: response.headers };
}
