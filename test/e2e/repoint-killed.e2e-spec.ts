import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { inParallel } from '../../libs/engines/mongodb/in-parallel.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, restoreStart, restoreUndo, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { WorkerProcess } from '../support/worker-process.ts';

/** Every place between two things that a REPOINT of this fixture does. Up to the commit point the workspace has its former database. */
const uncommitted = ['restore.begun', 'restore.verified', 'backup.read-back', 'restore.safe', 'restore.staging', 'restore.staged', 'restore.checked', 'restore.maintenance', 'restore.planned'];
const committed = ['restore.committed', 'restore.swap.0', 'restore.swap.1', 'restore.swap.2', 'restore.swapped', 'restore.swap-noted', 'restore.maintenance-off', 'restore.old-dropped', 'restore.cleaned'];
const undoUncommitted = ['restore.maintenance', 'restore.planned'];
const undoCommitted = ['restore.committed', 'restore.maintenance-off'];
const releasing = ['release.dropping', 'release.dropped'];
const atOnce = 6;

type Kind = 'REPOINT' | 'UNDO' | 'RELEASE';

interface Case {
  readonly kind: Kind;
  readonly point: string;
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
  readonly archived: Fingerprint;
  readonly live: Fingerprint;
  /** The REPOINT that UNDO and RELEASE are of. */
  readonly repointed: string | null;
}

let databaseUrl: string;
let api: TestApp;
let admin: GraphqlClient;
let cases: readonly Case[] = [];
const workers: TestApp[] = [];
const processes: WorkerProcess[] = [];

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> => api.nest.get(DataSource).query(text, values);
const rawId = (id: string): string => parseGlobalId(id)!.uuid;

async function startWorker(): Promise<void> {
  workers.push(await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: api.config.dataDir, HOLDFAST_WORKER_CONCURRENCY: '4' } }));
}

async function repoint({ tenant, backup }: Pick<Case, 'tenant' | 'backup'>): Promise<string> {
  const plan = await makePlan(admin, tenant.id, backup.id, { cutover: 'REPOINT' });
  return idOf(await restoreStart(admin, plan.id, tenant.name));
}

async function makeCase(kind: Kind, point: string): Promise<Case> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 40));
  const archived = await withDatabase(tenant, fingerprint);
  const backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => void (await db.collection('orders').deleteMany({})));
  const live = await withDatabase(tenant, fingerprint);
  const repointed = kind === 'REPOINT' ? null : await repoint({ tenant, backup });
  if (repointed !== null) await ended(admin, repointed);
  return { kind, point, tenant, backup, archived, live, repointed };
}

async function start(one: Case): Promise<string> {
  if (one.kind === 'REPOINT') return repoint(one);
  if (one.kind === 'UNDO') return idOf(await restoreUndo(admin, one.repointed!, one.tenant.name));
  const { restoreReleaseOld } = await admin.run<{ restoreReleaseOld: { operation: { id: string } } }>(
    'mutation ($input: RestoreReleaseOldInput!) { restoreReleaseOld(input: $input) { operation { id } } }', { input: { operationId: one.repointed, confirmName: one.tenant.name } });
  return restoreReleaseOld.operation.id;
}

const isDone = ({ kind, point }: Case): boolean => kind === 'RELEASE' || !(kind === 'UNDO' ? undoUncommitted : uncommitted).includes(point);

async function requireOneState(one: Case, operationId: string): Promise<void> {
  const { kind, point, tenant } = one;
  const operation = await ended(admin, operationId);
  const { tenant: now } = await admin.run<{ tenant: { status: string; database: { name: string } } }>('query ($id: ID!) { tenant(id: $id) { status database { name } } }', { id: tenant.id });
  const hasNew = kind === 'UNDO' ? !isDone(one) : isDone(one);
  const print = await withDatabase({ uri: tenant.uri, database: now.database.name }, fingerprint);
  expect({ kind, point, state: operation.state, code: operation.failure?.code ?? null, status: now.status, hasNew: now.database.name !== tenant.database, different: differences(hasNew ? one.archived : one.live, print) }).toEqual({
    kind, point, state: isDone(one) ? 'COMPLETED' : 'FAILED', code: isDone(one) ? null : 'WORKER_LOST', status: 'ACTIVE', hasNew, different: [],
  });
  const found = await withDatabase(tenant, (db) => db.listCollections({}, { nameOnly: true }).toArray());
  if (kind === 'RELEASE') expect([point, found]).toEqual([point, []]);
  else expect([point, differences(one.live, await withDatabase(tenant, fingerprint))]).toEqual([point, []]);
}

/** Nothing is staged any more on the server, and nobody holds a database that is not his. */
async function requireNoLeftOvers(): Promise<void> {
  expect(await sql(`select * from database_claim where purpose in ('COPY', 'DROPPING')`)).toEqual([]);
  for (const { tenant } of cases) {
    const names = await withDatabase(tenant, async (db) => {
      const { databases } = await db.admin().listDatabases({ nameOnly: true });
      const own = databases.map(({ name }) => name).filter((name) => name.startsWith(tenant.database));
      return (await Promise.all(own.map((name) => db.client.db(name).listCollections({ name: /^hf_/ }, { nameOnly: true }).toArray()))).flat();
    });
    expect(names).toEqual([]);
  }
}

beforeAll(async () => {
  databaseUrl = await testDatabaseUrl();
  api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
  admin = await api.loginAsAdmin();
});

afterAll(async () => {
  for (const process of processes) await process.kill();
  for (const worker of workers) await worker.stop();
  await api?.stop();
});

describe.each(['hang', 'pause'] as const)('a worker that stops for good (%s) at a border of a REPOINT, its undo or the drop', (act) => {
  it('leaves the workspace with one whole database, and another worker ends the work', async () => {
    await startWorker();
    const wanted: [Kind, string][] = [
      ...[...uncommitted, ...committed].map((point): [Kind, string] => ['REPOINT', point]), ...[...undoUncommitted, ...undoCommitted].map((point): [Kind, string] => ['UNDO', point]), ...releasing.map((point): [Kind, string] => ['RELEASE', point]),
    ];
    cases = await inParallel(wanted, atOnce, ([kind, point]) => makeCase(kind, point));
    await workers.pop()!.stop();
    const operations = new Map<Case, string>(await inParallel(cases, atOnce, async (one): Promise<[Case, string]> => [one, await start(one)]));
    const names = [...operations].map(([{ point }, id]) => `${point}@${rawId(id)}`);
    const worker = WorkerProcess.start({ databaseUrl, dataDir: api.config.dataDir, faultPoints: names.map((name) => `${name}=${act}`), env: { HOLDFAST_WORKER_CONCURRENCY: '64' } });
    processes.push(worker);
    await worker.reached(names);
    await worker.kill(act === 'hang' ? 'SIGKILL' : 'SIGSTOP');
    await startWorker();
    for (const [one, id] of operations) await requireOneState(one, id);
    if (act === 'pause') {
      const rows = await sql('select id, state, phase, revision, result from operation order by id');
      await worker.kill('SIGCONT');
      await worker.gaveUp([...operations.values()].map(rawId));
      expect(await sql('select id, state, phase, revision, result from operation order by id')).toEqual(rows);
      for (const [one, id] of operations) await requireOneState(one, id);
      await worker.kill();
    }
    await requireNoLeftOvers();
    await workers.pop()!.stop();
  }, 240_000);
});
