import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../../scripts/servers/server-process.ts';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { FaultPoints } from '../../src/operations/fault-points.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, idOf, makePlan, type OperationAnswer, operationFields, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { type OwnMongod, type OwnPostgres, startMongod, startPostgres, testMongo } from '../support/servers.ts';
import { WorkerProcess } from '../support/worker-process.ts';

let postgres: OwnPostgres;
let mongod: OwnMongod;
let databaseUrl: string;
let app: TestApp;
let admin: GraphqlClient;
let made = 0;
const processes: WorkerProcess[] = [];

beforeAll(async () => {
  [postgres, mongod] = await Promise.all([startPostgres(), startMongod()]);
  databaseUrl = await postgres.databaseUrl();
  app = await startTestApp({ databaseUrl });
  admin = await app.loginAsAdmin();
}, 120_000);

afterAll(async () => {
  for (const process of processes) await process.kill();
  await app?.stop();
  await Promise.all([postgres?.stop(), mongod?.stop()]);
});

interface Shop {
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
  readonly archived: Fingerprint;
  readonly live: Fingerprint;
}

async function shop(uri: string): Promise<Shop> {
  const tenant = await createTestTenant(admin, { uri, database: `outage_${(made += 1)}` });
  await withDatabase(tenant, (db) => seedShop(db, 200));
  const backup = await takeBackup(admin, tenant.id);
  const archived = await withDatabase(tenant, fingerprint);
  await withDatabase(tenant, async (db) => {
    await db.collection('orders').deleteMany({ number: { $lt: 50 } });
    await db.collection('later').insertOne({ a: 1 });
  });
  return { tenant, backup, archived, live: await withDatabase(tenant, fingerprint) };
}

async function start({ tenant, backup }: Shop): Promise<string> {
  const plan = await makePlan(admin, tenant.id, backup.id);
  return idOf(await restoreStart(admin, plan.id, plan.confirmName));
}

/** Asked again and again: a subscription would end with the server that is killed. */
async function ended(id: string): Promise<OperationAnswer> {
  for (;;) {
    const answer = await admin.run<{ operation: OperationAnswer }>(`query ($id: ID!) { operation(id: $id) { ${operationFields} } }`, { id }).catch(() => null);
    if (answer !== null && !['QUEUED', 'RUNNING'].includes(answer.operation.state)) return answer.operation;
    await delay(100);
  }
}

/** Once, the first time that the place is reached. */
function at(point: string, work: () => Promise<void>): void {
  const off = app.nest.get(FaultPoints, { strict: false }).on(point, async () => {
    off();
    await work();
  });
}

async function requireOneState({ tenant, archived, live }: Shop, operation: OperationAnswer): Promise<void> {
  const now = await withDatabase(tenant, fingerprint);
  expect(differences(operation.state === 'COMPLETED' ? archived : live, now)).toEqual([]);
  const answer = await admin.run<{ tenant: { status: string } }>('query ($id: ID!) { tenant(id: $id) { status } }', { id: tenant.id });
  expect(answer.tenant.status).toBe('ACTIVE');
}

/** The same control plane and archives, in a program of another role. */
async function handOver(role: 'api' | 'all'): Promise<void> {
  const { dataDir } = app.config;
  await app.stop();
  app = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: role, HOLDFAST_DATA_DIR: dataDir } });
  admin = await app.loginAsAdmin();
}

describe('a restore during which', () => {
  it.each([
    ['restore.staging', /^(COMPLETED|FAILED)$/],
    ['restore.maintenance', /^(COMPLETED|FAILED)$/],
    ['restore.swap.2', /^COMPLETED$/],
    ['restore.old-dropped', /^COMPLETED$/],
  ])('MongoDB is killed at %s ends in one state or the other, and the next one works', async (point, state) => {
    const one = await shop(mongod.uri);
    let restarted: Promise<void> | undefined;
    at(point, async () => {
      await mongod.kill('SIGKILL');
      restarted = mongod.restart();
    });
    const operation = await ended(await start(one));
    expect(restarted).toBeDefined();
    await restarted;
    expect(operation.state).toMatch(state);
    if (operation.state === 'FAILED') expect(operation.failure!.code).toMatch(/^TARGET_/);
    await requireOneState(one, operation);
    expect(await ended(await start(one))).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);

  it.each([
    ['restore.staging', /^COMPLETED$/],
    ['restore.swap.1', /^COMPLETED$/],
    ['restore.old-dropped', /^COMPLETED$/],
  ])('PostgreSQL is killed at %s and soon comes back is finished', async (point, state) => {
    const one = await shop((await testMongo()).uri);
    let restarted: Promise<void> | undefined;
    at(point, async () => {
      await postgres.kill('SIGKILL');
      restarted = delay(1_000).then(() => postgres.restart());
    });
    const operation = await ended(await start(one));
    expect(restarted).toBeDefined();
    await restarted;
    expect(operation.state).toMatch(state);
    await requireOneState(one, operation);
  }, 120_000);

  it('PostgreSQL stays away in SWAP goes on forward without it', async () => {
    const one = await shop((await testMongo()).uri);
    const swapped = Promise.withResolvers<void>();
    at('restore.swap.1', () => postgres.kill('SIGKILL'));
    at('restore.swapped', () => Promise.resolve(swapped.resolve()));
    const id = await start(one);
    await swapped.promise;
    // Everything but the dropping of what was set aside, which waits until the swap is noted.
    const now = await withDatabase(one.tenant, fingerprint);
    expect(differences(one.archived, now).filter((name) => !name.startsWith('hf_'))).toEqual([]);
    expect([...now.keys()].some((name) => name.startsWith('hf_'))).toBe(true);
    await postgres.restart();
    const operation = await ended(id);
    expect(operation).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED' } });
    await requireOneState(one, operation);
  }, 120_000);

  it('the one process that is API and worker is killed while it stages leaves live data and nothing else', async () => {
    await handOver('all');
    const one = await shop((await testMongo()).uri);
    await handOver('api');
    const id = await start(one);
    const whole = WorkerProcess.start({ databaseUrl, dataDir: app.config.dataDir, faultPoints: ['restore.staging=hang'], env: { HOLDFAST_ROLE: 'all', HOLDFAST_PORT: String(await freePort()) } });
    processes.push(whole);
    await whole.reached(['restore.staging']);
    await whole.kill();
    await handOver('all');
    const operation = await ended(id);
    expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST' } });
    await requireOneState(one, operation);
    expect(await ended(await start(one))).toMatchObject({ state: 'COMPLETED' });
  }, 120_000);
});
