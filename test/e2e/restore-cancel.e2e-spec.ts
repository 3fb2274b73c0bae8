import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, restore, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { type OwnMongod, startMongod } from '../support/servers.ts';
import { storedFiles } from '../support/store-faults.ts';

/** "Within seconds", on a busy machine. */
const secondsMs = 5_000;

let app: TestApp;
let admin: GraphqlClient;
let mongod: OwnMongod;
let mongo: MongoClient;
let tenant: TestTenant;
let backup: BackupAnswer;
let live: Fingerprint;
const offs: (() => void)[] = [];

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  // A server of its own: it is made to hang.
  mongod = await startMongod({});
  mongo = await MongoClient.connect(mongod.uri);
  tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'shop' });
  await withDatabase(tenant, (db) => seedShop(db, 100));
  backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => {
    await db.collection('orders').deleteMany({ number: { $lt: 50 } });
    await db.collection('later').insertOne({ a: 1 });
  });
  live = await withDatabase(tenant, fingerprint);
});
afterEach(() => {
  for (const off of offs.splice(0)) off();
});
afterAll(async () => {
  await app?.stop();
  await mongo?.close();
  // Not stopped: it would wait for the commands that it still holds back.
  await mongod?.kill();
});

function at(point: string, work: (signal?: AbortSignal) => Promise<void>): void {
  offs.push(app.at(point, work));
}

/** Longer than a cancel may take. The server forgets a fault no sooner than this, however it is asked to. */
const blockTimeMS = secondsMs + 1_000;

/** The server holds the next one of these commands back; the returned promise waits until it does. */
async function hang(failCommands: readonly string[]): Promise<() => Promise<unknown>> {
  const server = mongo.db('admin');
  const { count } = await server.command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data: { failCommands, blockConnection: true, blockTimeMS } });
  return () => server.command({ waitForFailPoint: 'failCommand', timesEntered: Number(count) + 1, maxTimeMS: 20_000 });
}

async function cancel(id: string): Promise<readonly { readonly code: string; readonly message: string }[]> {
  const answer = await admin.run<{ operationCancel: { userErrors: { code: string; message: string }[] } }>(
    'mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code message } } }',
    { input: { operationId: id } },
  );
  return answer.operationCancel.userErrors;
}

interface Seen extends OperationAnswer {
  readonly cancelable: boolean;
}

const read = async (id: string): Promise<Seen> => (await admin.run<{ operation: Seen }>('query ($id: ID!) { operation(id: $id) { id state phase cancelable } }', { id })).operation;

async function begin(): Promise<string> {
  const plan = await makePlan(admin, tenant.id, backup.id);
  return idOf(await restoreStart(admin, plan.id, tenant.name));
}

/** Live data are as they were, nothing lies beside them, the store holds nothing unfinished, and the workspace works. */
async function expectNothingLeft(filesBefore: readonly string[], canceled: OperationAnswer): Promise<void> {
  expect(differences(live, await withDatabase(tenant, fingerprint))).toEqual([]);
  const names = await withDatabase(tenant, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name));
  expect(names.filter((name) => name.startsWith('hf_'))).toEqual([]);
  const { safetyBackup } = canceled;
  const added = (await storedFiles(app)).filter((path) => !filesBefore.includes(path));
  expect(added).toEqual(safetyBackup?.state === 'COMPLETED' ? [expect.stringContaining(safetyBackup.fileName!)] : []);
  const { tenant: state } = await admin.run<{ tenant: { status: string; maintenance: { on: boolean } } }>('query ($id: ID!) { tenant(id: $id) { status maintenance { on } } }', { id: tenant.id });
  expect(state).toEqual({ status: 'ACTIVE', maintenance: { on: false } });
}

describe('a cancel before the commit point', () => {
  it.each([
    ['VERIFY', 'restore.begun'],
    ['VERIFY', 'restore.verified'],
    ['SAFETY_BACKUP', 'backup.dump'],
    ['SAFETY_BACKUP', 'backup.read-back'],
    ['SAFETY_BACKUP', 'restore.safe'],
    ['STAGE', 'restore.staging'],
    ['STAGE', 'restore.staged'],
    ['CHECK', 'restore.checked'],
    ['MAINTENANCE_ON', 'restore.maintenance'],
    ['MAINTENANCE_ON', 'restore.planned'],
  ])('in %s, at %s, ends the restore in seconds and leaves nothing', async (phase, point) => {
    const filesBefore = await storedFiles(app);
    const reached = Promise.withResolvers<void>();
    at(point, async (signal) => {
      reached.resolve();
      await once(signal!, 'abort');
    });
    const id = await begin();
    await reached.promise;
    expect(await read(id)).toMatchObject({ state: 'RUNNING', phase, cancelable: true });
    const askedAt = performance.now();
    expect(await cancel(id)).toEqual([]);
    const canceled = await ended(admin, id);
    expect(canceled).toMatchObject({ state: 'CANCELED', failure: { code: 'CANCELED' } });
    expect(canceled.steps.find((step) => step.phase === 'SWAP')).toMatchObject({ state: 'QUEUED' });
    expect(performance.now() - askedAt).toBeLessThan(secondsMs);
    await expectNothingLeft(filesBefore, canceled);
  });

  it.each([
    ['SAFETY_BACKUP', 'restore.verified', ['find']],
    ['STAGE', 'restore.safe', ['insert']],
    ['STAGE', 'restore.safe', ['createIndexes']],
    ['CHECK', 'restore.staged', ['find']],
    ['MAINTENANCE_ON', 'restore.maintenance', ['listCollections']],
  ])('in %s, while the database does not answer (after %s: %j), does the same', async (phase, point, commands) => {
    const filesBefore = await storedFiles(app);
    const blocked = Promise.withResolvers<void>();
    at(point, async () => {
      const untilBlocked = await hang(commands);
      untilBlocked().then(() => blocked.resolve(), blocked.reject);
    });
    const id = await begin();
    await blocked.promise;
    expect(await read(id)).toMatchObject({ state: 'RUNNING', phase });
    const askedAt = performance.now();
    expect(await cancel(id)).toEqual([]);
    const canceled = await ended(admin, id);
    expect(canceled).toMatchObject({ state: 'CANCELED' });
    expect(performance.now() - askedAt).toBeLessThan(secondsMs);
    await expectNothingLeft(filesBefore, canceled);
  });

  it('lets the next one start at once', async () => {
    const before = await withDatabase(tenant, fingerprint);
    at('restore.staged', async (signal) => {
      const aborted = once(signal!, 'abort');
      await cancel((await running())!);
      await aborted;
    });
    const first = await begin();
    expect(await ended(admin, first)).toMatchObject({ state: 'CANCELED' });
    for (const off of offs.splice(0)) off();
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
    const second = await begin();
    await cancel(second);
    expect((await ended(admin, second)).state).toMatch(/CANCELED/);
  });
});

describe('what happens to the workspace while a restore runs', () => {
  it('a suspension before the commit point stops it, live data untouched', async () => {
    const filesBefore = await storedFiles(app);
    const change = (name: 'tenantSuspend' | 'tenantResume') => admin.run(`mutation { ${name}(input: { tenantId: "${tenant.id}" }) { userErrors { code } } }`);
    at('restore.staged', async () => void (await change('tenantSuspend')));
    const failed = await ended(admin, await begin());
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'TENANT_SUSPENDED' } });
    await change('tenantResume');
    await expectNothingLeft(filesBefore, failed);
  });
});

/** Last: from here on the live data are the archive's. */
describe('a cancel from the commit point on', () => {
  it.each([
    ['MAINTENANCE_ON', 'restore.committed'],
    ['SWAP', 'restore.swap.0'],
    ['SWAP', 'restore.swapped'],
    ['CLEANUP', 'restore.last-state'],
    ['CLEANUP', 'restore.last-state-kept'],
  ])('in %s, at %s, is refused with the reason, and the restore is completed', async (phase, point) => {
    // So that there is a last state to be kept.
    at('restore.planned', () => withDatabase(tenant, async (db) => void (await db.collection('orders').updateOne({}, { $set: { touched: point } }))));
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    at(point, async () => {
      reached.resolve();
      await goOn.promise;
    });
    const id = await begin();
    await reached.promise;
    expect(await read(id)).toMatchObject({ state: 'RUNNING', phase, cancelable: false });
    expect(await cancel(id)).toEqual([{ code: 'NOT_CANCELABLE', message: expect.stringMatching(/commit point/) }]);
    goOn.resolve();
    expect(await ended(admin, id)).toMatchObject({ state: 'COMPLETED' });
    expect(await cancel(id)).toEqual([{ code: 'NOT_CANCELABLE', message: expect.stringMatching(/already ended/) }]);
  });

  it('a suspension and a new name change nothing any more', async () => {
    at('restore.committed', async () => {
      await admin.run(`mutation { tenantUpdate(input: { tenantId: "${tenant.id}", name: "Another name" }) { userErrors { code } } }`);
      await admin.run(`mutation { tenantSuspend(input: { tenantId: "${tenant.id}" }) { userErrors { code } } }`);
    });
    const done = await ended(admin, await begin());
    expect(done).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(tenant, (db) => db.collection('orders').countDocuments())).toBe(100);
    const { tenant: state } = await admin.run<{ tenant: { status: string; maintenance: { on: boolean } } }>('query ($id: ID!) { tenant(id: $id) { status maintenance { on } } }', { id: tenant.id });
    expect(state).toEqual({ status: 'SUSPENDED', maintenance: { on: false } });
    await admin.run(`mutation { tenantResume(input: { tenantId: "${tenant.id}" }) { userErrors { code } } }`);
    const { plan } = { plan: await makePlan(admin, tenant.id, backup.id) };
    expect(plan.confirmName).toBe('Another name');
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
  });
});

async function running(): Promise<string | undefined> {
  const { tenant: found } = await admin.run<{ tenant: { operations: { edges: { node: { id: string; state: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations { edges { node { id state } } } } }', { id: tenant.id });
  return found.operations.edges.find(({ node }) => node.state === 'RUNNING')?.node.id;
}
