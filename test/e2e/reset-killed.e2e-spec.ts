import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Db, Int32, MongoClient } from 'mongodb';
import { DataSource } from 'typeorm';
import { inParallel } from '../../libs/engines/mongodb/in-parallel.ts';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, restoreUndo } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { MailReceiver } from '../support/mail-receiver.ts';
import { resetExecute, verifiedReset } from '../support/reset-calls.ts';
import { storedFiles } from '../support/store-faults.ts';
import { WorkerProcess } from '../support/worker-process.ts';

/** Every place between two things that a reset of this fixture does, in their order. Before the commit point the live data are the old ones. */
const uncommitted = [
  'restore.begun', 'restore.staged', 'backup.prelude', 'backup.dump', 'backup.finalize', 'backup.read-back', 'restore.safe', 'restore.maintenance', 'restore.checked', 'restore.planned',
];
const steps = ['setAside', 'promote', 'setAside', 'promote', 'setAside', 'promote', 'timeseries', 'ttl'];
/** Reached only if a product wrote after the safety backup. */
const lastState = ['restore.last-state', 'restore.last-state-kept', 'restore.last-state-noted'];
const committed = ['restore.committed', ...steps.map((_, index) => `restore.swap.${index}`), 'restore.swapped', 'restore.swap-noted', 'reset.checked', 'restore.maintenance-off', ...lastState, 'restore.old-dropped', 'restore.cleaned'];
const points = [...uncommitted, ...committed];
const atOnce = 6;

interface Case {
  readonly point: string;
  readonly tenant: TestTenant;
  readonly owner: GraphqlClient & { readonly email: string };
  readonly before: Fingerprint;
  readonly operation: string;
}

let databaseUrl: string;
let api: TestApp;
let admin: GraphqlClient;
let mail: MailReceiver;
let mongo: MongoClient;
const started: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  mail = await MailReceiver.start();
  api = await startTestApp({ env: { HOLDFAST_ROLE: 'api', HOLDFAST_SMTP_URL: mail.url, HOLDFAST_MAIL_FROM: 'holdfast@holdfast.test' } });
  databaseUrl = api.config.databaseUrl;
  admin = await api.loginAsAdmin();
}, 120_000);

afterAll(async () => {
  for (const one of started) await one.stop();
  await mongo?.close();
  await api?.stop();
  await mail?.stop();
});

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> => api.nest.get(DataSource).query(text, values);
const rawId = (id: string): string => parseGlobalId(id)!.uuid;

async function define(db: Db): Promise<void> {
  await db.createCollection('customers', { validator: { n: { $type: 'int' } } });
  await db.createCollection('orders');
  await db.collection('orders').createIndex({ at: 1 }, { expireAfterSeconds: 1_000_000_000 });
  await db.createCollection('sales_series', { timeseries: { timeField: 't', metaField: 'm' } });
  await db.collection<{ _id: number }>('roles').insertMany([{ _id: 1 }, { _id: 2 }]);
}

async function fill(db: Db): Promise<void> {
  await db.collection<{ _id: number }>('customers').insertMany([{ _id: 1, n: new Int32(0) }, { _id: 2, n: new Int32(0) }] as never);
  await db.collection<{ _id: number }>('orders').insertMany(Array.from({ length: 50 }, (_, _id) => ({ _id, at: new Date() })));
  await db.collection('sales_series').insertMany(Array.from({ length: 30 }, (_, n) => ({ t: new Date(), m: n % 3, n })));
}

const count = (db: Db, seq: number): Promise<unknown> => db.collection<{ _id: string }>('counters').insertOne({ _id: 'order', seq: new Int32(seq) } as never);

async function prepare(point: string): Promise<Case> {
  const tenant = await createTestTenant(admin);
  mongo ??= await MongoClient.connect(tenant.uri);
  const db = mongo.db(tenant.database);
  await define(db);
  await fill(db);
  await count(db, 50);
  const rules = [{ pattern: 'counters', dataClass: 'SYSTEM', resettable: false, counter: { field: 'seq', resetTo: 1 } }];
  await admin.run('mutation ($input: ClassRulesUpdateInput!) { classRulesUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, rules } });
  const owner = await createTestMember(api, admin, tenant.id, 'OWNER');
  const { id } = await verifiedReset(owner, tenant.id, mail);
  const before = await fingerprint(db);
  return { point, tenant, owner, before, operation: (await resetExecute(owner, id)).operation!.id };
}

/** A product that writes to what is wiped, where nothing is created by it. */
async function writeUntil(stopped: AbortSignal, { tenant }: Case): Promise<void> {
  while (!stopped.aborted) {
    await mongo.db(tenant.database).collection<{ _id: number; n: number }>('customers').updateOne({ _id: 1 }, { $inc: { n: 1 } });
    await delay(50);
  }
}

/** Neither a row without its file nor a file without its row. */
async function requireNoLeftOvers(): Promise<void> {
  const files = (await storedFiles(api)).map((path) => path.split('/').at(-1));
  const rows = await sql<{ file_name: string; state: string }>(`select file_name, state from backup where state not in ('DELETED', 'FAILED')`);
  expect(rows.filter(({ state }) => state !== 'COMPLETED')).toEqual([]);
  expect(files.sort()).toEqual(rows.map(({ file_name }) => file_name).sort());
}

describe('a reset of which the worker is killed', () => {
  it('at any point has wiped nothing before the commit point, and everything after it', async () => {
    const cases = await inParallel(points, atOnce, prepare);
    const twin = await createTestTenant(admin);
    await define(mongo.db(twin.database));
    await count(mongo.db(twin.database), 1);
    const emptied = await fingerprint(mongo.db(twin.database));

    const names = cases.map(({ point, operation }) => `${point}@${rawId(operation)}`);
    const worker = WorkerProcess.start({ databaseUrl, dataDir: api.config.dataDir, faultPoints: names.map((name) => `${name}=hang`), env: { HOLDFAST_WORKER_CONCURRENCY: '64' } });
    started.push({ stop: () => worker.kill() });
    const written = new AbortController();
    const writers = cases.filter(({ point }) => lastState.includes(point)).map((one) => writeUntil(written.signal, one));
    try {
      await worker.reached(names);
    } finally {
      written.abort();
      await Promise.all(writers);
    }
    const cleaned = cases.find(({ point }) => point === 'restore.cleaned')!;
    const [journal] = await sql<{ kinds: string[] }>(`select array(select step ->> 'kind' from jsonb_array_elements(journal -> 'swapPlan' -> 'steps') step) as kinds from operation where id = $1`, [rawId(cleaned.operation)]);
    // So that no step is without its case.
    expect(journal!.kinds).toEqual(steps);
    await worker.kill();
    started.push(await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: api.config.dataDir, HOLDFAST_WORKER_CONCURRENCY: '4' } }));

    for (const { point, tenant, owner, before, operation } of cases) {
      const end = await ended(owner, operation);
      const isWiped = committed.includes(point);
      const different = differences(isWiped ? emptied : before, await fingerprint(mongo.db(tenant.database)));
      const [row] = await sql<{ state: string; status: string | null }>(`select r.state, t.maintenance_operation_id::text as status from reset_request r join tenant t on t.id = r.tenant_id where r.operation_id = $1`, [rawId(operation)]);
      expect({ point, state: end.state, code: end.failure?.code ?? null, reset: row!.state, maintenance: row!.status, different }).toEqual({
        point, state: isWiped ? 'COMPLETED' : 'FAILED', code: isWiped ? null : 'WORKER_LOST', reset: isWiped ? 'DONE' : 'FAILED', maintenance: null, different: [],
      });
    }
    await requireNoLeftOvers();

    // What was written until the wipe comes back.
    const undone = cases.find(({ point }) => point === 'restore.last-state-kept')!;
    const way = await restoreUndo(undone.owner, undone.operation, undone.tenant.name);
    expect(await ended(undone.owner, idOf(way))).toMatchObject({ state: 'COMPLETED' });
    const customer = await mongo.db(undone.tenant.database).collection<{ _id: number; n: number }>('customers').findOne({ _id: 1 });
    expect(customer!.n).toBeGreaterThan(0);
  }, 400_000);
});
