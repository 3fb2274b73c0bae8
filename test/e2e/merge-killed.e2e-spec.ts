import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { ended, idOf, makePlan, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { mergePoints } from '../support/restore-points.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { WorkerProcess } from '../support/worker-process.ts';

let databaseUrl: string;
let api: TestApp;
let admin: GraphqlClient;
let workers: WorkerProcess[] = [];

beforeAll(async () => {
  databaseUrl = await testDatabaseUrl();
  api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
  admin = await api.loginAsAdmin();
});

afterEach(async () => {
  for (const started of workers) await started.kill().catch(() => undefined);
  workers = [];
});

afterAll(async () => {
  await api?.stop();
});

function worker(faultPoints: string[] = []): WorkerProcess {
  const started = WorkerProcess.start({ databaseUrl, dataDir: api.config.dataDir, faultPoints });
  workers.push(started);
  return started;
}

interface Thing {
  readonly _id: number;
  readonly a: string;
}

describe('a worker killed with -9 during a MERGE', () => {
  it('between two batches leaves it to another one, which finishes it with the counts of both', async () => {
    const tenant = await createTestTenant(admin);
    const things = Array.from({ length: 4_000 }, (_, n) => ({ _id: n, a: 'archive' }));
    await withDatabase(tenant, (db) => db.collection<Thing>('things').insertMany(things));
    const first = worker(['restore.merge.2=kill']);
    const backup = await takeBackup(admin, tenant.id);
    await withDatabase(tenant, async (db) => {
      await db.collection<Thing>('things').deleteMany({ _id: { $mod: [2, 0] } });
      await db.collection<Thing>('things').updateMany({ _id: { $mod: [4, 1] } }, { $set: { a: 'live' } });
    });
    const plan = await makePlan(admin, tenant.id, backup.id, { mode: 'MERGE', conflict: 'TAKE_ARCHIVE' });
    const id = idOf(await restoreStart(admin, plan.id, tenant.name));
    expect(await first.exited()).toBe('SIGKILL');
    const between = await withDatabase(tenant, (db) => db.collection('things').countDocuments());
    expect(between).toBeGreaterThan(2_000);
    expect(between).toBeLessThan(4_000);
    worker();
    expect(await ended(admin, id)).toMatchObject({ state: 'COMPLETED', failure: null });
    const { operation } = await admin.run<{ operation: unknown }>('query ($id: ID!) { operation(id: $id) { result { ... on RestoreResult { collections { inserted replaced equal kept clashes } } } tenant { status } } }', { id });
    expect(operation).toEqual({ result: { collections: [{ inserted: '2000', replaced: '1000', equal: '1000', kept: '0', clashes: '0' }] }, tenant: { status: 'ACTIVE' } });
    await withDatabase(tenant, async (db) => {
      expect(await db.collection<Thing>('things').find().sort({ _id: 1 }).toArray()).toEqual(things);
      expect((await db.listCollections({}, { nameOnly: true }).toArray()).filter(({ name }) => name.startsWith('hf_'))).toEqual([]);
    });
  }, 120_000);

  it('where it takes its safety backup again leaves live data alone, and after its last batch leaves all of it done', async () => {
    const points = [...mergePoints.uncommitted, 'restore.merged'];
    const preparing = worker();
    const cases = [];
    for (const point of points) {
      const tenant = await createTestTenant(admin);
      await withDatabase(tenant, (db) => db.collection<Thing>('things').insertMany(Array.from({ length: 20 }, (_, n) => ({ _id: n, a: 'archive' }))));
      const backup = await takeBackup(admin, tenant.id);
      await withDatabase(tenant, (db) => db.collection<Thing>('things').deleteMany({ _id: { $lt: 5 } }));
      cases.push({ point, tenant, planId: (await makePlan(admin, tenant.id, backup.id, { mode: 'MERGE' })).id });
    }
    await preparing.kill();
    const running: { point: string; id: string; tenant: (typeof cases)[number]['tenant'] }[] = [];
    for (const { point, tenant, planId } of cases) running.push({ point, tenant, id: idOf(await restoreStart(admin, planId, tenant.name)) });
    const named = running.map(({ point, id }) => `${point}@${parseGlobalId(id)!.uuid}`);
    const checked = running.map(({ id }) => `restore.checked@${parseGlobalId(id)!.uuid}`);
    const first = worker([...named.map((name) => `${name}=hang`), ...checked.map((name) => `${name}=pause`)]);
    await first.reached(checked);
    // The product writes after the safety backup: it is taken again in maintenance.
    for (const { tenant } of running) await withDatabase(tenant, (db) => db.collection<Thing>('things').updateOne({ _id: 10 }, { $set: { a: 'live' } }));
    const before = new Map<string, Fingerprint>();
    for (const { point, tenant } of running) before.set(point, await withDatabase(tenant, fingerprint).then((print) => new Map([...print].filter(([name]) => !name.startsWith('hf_')))));
    first.signal('SIGCONT');
    await first.reached(named);
    await first.kill();
    worker();
    for (const { point, id, tenant } of running) {
      const operation = await ended(admin, id);
      const now = await withDatabase(tenant, fingerprint);
      if (point === 'restore.merged') {
        expect(operation).toMatchObject({ state: 'COMPLETED', failure: null });
        expect(await withDatabase(tenant, (db) => db.collection<Thing>('things').countDocuments())).toBe(20);
        expect([...now.keys()].filter((name) => name.startsWith('hf_'))).toEqual([]);
      } else {
        expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST' } });
        expect(differences(before.get(point)!, now)).toEqual([]);
      }
      const { tenant: state } = await admin.run<{ tenant: { status: string } }>('query ($id: ID!) { tenant(id: $id) { status } }', { id: tenant.id });
      expect(state.status).toBe('ACTIVE');
    }
  }, 120_000);
});
