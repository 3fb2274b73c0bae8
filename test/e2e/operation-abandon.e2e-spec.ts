import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { differences } from '../../scripts/demo/fingerprint.ts';
import { FaultPoints } from '../../src/operations/fault-points.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { StageLeftOvers } from '../../src/restore/stage-left-overs.ts';
import { createTestMember, createTestTenant, type TestTenant } from '../support/app.ts';
import { ended, idOf, makePlan, type OperationAnswer, operationFields, restoreStart, restoreUndo, type Started, type UserErrorAnswer, watch, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { type ChangedShop, ownNames, print, RestoreBench } from '../support/restore-bench.ts';
import { hashes } from '../support/restore-fixture.ts';
import { startMongod } from '../support/servers.ts';

interface Abandoned {
  readonly operation: OperationAnswer | null;
  readonly userErrors: readonly UserErrorAnswer[];
}

interface Workspace {
  readonly status: string;
  readonly maintenance: { readonly on: boolean; readonly operation: { readonly id: string } | null };
}

const dayMs = 86_400_000;
const reason = 'Its stage was dropped by hand';
const abandonText = `mutation ($input: OperationAbandonInput!) { operationAbandon(input: $input) { operation { ${operationFields} } userErrors { code message field hint } } }`;

let bench: RestoreBench;
const offs: (() => void)[] = [];

beforeAll(async () => {
  bench = await RestoreBench.start();
});
afterEach(() => {
  for (const off of offs.splice(0)) off();
});
afterAll(() => bench?.app.stop());

const abandon = async (operationId: string, confirmName: string): Promise<Abandoned> => (await bench.admin.run<{ operationAbandon: Abandoned }>(abandonText, { input: { operationId, confirmName, reason } })).operationAbandon;
const uuidOf = (id: string): string => parseGlobalId(id)!.uuid;
const workspace = async ({ id }: TestTenant): Promise<Workspace> => (await bench.admin.run<{ tenant: Workspace }>('query ($id: ID!) { tenant(id: $id) { status maintenance { on operation { id } } } }', { id })).tenant;

/** What `mutation` answered, once no worker of the abandoned operation can be at it any more. */
async function onceFree<Answer extends { readonly userErrors: readonly { readonly code: string }[] }>(mutation: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await mutation();
    if (answer.userErrors[0]?.code !== 'OPERATION_ALREADY_RUNNING') return answer;
    await delay(200);
  }
}

async function change(name: string, input: Readonly<Record<string, unknown>>): Promise<{ readonly userErrors: readonly { readonly code: string }[] }> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  return (await bench.admin.run<Record<string, { userErrors: { code: string }[] }>>(`mutation ($input: ${type}!) { ${name}(input: $input) { userErrors { code } } }`, { input }))[name]!;
}

/** Pauses each worker that reaches the point; `halted` is its signal, `goOn` lets it go. */
function pauseAt(point: string): { readonly halted: Promise<AbortSignal>; readonly goOn: () => void } {
  const reached = Promise.withResolvers<AbortSignal>();
  const released = Promise.withResolvers<void>();
  offs.push(
    released.resolve,
    bench.app.nest.get(FaultPoints, { strict: false }).on(point, async (signal) => {
      reached.resolve(signal!);
      await released.promise;
    }),
  );
  return { halted: reached.promise, goOn: () => released.resolve() };
}

/** A restore that can never end: a staged collection was dropped by hand just past its commit point. */
async function stuck(shop: ChangedShop): Promise<string> {
  bench.once('restore.committed', () => withDatabase(shop.tenant, async (db) => {
    for (const name of await ownNames(shop.tenant)) if ((await db.collection(name).countDocuments()) === 200) await db.dropCollection(name);
  }));
  const id = await bench.begin(shop);
  for (;;) {
    const { operation } = await bench.admin.run<{ operation: { state: string; log: { message: string }[] } }>('query ($id: ID!) { operation(id: $id) { state log { message } } }', { id });
    expect(operation.state).toMatch(/^(QUEUED|RUNNING)$/);
    if (operation.log.some(({ message }) => /has disappeared/.test(message))) return id;
    await delay(100);
  }
}

async function restoreSafety(tenant: TestTenant, { safetyBackup }: OperationAnswer): Promise<Started> {
  const plan = await makePlan(bench.admin, tenant.id, safetyBackup!.id);
  return onceFree(() => restoreStart(bench.admin, plan.id, tenant.name));
}

describe('a restore in SWAP whose stage is gone', () => {
  it('is abandoned: its safety backup then brings the data back exactly, and what it left stays', async () => {
    const shop = await bench.changedShop();
    const { tenant, live } = shop;
    const hashed = await withDatabase(tenant, hashes);
    const id = await stuck(shop);
    expect(await workspace(tenant)).toMatchObject({ status: 'MAINTENANCE' });
    const states = watch(bench.admin, id);
    const { operation, userErrors } = await abandon(id, tenant.name);
    expect(userErrors).toEqual([]);
    const left = await ownNames(tenant);
    for (const kind of [/_old_\d+$/, /_\d+_[\dc][\da-f]*$/]) expect(left.filter((name) => kind.test(name))).not.toEqual([]);
    expect(differences(live, await print(tenant))).not.toEqual([]);
    expect(operation).toMatchObject({ id, state: 'FAILED', phase: 'SWAP', failure: { code: 'ABANDONED', hints: [expect.stringMatching(/safety backup/)] }, safetyBackup: { state: 'COMPLETED' }, undoableUntil: null });
    expect(operation!.steps.find(({ phase }) => phase === 'SWAP')).toMatchObject({ state: 'FAILED' });
    expect((await states).at(-1)).toMatchObject({ state: 'FAILED', failure: { code: 'ABANDONED' } });
    expect(await abandon(id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_ABANDONABLE', message: expect.stringMatching(/already ended/) }] });
    expect(await restoreUndo(bench.admin, id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_UNDOABLE', message: expect.stringMatching(/abandoned/) }] });

    // Noted for people, and kept as long as if it could be undone.
    const { operation: told } = await bench.admin.run<{ operation: { finishedAt: string; log: { message: string }[] } }>('query ($id: ID!) { operation(id: $id) { finishedAt log { message } } }', { id });
    expect(told.log.at(-1)!.message).toContain(reason);
    expect(Date.parse(operation!.safetyBackup!.expiresAt!) - Date.parse(told.finishedAt)).toBe(7 * dayMs);
    const { tenant: audited } = await bench.admin.run<{ tenant: { auditEvents: { edges: { node: { outcome: string; detail: readonly { value: string }[] } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { auditEvents(filter: {action: "operation.abandoned"}) { edges { node { outcome detail { value } } } } } }', { id: tenant.id });
    expect(audited.auditEvents.edges.map(({ node }) => node.outcome)).toEqual(['REFUSED', 'OK']);
    expect(JSON.stringify(audited.auditEvents.edges[1]!.node.detail)).toContain(reason);
    expect(await workspace(tenant)).toEqual({ status: 'MAINTENANCE', maintenance: { on: true, operation: { id } } });

    // Work that changes nothing lets nobody in again.
    const canceled = bench.once('restore.planned', async () => {
      const { tenant: { operations } } = await bench.admin.run<{ tenant: { operations: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(first: 1) { edges { node { id } } } } }', { id: tenant.id });
      await bench.cancel(operations.edges[0]!.node.id);
    });
    expect(await ended(bench.admin, idOf(await restoreSafety(tenant, operation!)))).toMatchObject({ state: 'CANCELED' });
    expect(canceled()).toBe(true);
    expect(await workspace(tenant)).toEqual({ status: 'MAINTENANCE', maintenance: { on: true, operation: { id } } });

    expect(await ended(bench.admin, idOf(await restoreSafety(tenant, operation!)))).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(tenant, hashes)).toEqual(hashed);
    expect(differences(live, await print(tenant)).filter((name) => !name.startsWith('hf_'))).toEqual([]);
    expect(await workspace(tenant)).toMatchObject({ status: 'ACTIVE', maintenance: { on: false } });
    await bench.app.nest.get(StageLeftOvers, { strict: false }).tick();
    expect(await ownNames(tenant)).toEqual(left);
  }, 120_000);

  it('is abandoned: the workspace is opened by hand, or deleted', async () => {
    const shop = await bench.changedShop();
    const { tenant } = shop;
    const id = await stuck(shop);
    expect(await change('maintenanceEnd', { tenantId: tenant.id })).toMatchObject({ userErrors: [{ code: 'OPERATION_ALREADY_RUNNING' }] });
    expect(await abandon(id, tenant.name)).toMatchObject({ userErrors: [] });
    expect(await onceFree(() => change('maintenanceEnd', { tenantId: tenant.id }))).toEqual({ userErrors: [] });
    expect(await workspace(tenant)).toMatchObject({ status: 'ACTIVE' });
    expect(await change('tenantDelete', { tenantId: tenant.id, confirmName: tenant.name })).toEqual({ userErrors: [] });
  }, 120_000);
});

describe('a restore in SWAP whose server is lost for good', () => {
  it('is abandoned: the workspace gets another database, and the safety backup is restored there', async () => {
    const mongod = await startMongod();
    try {
      const shop = await bench.changedShop({ uri: mongod.uri, database: 'lost' });
      const { tenant, live } = shop;
      const lost = Promise.withResolvers<void>();
      bench.once('restore.swap.1', () => mongod.kill('SIGKILL').then(lost.resolve));
      const id = await bench.begin(shop);
      await lost.promise;
      const { operation } = await abandon(id, tenant.name);
      expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'ABANDONED' } });
      const { uri } = await createTestTenant(bench.admin);
      const moved = { ...tenant, uri, database: `${tenant.slug.replaceAll('-', '_')}_moved` };
      expect(await onceFree(() => change('tenantUpdate', { tenantId: tenant.id, target: { uri, database: moved.database } }))).toEqual({ userErrors: [] });
      expect(await workspace(tenant)).toMatchObject({ status: 'MAINTENANCE' });
      expect(await ended(bench.admin, idOf(await restoreSafety(tenant, operation!)))).toMatchObject({ state: 'COMPLETED' });
      expect(differences(live, await print(moved))).toEqual([]);
      expect(await workspace(tenant)).toMatchObject({ status: 'ACTIVE' });
    } finally {
      await mongod.stop();
    }
  }, 120_000);
});

describe('a worker that hangs', () => {
  it('in SWAP when its restore is abandoned writes nothing more, and nothing begins while it may be at it', async () => {
    const shop = await bench.changedShop();
    const { tenant } = shop;
    const { halted, goOn } = pauseAt('restore.swap.1');
    const id = await bench.begin(shop);
    const signal = await halted;
    expect(signal.aborted).toBe(false);
    const aborted = once(signal, 'abort');
    const askedAt = performance.now();
    expect(await abandon(id, tenant.name)).toMatchObject({ userErrors: [] });
    // At once, not with the next renewal of the lease.
    await aborted;
    expect(performance.now() - askedAt).toBeLessThan(3_000);
    const [then, { revision }] = [await print(tenant), (await bench.sql<{ revision: number }>('select revision from operation where id = $1', [uuidOf(id)]))[0]!];
    goOn();
    expect(await change('maintenanceEnd', { tenantId: tenant.id })).toMatchObject({ userErrors: [{ code: 'OPERATION_ALREADY_RUNNING' }] });
    const plan = await makePlan(bench.admin, tenant.id, shop.backup.id);
    expect(await restoreStart(bench.admin, plan.id, tenant.name)).toMatchObject({ userErrors: [{ code: 'OPERATION_ALREADY_RUNNING', message: expect.stringMatching(/abandoned/) }] });
    expect(await onceFree(() => change('maintenanceEnd', { tenantId: tenant.id }))).toEqual({ userErrors: [] });
    expect(differences(then, await print(tenant))).toEqual([]);
    expect(await bench.sql('select state, revision, fencing_token from operation where id = $1', [uuidOf(id)])).toEqual([{ state: 'FAILED', revision, fencing_token: '2' }]);
  }, 120_000);

  it('in CLEANUP while it keeps the last state leaves no backup under way, and the workspace stays in use', async () => {
    const shop = await bench.changedShop();
    const { tenant, archived } = shop;
    bench.once('restore.planned', () => withDatabase(tenant, async (db) => void (await db.collection('orders').updateOne({}, { $set: { touched: true } }))));
    const lastState = pauseAt('restore.last-state');
    const id = await bench.begin(shop);
    await lastState.halted;
    const dump = pauseAt('backup.dump');
    lastState.goOn();
    await dump.halted;
    const { operation } = await abandon(id, tenant.name);
    expect(operation).toMatchObject({ state: 'FAILED', phase: 'CLEANUP', safetyBackup: { state: 'COMPLETED' } });
    dump.goOn();
    expect(await bench.sql(`select state from backup where operation_id = $1 order by created_at`, [uuidOf(id)])).toEqual([{ state: 'COMPLETED' }, { state: 'FAILED' }]);
    expect(await workspace(tenant)).toMatchObject({ status: 'ACTIVE' });
    expect(differences(archived, await print(tenant)).filter((name) => !name.startsWith('hf_'))).toEqual([]);
  }, 120_000);
});

describe('a REPOINT past its commit point', () => {
  it('is abandoned: the former database is kept for good, and the workspace may have it again', async () => {
    const shop = await bench.changedShop();
    const { tenant, live } = shop;
    const { halted, goOn } = pauseAt('restore.swap.1');
    const id = await bench.begin(shop, { cutover: 'REPOINT' });
    await halted;
    expect(await abandon(id, tenant.name)).toMatchObject({ operation: { state: 'FAILED', undoableUntil: null } });
    goOn();
    expect(await bench.sql(`select purpose, expires_at = 'infinity' as "forGood" from database_claim where operation_id = $1`, [uuidOf(id)])).toEqual([{ purpose: 'KEPT', forGood: true }]);
    const other = await createTestTenant(bench.admin);
    const target = { uri: tenant.uri, database: tenant.database };
    expect(await change('tenantUpdate', { tenantId: other.id, target })).toMatchObject({ userErrors: [{ code: 'TARGET_IN_USE' }] });
    expect(await onceFree(() => change('tenantUpdate', { tenantId: tenant.id, target }))).toEqual({ userErrors: [] });
    expect(await change('maintenanceEnd', { tenantId: tenant.id })).toEqual({ userErrors: [] });
    expect(await bench.databaseOf(tenant)).toBe(tenant.database);
    expect(differences(live, await print(tenant))).toEqual([]);
    expect(await bench.sql('select purpose from database_claim where operation_id = $1', [uuidOf(id)])).toEqual([]);
  }, 120_000);
});

it('is the provider\'s alone, after the commit point alone, and asks for the exact name and a reason', async () => {
  const shop = await bench.changedShop();
  const { tenant, archived } = shop;
  const stranger = await createTestTenant(bench.admin);
  const [owner, foreigner]: GraphqlClient[] = [await createTestMember(bench.app, bench.admin, tenant.id, 'OWNER'), await createTestMember(bench.app, bench.admin, stranger.id, 'ADMIN')];
  const [planned, swapping] = [pauseAt('restore.planned'), pauseAt('restore.swap.1')];
  const id = await bench.begin(shop);
  await planned.halted;
  expect(await abandon(id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_ABANDONABLE', message: expect.stringMatching(/cancel it instead/), hint: expect.stringMatching(/operationCancel/) }] });
  planned.goOn();
  await swapping.halted;
  for (const client of [owner!, foreigner!]) expect(await client.codeOf(abandonText, { input: { operationId: id, confirmName: tenant.name, reason } })).toBe('FORBIDDEN');
  expect(await abandon(id, `${tenant.name} `)).toMatchObject({ operation: null, userErrors: [{ code: 'CONFIRM_NAME_MISMATCH', field: ['confirmName'] }] });
  for (const text of ['', 'x'.repeat(501)]) expect(await bench.admin.codeOf(abandonText, { input: { operationId: id, confirmName: tenant.name, reason: text } })).toBe('BAD_USER_INPUT');
  swapping.goOn();
  expect(await ended(bench.admin, id)).toMatchObject({ state: 'COMPLETED' });
  expect(differences(archived, await print(tenant))).toEqual([]);
}, 120_000);
