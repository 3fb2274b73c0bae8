import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { differences, type Fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, makePlan, planCreate, restoreStart, type Started, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { print } from '../support/restore-bench.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
});

interface Row {
  readonly name: string;
  readonly inserted: string;
  readonly replaced: string;
  readonly kept: string;
  readonly equal: string;
  readonly clashes: string;
}

interface Ended {
  readonly id: string;
  readonly state: string;
  readonly steps: readonly { readonly phase: string }[];
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly safetyBackup: { readonly id: string; readonly collections: readonly string[] | null; readonly contents: readonly { readonly name: string; readonly documents: string }[] } | null;
  readonly result: { readonly dryRun: boolean; readonly collections: readonly Row[]; readonly warnings: readonly string[] } | null;
}

async function finished(id: string): Promise<Ended> {
  await ended(admin, id);
  const { operation } = await admin.run<{ operation: Ended }>(
    `query ($id: ID!) { operation(id: $id) { id state steps { phase } failure { code message } safetyBackup { id collections contents { name documents } }
      result { ... on RestoreResult { dryRun collections { name inserted replaced kept equal clashes } warnings } } } }`,
    { id },
  );
  return operation;
}

async function merge(tenant: TestTenant, backupId: string, input: Readonly<Record<string, unknown>> = {}, start: Readonly<Record<string, unknown>> = {}): Promise<Ended> {
  const plan = await makePlan(admin, tenant.id, backupId, { mode: 'MERGE', ...input });
  return finished(idOf(await restoreStart(admin, plan.id, tenant.name, start)));
}

async function undo(tenant: TestTenant, operationId: string): Promise<Ended> {
  const { restoreUndo } = await admin.run<{ restoreUndo: Started }>(
    'mutation ($input: RestoreUndoInput!) { restoreUndo(input: $input) { operation { id } userErrors { code message field hint } } }',
    { input: { operationId, confirmName: tenant.name } },
  );
  return finished(idOf(restoreUndo));
}

interface Thing {
  readonly _id: number;
  readonly a: string;
}

/** 3,000 things in the backup; since then 1,000 are gone, 500 changed, 10 are new, and a whole collection is missing. */
async function changed(): Promise<{ readonly tenant: TestTenant; readonly backupId: string; readonly live: Fingerprint }> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, async (db) => {
    await db.collection<Thing>('things').insertMany(Array.from({ length: 3_000 }, (_, n) => ({ _id: n, a: 'archive' })));
    await db.collection('gone').insertOne({ a: 1 });
    await db.collection('gone').createIndex({ a: 1 }, { unique: true });
  });
  const backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => {
    await db.collection<Thing>('things').deleteMany({ _id: { $gte: 2_000 } });
    await db.collection<Thing>('things').updateMany({ _id: { $lt: 500 } }, { $set: { a: 'live' } });
    await db.collection<Thing>('things').insertMany(Array.from({ length: 10 }, (_, n) => ({ _id: 9_000 + n, a: 'new' })));
    await db.collection('gone').drop();
    await db.collection('others').insertOne({ a: 1 });
  });
  return { tenant, backupId: backup.id, live: await print(tenant) };
}

const row = (name: string, counts: Partial<Record<keyof Row, string>>): Row => ({ name, inserted: '0', replaced: '0', kept: '0', equal: '0', clashes: '0', ...counts });
const kept = [row('gone', { inserted: '1' }), row('things', { inserted: '1000', kept: '500', equal: '1500' })];
const taken = [row('gone', { inserted: '1' }), row('things', { inserted: '1000', replaced: '500', equal: '1500' })];

async function count(tenant: TestTenant, filter: object): Promise<number> {
  return withDatabase(tenant, (db) => db.collection('things').countDocuments(filter));
}

describe('a MERGE', () => {
  it('tells as a dry run what it would do, does just that, and is undone', async () => {
    const { tenant, backupId, live } = await changed();
    const dry = await merge(tenant, backupId, {}, { dryRun: true });
    expect(dry).toMatchObject({ state: 'COMPLETED', failure: null, safetyBackup: null, result: { dryRun: true, collections: kept } });
    expect(differences(live, await print(tenant))).toEqual([]);

    const done = await merge(tenant, backupId);
    expect(done).toMatchObject({ state: 'COMPLETED', failure: null, result: { dryRun: false, collections: kept, warnings: [] }, safetyBackup: { collections: ['gone', 'things'] } });
    expect(done.steps.map(({ phase }) => phase)).toEqual(['VERIFY', 'SAFETY_BACKUP', 'STAGE', 'CHECK', 'MAINTENANCE_ON', 'SWAP', 'MAINTENANCE_OFF', 'CLEANUP']);
    expect(await count(tenant, {})).toBe(3_010);
    expect(await count(tenant, { a: 'live' })).toBe(500);
    await withDatabase(tenant, async (db) => {
      expect(await db.collection('gone').indexes()).toHaveLength(2);
      expect((await db.listCollections({}, { nameOnly: true }).toArray()).filter(({ name }) => name.startsWith('hf_'))).toEqual([]);
    });

    expect(await undo(tenant, done.id)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(live, await print(tenant))).toEqual([]);
  });

  it('takes the archive, and its undo brings back what was written up to the last moment', async () => {
    const { tenant, backupId } = await changed();
    const off = app.at('restore.maintenance', () => withDatabase(tenant, async (db) => void (await db.collection<Thing>('things').insertOne({ _id: 7_777, a: 'in the last moment' }))));
    const done = await merge(tenant, backupId, { conflict: 'TAKE_ARCHIVE' });
    off();
    expect(done).toMatchObject({ state: 'COMPLETED', result: { collections: taken } });
    expect(await count(tenant, { a: 'live' })).toBe(0);
    await withDatabase(tenant, async (db) => void (await db.collection('others').insertOne({ after: 'the merge' })));
    expect(await undo(tenant, done.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await count(tenant, { a: 'live' })).toBe(500);
    expect(await count(tenant, { a: 'in the last moment' })).toBe(1);
    expect(await count(tenant, {})).toBe(2_011);
    expect(await withDatabase(tenant, (db) => db.collection('others').countDocuments({ after: 'the merge' }))).toBe(1);
  });

  it('is finished by another worker when one fails between two batches, and noted once', async () => {
    const { tenant, backupId } = await changed();
    let failures = 0;
    const offs = ['restore.merge.2', 'restore.merged'].map((point) => {
      let isFirst = true;
      return app.at(point, () => {
        if (!isFirst) return Promise.resolve();
        isFirst = false;
        failures += 1;
        return Promise.reject(new Error('stopped'));
      });
    });
    const done = await merge(tenant, backupId, { conflict: 'TAKE_ARCHIVE' });
    for (const off of offs) off();
    expect(failures).toBe(2);
    expect(done).toMatchObject({ state: 'COMPLETED', failure: null, result: { collections: taken } });
    expect(await count(tenant, {})).toBe(3_010);
  });

  it('changes nothing while unique keys clash, unless it may leave them out', async () => {
    const { tenant, backupId } = await changed();
    await withDatabase(tenant, async (db) => {
      await db.collection('things').updateMany({}, [{ $set: { key: { $concat: ['live ', { $toString: '$_id' }] } } }]);
      await db.collection('things').createIndex({ key: 1 }, { unique: true });
    });
    const live = await print(tenant);
    const refused = await merge(tenant, backupId);
    // All archived things lack the key, and only one of them may.
    expect(refused).toMatchObject({ state: 'FAILED', failure: { code: 'MERGE_CLASH', message: expect.stringMatching(/"things", index "key_1", 999 documents/) } });
    expect(differences(live, await print(tenant))).toEqual([]);
    const done = await merge(tenant, backupId, { skipClashes: true });
    expect(done).toMatchObject({ state: 'COMPLETED', result: { warnings: [expect.stringMatching(/999 documents of "things" were left out/)] } });
    expect(done.result!.collections.find(({ name }) => name === 'things')).toEqual(row('things', { inserted: '1', kept: '2000', clashes: '999' }));
  });

  it('refuses by name what cannot be merged, and merges the rest when it is chosen', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, async (db) => {
      await db.collection<Thing>('things').insertOne({ _id: 1, a: 'archive' });
      await db.createCollection('log', { capped: true, size: 4096 });
      await db.createCollection('shown', { viewOn: 'things', pipeline: [] });
      await db.createCollection('readings', { timeseries: { timeField: 'at' } });
    });
    const { id } = await takeBackup(admin, tenant.id);
    const plan = await makePlan(admin, tenant.id, id, { mode: 'MERGE' });
    expect(plan.checks.find(({ key }) => key === 'merge')).toMatchObject({ ok: false, blocking: true, message: expect.stringMatching(/"log", "readings", "shown"$/) });
    expect(await restoreStart(admin, plan.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });
    await withDatabase(tenant, (db) => db.collection('things').deleteMany({}));
    expect(await merge(tenant, id, { collections: ['things'] })).toMatchObject({ state: 'COMPLETED', result: { collections: [row('things', { inserted: '1' })] } });
    await expect(planCreate(admin, tenant.id, id, { conflict: 'KEEP_LIVE' })).rejects.toThrow(/only a MERGE has conflicts/);
  });

  it('is CANCELED before its commit point without a trace', async () => {
    const { tenant, backupId, live } = await changed();
    const plan = await makePlan(admin, tenant.id, backupId, { mode: 'MERGE' });
    const started = Promise.withResolvers<string>();
    const off = app.at('restore.planned', async () => {
      await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: await started.promise } });
    });
    started.resolve(idOf(await restoreStart(admin, plan.id, tenant.name)));
    expect(await finished(await started.promise)).toMatchObject({ state: 'CANCELED' });
    off();
    expect(differences(live, await print(tenant))).toEqual([]);
    expect(await withDatabase(tenant, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).filter(({ name }) => name.startsWith('hf_')))).toEqual([]);
  });
});
