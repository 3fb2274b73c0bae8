import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { ended, idOf, makePlan, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { WorkerProcess } from '../support/worker-process.ts';

let databaseUrl: string;
let api: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  databaseUrl = await testDatabaseUrl();
  api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
  admin = await api.loginAsAdmin();
});

afterAll(async () => {
  await api?.stop();
});

interface Thing {
  readonly _id: number;
  readonly a: string;
}

describe('a worker killed with -9 between two batches of a MERGE', () => {
  it('leaves it to another one, which finishes it with the counts of both', async () => {
    const tenant = await createTestTenant(admin);
    const things = Array.from({ length: 4_000 }, (_, n) => ({ _id: n, a: 'archive' }));
    await withDatabase(tenant, (db) => db.collection<Thing>('things').insertMany(things));
    const workers: WorkerProcess[] = [];
    const worker = (faultPoints: string[] = []): WorkerProcess => {
      const started = WorkerProcess.start({ databaseUrl, dataDir: api.config.dataDir, faultPoints });
      workers.push(started);
      return started;
    };
    try {
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
    } finally {
      for (const started of workers) await started.kill().catch(() => undefined);
    }
  }, 120_000);
});
