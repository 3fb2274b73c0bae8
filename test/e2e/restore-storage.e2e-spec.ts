import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { randomBytes } from 'node:crypto';
import { DataSource } from 'typeorm';
import type { ArchiveStore, StoredObject } from '../../libs/storage/index.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
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
  const off = app.at(point, async () => {
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

describe('VERIFY of a restore', () => {
  it('reads a file once, for its hash, that was found right before, and any other one twice', async () => {
    const large = await createTestTenant(admin);
    // Many times what is read of it for its definitions.
    await withDatabase(large, async (db) => void (await db.collection('noise').insertMany(Array.from({ length: 1_000 }, () => ({ noise: randomBytes(1_024) })))));
    const { id, size } = await takeBackup(admin, large.id);
    const store = app.nest.get<ArchiveStore>(ARCHIVE_STORE);
    const open = store.open.bind(store);
    const counted = { bytes: 0 };
    store.open = async (key) => countReads(await open(key), counted);
    const timesRead = async (): Promise<number> => {
      const plan = await makePlan(admin, large.id, id);
      counted.bytes = 0;
      const verified = Promise.withResolvers<number>();
      const off = app.at('restore.verified', async () => verified.resolve(counted.bytes));
      expect(await ended(admin, idOf(await restoreStart(admin, plan.id, plan.confirmName, { dryRun: true })))).toMatchObject({ state: 'COMPLETED' });
      off();
      return Math.round((await verified.promise) / Number(size));
    };
    const setVerification = (change: string): Promise<unknown> => app.nest.get(DataSource).query(`update backup set verification = verification || ${change} where id = $1`, [parseGlobalId(id)!.uuid]);
    expect(await timesRead()).toBe(1);
    await setVerification(`jsonb_build_object('sha256', repeat('f', 64))`);
    expect(await timesRead()).toBe(2);
    await setVerification(`jsonb_build_object('sha256', sha256, 'ok', false)`);
    expect(await timesRead()).toBe(2);
  });
});

function countReads(object: StoredObject, counted: { bytes: number }): StoredObject {
  return {
    sizeBytes: object.sizeBytes,
    read: (offset, length) => object.read(offset, length),
    async *stream(start, end) {
      for await (const chunk of object.stream(start, end)) {
        counted.bytes += chunk.length;
        yield chunk;
      }
    },
    close: () => object.close(),
  };
}
