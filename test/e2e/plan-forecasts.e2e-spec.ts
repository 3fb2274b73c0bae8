import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Db } from 'mongodb';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { ended, idOf, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { type OwnMongod, startMongod } from '../support/servers.ts';
import { uploadFile } from '../support/upload-calls.ts';

const acknowledgementMs = 2_000;
const ttlEverySecond = ['--setParameter', 'ttlMonitorSleepSecs=1', '--setParameter', 'ttlMonitorEnabled=false'];

let app: TestApp;
let admin: GraphqlClient;
let mongod: OwnMongod;

beforeAll(async () => {
  [app, mongod] = await Promise.all([startTestApp({ env: { HOLDFAST_MAINTENANCE_WAIT_SECONDS: String(acknowledgementMs / 1000) } }), startMongod({ args: ttlEverySecond })]);
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
  await mongod?.stop();
});

interface Forecast {
  readonly id: string;
  readonly expiring: readonly { readonly name: string; readonly documents: string | null }[] | null;
  readonly estimate: { readonly durationMs: number; readonly downtimeMs: number; readonly acknowledgementMs: number };
}

async function forecast(input: Readonly<Record<string, unknown>>): Promise<Forecast> {
  const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: Forecast } }>(
    'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id expiring { name documents } estimate { durationMs downtimeMs acknowledgementMs } } } }', { input });
  return restorePlanCreate.plan;
}

async function seed(db: Db): Promise<void> {
  const [old, young] = [new Date(Date.now() - 24 * 3_600_000), new Date(Date.now() + 24 * 3_600_000)];
  await db.collection('sessions').insertMany([...Array.from({ length: 30 }, () => ({ at: old })), ...Array.from({ length: 5 }, () => ({ at: young })), { at: [young, old] }, { at: 'never' }, {}]);
  await db.collection('sessions').createIndex({ at: 1 }, { expireAfterSeconds: 3_600 });
  await db.collection('nested').insertMany([{ a: [{ at: old }, { at: young }] }, { a: { at: young } }]);
  await db.collection('nested').createIndex({ 'a.at': 1 }, { expireAfterSeconds: 0 });
  await db.createCollection('clustered', { clusteredIndex: { key: { _id: 1 }, unique: true }, expireAfterSeconds: 3_600 });
  await db.collection<{ _id: Date }>('clustered').insertMany([{ _id: old }, { _id: young }]);
  await db.collection('partial').insertOne({ at: old });
  await db.collection('partial').createIndex({ at: 1 }, { expireAfterSeconds: 3_600, partialFilterExpression: { a: { $exists: true } } });
  await db.createCollection('empty');
  await db.collection('empty').createIndex({ at: 1 }, { expireAfterSeconds: 3_600 });
  await db.collection('plain').insertOne({ at: old });
}

const counts = (db: Db): Promise<number[]> => Promise.all(['sessions', 'nested', 'clustered', 'partial'].map((name) => db.collection(name).countDocuments()));

describe('a plan', () => {
  it('tells what expires at once, as the server then does it', async () => {
    const tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'expiring' });
    await withDatabase(tenant, seed);
    const backup = await takeBackup(admin, tenant.id);
    const source = { tenantId: tenant.id, source: { backupId: backup.id } };
    expect((await forecast(source)).expiring).toEqual([
      { name: 'clustered', documents: null }, { name: 'empty', documents: '0' }, { name: 'nested', documents: null }, { name: 'partial', documents: null }, { name: 'sessions', documents: null },
    ]);
    const { id, expiring } = await forecast({ ...source, fullRead: true });
    expect(expiring).toEqual([
      { name: 'clustered', documents: '1' }, { name: 'empty', documents: '0' }, { name: 'nested', documents: '1' }, { name: 'partial', documents: null }, { name: 'sessions', documents: '31' },
    ]);
    expect((await forecast({ ...source, fullRead: true, collections: ['nested', 'plain'] })).expiring).toEqual([{ name: 'nested', documents: '1' }]);

    await ended(admin, idOf(await restoreStart(admin, id, tenant.name)));
    await withDatabase(tenant, async (db) => {
      expect(await counts(db)).toEqual([38, 2, 2, 1]);
      await withDatabase({ uri: mongod.uri, database: 'admin' }, (of) => of.command({ setParameter: 1, ttlMonitorEnabled: true }));
      const wanted = JSON.stringify([38 - 31, 2 - 1, 2 - 1, 1]);
      const until = Date.now() + 90_000;
      while (JSON.stringify(await counts(db)) !== wanted && Date.now() < until) await delay(200);
      expect(JSON.stringify(await counts(db))).toBe(wanted);
    });
  }, 150_000);

  it('counts in an archive of the public tools, which is read whole in any case', async () => {
    const tenant = await createTestTenant(admin);
    const { upload } = await uploadFile(admin, tenant.id, 'dump.archive.gz', binaryFixture('mongodump/every-shape.archive.gz'));
    const { expiring } = await forecast({ tenantId: tenant.id, source: { uploadId: upload!.id } });
    expect(expiring!.length).toBeGreaterThan(0);
    expect(expiring!.some(({ documents }) => documents !== null)).toBe(true);
  });

  it("holds the wait for the product's word in its estimate, where there is maintenance at all", async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, async (db) => void (await db.collection('a').insertOne({ a: 1 })));
    const backup = await takeBackup(admin, tenant.id);
    const source = { tenantId: tenant.id, source: { backupId: backup.id } };
    for (const { estimate } of [await forecast(source), await forecast({ ...source, cutover: 'REPOINT' })]) {
      expect(estimate.acknowledgementMs).toBe(acknowledgementMs);
      expect(estimate.downtimeMs).toBeGreaterThan(acknowledgementMs);
      expect(estimate.durationMs).toBeGreaterThan(estimate.downtimeMs);
    }
    const copy = await forecast({ ...source, target: { newDatabase: { name: `${tenant.database}_copy` } } });
    expect(copy.estimate).toMatchObject({ acknowledgementMs: 0, downtimeMs: 0 });
  });
});
