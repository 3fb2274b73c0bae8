import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { differences } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, type BackupAnswer, ended, idOf, makePlan, operationFields, type OperationAnswer, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { print } from '../support/restore-bench.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { storedFiles } from '../support/store-faults.ts';
import { WorkerProcess } from '../support/worker-process.ts';

let databaseUrl: string;
let api: TestApp;
let admin: GraphqlClient;
const workers: TestApp[] = [];

beforeAll(async () => {
  databaseUrl = await testDatabaseUrl();
  // The API alone: work is done by processes that the tests may kill.
  api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
  admin = await api.loginAsAdmin();
});

afterAll(async () => {
  for (const worker of workers) await worker.stop();
  await api?.stop();
});

/** A worker in this process, which survives. */
async function startWorker(): Promise<TestApp> {
  const worker = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: api.config.dataDir } });
  workers.push(worker);
  return worker;
}

async function stopWorker(worker: TestApp): Promise<void> {
  workers.splice(workers.indexOf(worker), 1);
  await worker.stop();
}

/** A process of the whole program that kills itself with SIGKILL where it is told to; resolves when it is dead. */
async function workUntilKilled(point: string): Promise<void> {
  const worker = WorkerProcess.start({ databaseUrl, dataDir: api.config.dataDir, faultPoints: [`${point}=kill`] });
  const end = await worker.exited();
  if (end !== 'SIGKILL') throw new Error(`The worker ended with ${end}`);
}

const read = async (id: string): Promise<OperationAnswer> => (await admin.run<{ operation: OperationAnswer }>(`query ($id: ID!) { operation(id: $id) { ${operationFields} } }`, { id })).operation;
async function shop(): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 200));
  return tenant;
}

describe('a worker killed with -9', () => {
  it('in DUMP leaves no backup and no bytes; staging, it leaves live data alone; in SWAP its restore is finished forward', async () => {
    const healthy = await startWorker();
    const [dumping, staging, swapping] = [await shop(), await shop(), await shop()];
    const backups: BackupAnswer[] = [await takeBackup(admin, staging.id), await takeBackup(admin, swapping.id)];
    const before = await print(swapping);
    for (const tenant of [staging, swapping]) await withDatabase(tenant, (db) => db.collection('orders').deleteMany({ number: { $gt: 50 } }));
    await withDatabase(swapping, (db) => db.collection('customers').drop());
    const stagingLive = await print(staging);
    const filesBefore = await storedFiles(api);
    await stopWorker(healthy);

    const backup = idOf(await backupCreate(admin, dumping.id));
    await workUntilKilled('backup.dump');
    const killedAt = performance.now();
    expect((await storedFiles(api)).length).toBeGreaterThan(filesBefore.length);
    const plans = [await makePlan(admin, staging.id, backups[0]!.id), await makePlan(admin, swapping.id, backups[1]!.id)];
    const staged = idOf(await restoreStart(admin, plans[0]!.id, staging.name));
    await workUntilKilled('restore.staged');
    expect((await read(staged)).phase).toBe('STAGE');
    const swapped = idOf(await restoreStart(admin, plans[1]!.id, swapping.name));
    await workUntilKilled('restore.swap.2');
    expect(await read(swapped)).toMatchObject({ state: 'RUNNING', phase: 'SWAP' });
    expect(differences(before, await print(swapping))).not.toEqual([]);

    await startWorker();
    const failed = await ended(admin, backup);
    expect(performance.now() - killedAt).toBeLessThan(30_000);
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST', hints: [expect.any(String)] }, backup: { state: 'FAILED', usable: false, failure: { code: 'WORKER_LOST' } } });
    expect(await ended(admin, staged)).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST' } });
    expect(differences(stagingLive, await print(staging))).toEqual([]);
    expect(await ended(admin, swapped)).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED' } });
    expect(differences(before, await print(swapping))).toEqual([]);
    for (const tenant of [staging, swapping]) {
      const names = await withDatabase(tenant, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name));
      expect(names.filter((name) => name.startsWith('hf_'))).toEqual([]);
      const { tenant: state } = await admin.run<{ tenant: { status: string } }>('query ($id: ID!) { tenant(id: $id) { status } }', { id: tenant.id });
      expect(state.status).toBe('ACTIVE');
    }
    expect((await storedFiles(api)).filter((path) => path.includes(failed.backup!.fileName!))).toEqual([]);
    expect(await takeBackup(admin, dumping.id)).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);
});
