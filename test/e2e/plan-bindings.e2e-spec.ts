import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Db } from 'mongodb';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { ended, idOf, makePlan, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(() => app?.stop());

/** Makes a plan, changes the live data, starts the restore; whether live data stayed as the change left them. */
async function restoreAfter(change: (db: Db) => Promise<unknown>) {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 20));
  const backup = await takeBackup(admin, tenant.id);
  const plan = await makePlan(admin, tenant.id, backup.id);
  await withDatabase(tenant, change);
  const before = await withDatabase(tenant, fingerprint);
  const operation = await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)));
  return { operation, plan, isUntouched: differences(before, await withDatabase(tenant, fingerprint)).length === 0 };
}

it.each<[string, (db: Db) => Promise<unknown>]>([
  ['created', (db) => db.createCollection('newcomer')],
  ['dropped', (db) => db.dropCollection('customers')],
  ['replaced', (db) => db.collection('customers').aggregate([{ $out: 'customers' }]).toArray()],
])('a plan does not fit any more once a collection was %s', async (_how, change) => {
  const { operation, isUntouched } = await restoreAfter(change);
  expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'LIVE_CHANGED', hints: [expect.stringMatching(/new plan/)] } });
  expect(isUntouched).toBe(true);
});

it('a plan survives writes, new indexes and new options', async () => {
  const { operation, plan } = await restoreAfter(async (db) => {
    await db.collection('orders').deleteMany({});
    await db.collection('customers').createIndex({ balance: 1 });
    await db.command({ collMod: 'customers', validationLevel: 'off' });
  });
  expect(operation).toMatchObject({ state: 'COMPLETED' });
  expect(plan.checks.find(({ key }) => key === 'targetSpace')).toMatchObject({ ok: true, blocking: true, message: expect.stringMatching(/^The database server has \d+ bytes free/) });
});
