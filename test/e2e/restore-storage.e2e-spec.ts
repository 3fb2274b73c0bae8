import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { FaultPoints } from '../../src/operations/fault-points.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { StoreFaults } from '../support/faulty-store.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { faultsOf, storedFiles } from '../support/store-faults.ts';

let app: TestApp;
let admin: GraphqlClient;
let faults: StoreFaults;
let tenant: TestTenant;
let backup: BackupAnswer;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  faults = faultsOf(app);
  tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 200));
  backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => void (await db.collection('orders').deleteMany({ number: { $lt: 50 } })));
});

afterAll(() => app?.stop());

/** A restore to which `fail` happens when it reaches the place. */
async function restoreWhile(cutover: string, point: string, fail: () => void): Promise<OperationAnswer> {
  let reached = false;
  const off = app.nest.get(FaultPoints, { strict: false }).on(point, async () => {
    off();
    reached = true;
    fail();
  });
  const plan = await makePlan(admin, tenant.id, backup.id, { cutover });
  const operation = await ended(admin, idOf(await restoreStart(admin, plan.id, plan.confirmName)));
  expect(reached).toBe(true);
  return operation;
}

describe.each(['SWAP', 'REPOINT'])('an archive store that fails during a restore with cutover %s', (cutover) => {
  it.each([
    ['cannot be read when it verifies', 'restore.begun', { failingReads: Infinity }, 'STORAGE_UNAVAILABLE'],
    ['cannot be read when it stages', 'restore.safe', { failingReads: Infinity }, 'STORAGE_UNAVAILABLE'],
    ['cannot be read when it reads the safety backup back', 'backup.read-back', { failingReads: Infinity }, 'SAFETY_BACKUP_FAILED'],
    ['keeps less of the safety backup than it says', 'restore.verified', { loseLastBytes: 9 }, 'SAFETY_BACKUP_FAILED'],
    ['is full when the safety backup begins', 'restore.verified', { fullAtByte: 0 }, 'SAFETY_BACKUP_FAILED'],
    ['is full in the middle of the safety backup', 'backup.prelude', { fullAtByte: 3_000 }, 'SAFETY_BACKUP_FAILED'],
  ] as const)('and %s leaves live data as they are and nothing else', async (_, point, fault, code) => {
    const live = await withDatabase(tenant, fingerprint);
    const files = await storedFiles(app);
    const operation = await restoreWhile(cutover, point, () => Object.assign(faults, fault));
    for (const name of Object.keys(fault)) delete faults[name as keyof StoreFaults];
    expect(operation).toMatchObject({ state: 'FAILED', failure: { code, hints: [expect.any(String)] } });
    expect(differences(live, await withDatabase(tenant, fingerprint))).toEqual([]);
    expect((await admin.run<{ tenant: { status: string; database: { name: string } } }>('query ($id: ID!) { tenant(id: $id) { status database { name } } }', { id: tenant.id })).tenant).toEqual({ status: 'ACTIVE', database: { name: tenant.database } });
    // A safety backup that was complete before the failure may stay.
    const now = await storedFiles(app);
    expect(now.filter((path) => !files.includes(path) && !path.includes('safety'))).toEqual([]);
    expect(now.length - files.length).toBe(point === 'restore.safe' ? 1 : 0);
  });
});
