import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Db, MongoClient, ObjectId } from 'mongodb';
import { DataSource } from 'typeorm';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { inParallel } from '../../libs/engines/mongodb/in-parallel.ts';
import { operationTiming } from '../../src/operations/operation-timing.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, restoreStart, takeBackup } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { committedPoints, lastStatePoints, uncommittedPoints } from '../support/restore-points.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { storedFiles } from '../support/store-faults.ts';
import { WorkerProcess } from '../support/worker-process.ts';

const steps = ['dropView', 'setAside', 'promote', 'setAside', 'promote', 'view', 'timeseries', 'dropTimeseries', 'ttl'];
/** Before the commit point the live data are the old ones. */
const uncommitted: readonly string[] = uncommittedPoints;
const lastState: readonly string[] = lastStatePoints;
const points = [...uncommitted, ...committedPoints(steps.length)];
const leaseAndSweepMs = operationTiming.leaseMs + 5_000;
const atOnce = 6;

/** A tenant whose restore is stopped at one point. */
interface Case {
  readonly point: string;
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
  readonly archived: Fingerprint;
}

let databaseUrl: string;
let api: TestApp;
let admin: GraphqlClient;
let mongo: MongoClient;
let cases: readonly Case[] = [];
const workers: TestApp[] = [];
const processes: WorkerProcess[] = [];

beforeAll(async () => {
  databaseUrl = await testDatabaseUrl();
  api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
  admin = await api.loginAsAdmin();
  await startWorker();
  cases = await inParallel(points, atOnce, async (point) => {
    const tenant = await createTestTenant(admin);
    mongo ??= await MongoClient.connect(tenant.uri);
    const db = mongo.db(tenant.database);
    await seedArchived(db);
    const archived = await fingerprint(db);
    return { point, tenant, archived, backup: await takeBackup(admin, tenant.id) };
  });
  await stopWorker();
}, 240_000);

afterAll(async () => {
  for (const process of processes) await process.kill();
  for (const worker of workers) await worker.stop();
  await mongo?.close();
  await api?.stop();
});

async function seedArchived(db: Db): Promise<void> {
  await db.collection('both').insertMany(Array.from({ length: 50 }, (_, n) => ({ n, at: new Date(), archived: true })));
  await db.collection('both').createIndex({ at: 1 }, { expireAfterSeconds: 1_000_000_000 });
  await db.collection<{ _id: number }>('was_view').insertOne({ _id: 1 });
  await db.createCollection('series', { timeseries: { timeField: 't', metaField: 'm' } });
  await db.collection('series').insertMany(Array.from({ length: 30 }, (_, n) => ({ _id: new ObjectId(), t: new Date(), m: n % 3, n })));
  await db.createCollection('view', { viewOn: 'both', pipeline: [{ $match: { archived: true } }] });
}

async function seedLive(db: Db): Promise<void> {
  await db.dropDatabase();
  await db.collection('both').insertMany([{ n: 1 }, { n: 2 }]);
  await db.collection('both').createIndex({ n: 1 });
  await db.collection<{ _id: number; n: number }>('gone').insertOne({ _id: 1, n: 0 });
  await db.createCollection('series', { timeseries: { timeField: 't', metaField: 'other' } });
  await db.collection('series').insertOne({ t: new Date(), other: 1 });
  await db.createCollection('was_series', { timeseries: { timeField: 't' } });
  await db.collection('was_series').insertOne({ t: new Date() });
  await db.createCollection('view', { viewOn: 'gone', pipeline: [] });
  await db.createCollection('was_view', { viewOn: 'both', pipeline: [] });
}

async function startWorker(): Promise<void> {
  workers.push(await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: api.config.dataDir, HOLDFAST_WORKER_CONCURRENCY: '4' } }));
}

async function stopWorker(): Promise<void> {
  await workers.pop()?.stop();
}

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> => api.nest.get(DataSource).query(text, values);
const rawId = (id: string): string => parseGlobalId(id)!.uuid;
const database = ({ tenant }: Case): Db => mongo.db(tenant.database);

/** A product that writes where nothing is created by it. */
async function writeUntil(stopped: AbortSignal, db: Db): Promise<void> {
  while (!stopped.aborted) {
    await db.collection<{ _id: number; n: number }>('gone').updateOne({ _id: 1 }, { $inc: { n: 1 } });
    await delay(50);
  }
}

interface Stopped {
  readonly worker: WorkerProcess;
  readonly operations: ReadonlyMap<string, string>;
  readonly live: ReadonlyMap<string, Fingerprint>;
}

/** All restores at once in one process, each of which stays at its point. */
async function restoreUpToPoints(act: 'hang' | 'pause'): Promise<Stopped> {
  const live = new Map<string, Fingerprint>();
  const operations = new Map<string, string>();
  await inParallel(cases, atOnce, async (one) => {
    await seedLive(database(one));
    live.set(one.point, await fingerprint(database(one)));
    const plan = await makePlan(admin, one.tenant.id, one.backup.id);
    operations.set(one.point, idOf(await restoreStart(admin, plan.id, plan.confirmName)));
  });
  const names = [...operations].map(([point, id]) => `${point}@${rawId(id)}`);
  const worker = WorkerProcess.start({ databaseUrl, dataDir: api.config.dataDir, faultPoints: names.map((name) => `${name}=${act}`), env: { HOLDFAST_WORKER_CONCURRENCY: '64' } });
  processes.push(worker);
  const written = new AbortController();
  const writers = cases.filter(({ point }) => lastState.includes(point)).map((one) => writeUntil(written.signal, database(one)));
  try {
    await worker.reached(names);
  } finally {
    written.abort();
    await Promise.all(writers);
  }
  return { worker, operations, live };
}

async function requireOneState(one: Case, operation: OperationAnswer, live: Fingerprint): Promise<void> {
  const now = await fingerprint(database(one));
  expect({ point: one.point, state: operation.state, different: differences(uncommitted.includes(one.point) ? live : one.archived, now) }).toEqual({
    point: one.point,
    state: uncommitted.includes(one.point) ? 'FAILED' : 'COMPLETED',
    different: [],
  });
  if (uncommitted.includes(one.point)) expect(operation).toMatchObject({ failure: { code: 'WORKER_LOST', hints: [expect.any(String)] } });
  else expect(operation).toMatchObject({ failure: null, result: { __typename: 'RestoreResult', warnings: [expect.stringMatching(/TTL/)] }, safetyBackup: { state: 'COMPLETED', usable: true } });
  const { tenant } = await admin.run<{ tenant: { status: string } }>('query ($id: ID!) { tenant(id: $id) { status } }', { id: one.tenant.id });
  expect({ point: one.point, status: tenant.status }).toEqual({ point: one.point, status: 'ACTIVE' });
}

/** Neither a row without its file nor a file without its row. */
async function requireNoLeftOvers(): Promise<void> {
  const files = (await storedFiles(api)).map((path) => path.split('/').at(-1));
  const rows = await sql<{ file_name: string; state: string }>(`select file_name, state from backup where state not in ('DELETED', 'FAILED')`);
  expect(rows.filter(({ state }) => state !== 'COMPLETED')).toEqual([]);
  expect(files.sort()).toEqual(rows.map(({ file_name }) => file_name).sort());
}

describe('a restore of which the worker', () => {
  it('is killed at any point leaves all old before the commit point and all new after it', async () => {
    const { worker, operations, live } = await restoreUpToPoints('hang');
    const [journal] = await sql<{ kinds: string[] }>(`select array(select step ->> 'kind' from jsonb_array_elements(journal -> 'swapPlan' -> 'steps') step) as kinds from operation where id = $1`, [rawId(operations.get('restore.cleaned')!)]);
    // So that no step is without its case.
    expect(journal!.kinds).toEqual(steps);
    await worker.kill();
    const killedAt = performance.now();
    await startWorker();
    for (;;) {
      const [taken] = await sql(`select 1 from operation where fencing_token > 1`);
      if (taken !== undefined) break;
      await delay(50);
    }
    // At the kill no lease had more than its whole length left.
    expect(performance.now() - killedAt).toBeLessThan(leaseAndSweepMs);
    for (const one of cases) await requireOneState(one, await ended(admin, operations.get(one.point)!), live.get(one.point)!);
    await requireNoLeftOvers();
    await stopWorker();
  }, 300_000);

  it('is stopped at any point and goes on after another has finished changes nothing more, and the next restore works', async () => {
    const { worker, operations, live } = await restoreUpToPoints('pause');
    await worker.kill('SIGSTOP');
    await startWorker();
    for (const one of cases) await requireOneState(one, await ended(admin, operations.get(one.point)!), live.get(one.point)!);
    const rows = await sql('select id, state, phase, revision, fencing_token, result from operation order by id');
    await worker.kill('SIGCONT');
    await worker.gaveUp([...operations.values()].map(rawId));
    expect(await sql('select id, state, phase, revision, fencing_token, result from operation order by id')).toEqual(rows);
    for (const one of cases) await requireOneState(one, await ended(admin, operations.get(one.point)!), live.get(one.point)!);
    await requireNoLeftOvers();
    await stopWorker();
  }, 300_000);
});
