import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import { DataSource } from 'typeorm';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { ProofTicks } from '../../src/drills/proof-ticks.ts';
import { operationTiming } from '../../src/operations/operation-timing.ts';
import { OperationWorker } from '../../src/operations/operation-worker.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { StageLeftOvers } from '../../src/restore/stage-left-overs.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, type OperationAnswer, seedShop, type Started, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { startMongod } from '../support/servers.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
});

async function shop(client = admin): Promise<TestTenant> {
  const tenant = await createTestTenant(client);
  await withDatabase(tenant, async (db) => {
    await seedShop(db, 100);
    await db.collection('sessions').createIndex({ at: 1 }, { expireAfterSeconds: 1 });
    await db.collection('sessions').insertOne({ at: new Date(0) });
  });
  return tenant;
}

async function start(tenant: TestTenant, input: Readonly<Record<string, unknown>> = {}, client = admin): Promise<Started> {
  const { drillRun } = await client.run<{ drillRun: Started }>(
    'mutation ($input: DrillRunInput!) { drillRun(input: $input) { operation { id } userErrors { code message field hint } } }',
    { input: { tenantId: tenant.id, ...input } },
  );
  return drillRun;
}

const drill = async (tenant: TestTenant, client = admin): Promise<OperationAnswer> => ended(client, idOf(await start(tenant, {}, client)));

interface Proof {
  readonly lastProvenRestorableAt: string | null;
  readonly proofPlan: { readonly verifyEveryDays: number | null; readonly drillEveryDays: number | null; readonly nextVerifyAt: string | null; readonly nextDrillAt: string | null };
}

const proofOf = async (tenant: TestTenant): Promise<Proof> =>
  (await admin.run<{ tenant: Proof }>('query ($id: ID!) { tenant(id: $id) { lastProvenRestorableAt proofPlan { verifyEveryDays drillEveryDays nextVerifyAt nextDrillAt } } }', { id: tenant.id })).tenant;

/** Names of databases beside the tenant's own that begin as it does. */
async function scratchOf(uri: string, tenant: TestTenant): Promise<string[]> {
  const client = await MongoClient.connect(uri);
  try {
    const { databases } = await client.db().admin().listDatabases({ nameOnly: true });
    return databases.map(({ name }) => name).filter((name) => name.startsWith(tenant.database) && name !== tenant.database);
  } finally {
    await client.close();
  }
}

describe('a drill', () => {
  it('restores the last good backup, proves it, and leaves live data alone and nothing behind', async () => {
    const tenant = await shop();
    await takeBackup(admin, tenant.id);
    const before = await withDatabase(tenant, fingerprint);
    expect((await proofOf(tenant)).lastProvenRestorableAt).toBeNull();
    const operation = await drill(tenant);
    expect(operation).toMatchObject({ kind: 'DRILL', state: 'COMPLETED', steps: ['VERIFY', 'STAGE', 'CHECK', 'SWAP', 'COMPARE', 'CLEANUP'].map((phase) => ({ phase, state: 'COMPLETED' })) });
    expect((await proofOf(tenant)).lastProvenRestorableAt).not.toBeNull();
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
    expect(await scratchOf(tenant.uri, tenant)).toEqual([]);
    const { operation: shown } = await admin.run<{ operation: { result: unknown } }>('query ($id: ID!) { operation(id: $id) { result { ... on DrillResult { collections documents backup { label } } } } }', { id: operation.id });
    expect(shown.result).toEqual({ collections: expect.any(Number), documents: expect.stringMatching(/^\d{3}$/), backup: { label: 'manual' } });
  });

  it('of a damaged backup fails, tells people, and proves nothing', async () => {
    const tenant = await shop();
    const backup = await takeBackup(admin, tenant.id);
    const path = join(storeFolder(app), (await storedFiles(app)).find((file) => file.includes(backup.fileName ?? '')) ?? '');
    const bytes = await readFile(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(path, bytes);
    expect(await drill(tenant)).toMatchObject({ state: 'FAILED', failure: { code: expect.stringMatching(/^ARCHIVE_/) } });
    expect((await proofOf(tenant)).lastProvenRestorableAt).toBeNull();
    const { tenant: told } = await admin.run<{ tenant: { alerts: { edges: { node: { event: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { alerts { edges { node { event } } } } }', { id: tenant.id });
    expect(told.alerts.edges[0]?.node.event).toBe('DRILL_FAILED');
    expect(await scratchOf(tenant.uri, tenant)).toEqual([]);
  });

  it('that finds something else in the scratch database than in the archive fails', async () => {
    const tenant = await shop();
    await takeBackup(admin, tenant.id);
    const off = app.at('drill.swapped', async () => {
      const [scratch = ''] = await scratchOf(tenant.uri, tenant);
      await withDatabase({ ...tenant, database: scratch }, (db) => db.collection('customers').createIndex({ somebody: 1, else: 1 }));
    });
    expect(await drill(tenant)).toMatchObject({ state: 'FAILED', failure: { code: 'DRILL_MISMATCH', message: expect.stringContaining('customers') } });
    off();
    expect(await scratchOf(tenant.uri, tenant)).toEqual([]);
  });

  it.each(['drill.staged', 'drill.swapped'])('cancelled at %s leaves nothing', async (point) => {
    const tenant = await shop();
    await takeBackup(admin, tenant.id);
    const reached = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const off = app.at(point, () => (reached.resolve(), gate.promise));
    const id = idOf(await start(tenant));
    await reached.promise;
    expect(await start(tenant)).toMatchObject({ operation: null, userErrors: [{ code: 'OPERATION_ALREADY_RUNNING', field: [id] }] });
    await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: id } });
    off();
    gate.resolve();
    expect((await ended(admin, id)).state).toBe('CANCELED');
    expect(await scratchOf(tenant.uri, tenant)).toEqual([]);
  });

  it.each(['drill.staged', 'drill.swapped'])('whose server goes away at %s leaves its database to a sweep that drops it, and nobody else gets the name before', async (point) => {
    const server = await startMongod();
    try {
      const tenant = await createTestTenant(admin, { uri: server.uri });
      await withDatabase(tenant, (db) => seedShop(db, 100));
      await takeBackup(admin, tenant.id);
      const off = app.at(point, async () => (off(), server.kill('SIGKILL')));
      const operation = await drill(tenant);
      expect(operation).toMatchObject({ state: 'FAILED', failure: { code: expect.stringMatching(/^TARGET_/) } });
      const leftOvers = app.nest.get(StageLeftOvers, { strict: false });
      const rows = async (): Promise<unknown[]> => {
        const own = parseGlobalId(operation.id)?.uuid;
        return app.nest.get(DataSource).query('select l.operation_id, c.database from stage_left_over l left join database_claim c on c.operation_id = l.operation_id where l.operation_id = $1 union select operation_id, database from database_claim where operation_id = $1', [own]);
      };
      await leftOvers.tick();
      expect(await rows()).toHaveLength(1);
      await server.restart();
      const [scratch = ''] = await scratchOf(tenant.uri, tenant);
      expect(await rows()).toEqual([expect.objectContaining({ database: scratch })]);
      await leftOvers.tick();
      expect(await scratchOf(tenant.uri, tenant)).toEqual([]);
      expect(await rows()).toEqual([]);
      expect((await drill(tenant)).state).toBe('COMPLETED');
    } finally {
      await server.stop();
    }
  }, 120_000);

  it('leaves alone what another worker has restored since, when it fails without knowing that the operation is no longer its own', async () => {
    const own = await startTestApp({ env: { HOLDFAST_WORKER_CONCURRENCY: '1' } });
    try {
      const client = await own.loginAsAdmin();
      const [tenant, other] = [await shop(client), await shop(client)];
      await takeBackup(client, tenant.id);
      const [late, successor] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const [lateFails, successorGoesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      let count = 0;
      own.at('drill.swapped', async () => {
        const isLate = ++count === 1;
        (isLate ? late : successor).resolve();
        await (isLate ? lateFails : successorGoesOn).promise;
        if (isLate) throw new Error('Something else than the lease');
      });
      const id = idOf(await start(tenant, {}, client));
      await late.promise;
      // Its last progress is written by then: a later one would tell it that the operation is another's.
      await delay(4 * operationTiming.progressEveryMs);
      await own.nest.get(DataSource).query(`update operation set lease_until = clock_timestamp() - interval '1 second' where id = $1`, [parseGlobalId(id)!.uuid]);
      await own.nest.get(OperationWorker, { strict: false }).sweep();
      await successor.promise;
      lateFails.resolve();
      // The only worker's slot is the late one's until that has come to its end; what is recovered needs none.
      await takeBackup(client, other.id);
      const [scratch = ''] = await scratchOf(tenant.uri, tenant);
      expect(await withDatabase({ ...tenant, database: scratch }, (db) => db.collection('customers').estimatedDocumentCount())).toBeGreaterThan(0);
      successorGoesOn.resolve();
      expect(await ended(client, id)).toMatchObject({ state: 'COMPLETED', failure: null });
      expect(await scratchOf(tenant.uri, tenant)).toEqual([]);
    } finally {
      await own.stop();
    }
  }, 60_000);

  it('needs a backup of the whole database', async () => {
    const tenant = await shop();
    expect(await start(tenant)).toMatchObject({ operation: null, userErrors: [{ code: 'BACKUP_NOT_USABLE' }] });
    const partial = await takeBackup(admin, tenant.id, { scope: 'MASTER' });
    expect(await start(tenant, { backupId: partial.id })).toMatchObject({ operation: null, userErrors: [{ code: 'BACKUP_NOT_USABLE' }] });
  });

  it('runs on the server that is configured for drills', async () => {
    const server = await startMongod();
    const other = await startTestApp({ env: { HOLDFAST_DRILL_URI: server.uri } });
    const seen: string[] = [];
    try {
      const client = await other.loginAsAdmin();
      const tenant = await shop(client);
      await takeBackup(client, tenant.id);
      other.at('drill.swapped', async () => void seen.push(...(await scratchOf(server.uri, tenant)), ...(await scratchOf(tenant.uri, tenant))));
      expect((await drill(tenant, client)).state).toBe('COMPLETED');
      expect(seen).toHaveLength(1);
      expect(await scratchOf(server.uri, tenant)).toEqual([]);
    } finally {
      await other.stop();
      await server.stop();
    }
  });
});

describe('the proof plan', () => {
  it('verifies and restores the last good backup when it is due, once however many look, and not while suspended', async () => {
    const tenant = await shop();
    await takeBackup(admin, tenant.id);
    const { proofPlanUpdate } = await admin.run<{ proofPlanUpdate: { proofPlan: Proof['proofPlan'] } }>(
      'mutation ($input: ProofPlanUpdateInput!) { proofPlanUpdate(input: $input) { proofPlan { verifyEveryDays drillEveryDays nextVerifyAt nextDrillAt } } }',
      { input: { tenantId: tenant.id, verifyEveryDays: 1, drillEveryDays: 30 } },
    );
    expect(proofPlanUpdate.proofPlan).toMatchObject({ verifyEveryDays: 1, drillEveryDays: 30, nextVerifyAt: expect.any(String), nextDrillAt: expect.any(String) });
    const started = async (): Promise<string[]> =>
      (await admin.run<{ tenant: { operations: { edges: { node: { kind: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations { edges { node { kind } } } } }', { id: tenant.id })).tenant.operations.edges
        .map(({ node }) => node.kind)
        .filter((kind) => kind !== 'BACKUP');
    const ticks = app.nest.get(ProofTicks, { strict: false });
    await ticks.tick();
    expect(await started()).toEqual([]);

    const makeDue = (): Promise<unknown> => app.nest.get(DataSource).query(`update proof_plan set next_verify_at = now() - interval '40 days', next_drill_at = now() where tenant_id = (select id from tenant where slug = $1)`, [tenant.slug]);
    const suspend = (name: string): Promise<unknown> => admin.run(`mutation ($input: Tenant${name}Input!) { tenant${name}(input: $input) { userErrors { code } } }`, { input: { tenantId: tenant.id } });
    await makeDue();
    await suspend('Suspend');
    await ticks.tick();
    expect(await started()).toEqual([]);
    await suspend('Resume');
    await Promise.all([ticks.tick(), ticks.tick(), ticks.tick()]);
    expect((await started()).sort()).toEqual(['DRILL', 'VERIFY']);
    const { proofPlan } = await proofOf(tenant);
    expect(Date.parse(proofPlan.nextDrillAt ?? '') - Date.now()).toBeGreaterThan(29 * 86_400_000);

    // A clock was set far forward when the last ones were started, and is right again.
    await app.nest.get(DataSource).query(`update proof_plan set next_verify_at = now() + interval '3 years' where tenant_id = (select id from tenant where slug = $1)`, [tenant.slug]);
    await Promise.all([ticks.tick(), ticks.tick()]);
    expect((await started()).sort()).toEqual(['DRILL', 'VERIFY', 'VERIFY']);
    await ticks.tick();
    expect(await started()).toHaveLength(3);
  });
});
