import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { differences, type Fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, makePlan, type OperationAnswer, planCreate, restoreStart, seedShop, type Started, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { print } from '../support/restore-bench.ts';
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

async function restoreOf(tenant: TestTenant, backupId: string, collections: readonly string[] | null): Promise<OperationAnswer> {
  const plan = await makePlan(admin, tenant.id, backupId, collections === null ? {} : { collections });
  return ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)));
}

async function undo(tenant: TestTenant, operationId: string): Promise<OperationAnswer> {
  const { restoreUndo } = await admin.run<{ restoreUndo: Started }>(
    'mutation ($input: RestoreUndoInput!) { restoreUndo(input: $input) { operation { id } userErrors { code message field hint } } }',
    { input: { operationId, confirmName: tenant.name } },
  );
  return ended(admin, idOf(restoreUndo));
}

async function shop(): Promise<{ readonly tenant: TestTenant; readonly before: Fingerprint; readonly backupId: string; readonly size: number; readonly fileName: string }> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, async (db) => {
    await seedShop(db, 400);
    // Many segments of nothing that can be compressed.
    await db.collection('photos').insertMany(Array.from({ length: 40 }, () => ({ bytes: randomBytes(40_000) })));
  });
  const before = await print(tenant);
  const { id, size, fileName } = await takeBackup(admin, tenant.id);
  return { tenant, before, backupId: id, size: Number(size), fileName: fileName! };
}

describe('a restore of chosen collections', () => {
  it('brings them back, reads no more of the archive than it needs, and leaves all others alone', async () => {
    const { tenant, before, backupId, size } = await shop();
    await withDatabase(tenant, async (db) => {
      await db.collection('customers').deleteMany({});
      await db.collection('orders').deleteMany({ number: { $lt: 100 } });
      await db.collection('log').drop();
      await db.collection('later').insertOne({ a: 1 });
    });
    const live = await print(tenant);
    const plan = await makePlan(admin, tenant.id, backupId, { collections: ['log', 'customers', 'customers'] });
    expect(plan.changes.map(({ name, change }) => [name, change])).toEqual([['customers', 'CHANGED'], ['log', 'ADDED']]);
    // What is not chosen may come, go and change.
    await withDatabase(tenant, async (db) => void (await db.collection('later').rename('renamed')));
    const done = await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)));
    expect(done).toMatchObject({ state: 'COMPLETED', failure: null });
    const after = await print(tenant);
    const changed = differences(before, after).join('\n');
    expect(changed).not.toMatch(/customers|\blog\b|readings/);
    expect(changed).toMatch(/orders/);
    expect(differences(live, after).join('\n')).not.toMatch(/orders|readings/);
    expect(Number(done.result!.bytesRead)).toBeLessThan(size / 4);
    expect(Number(done.result!.bytesRead)).toBeGreaterThan(0);
    expect(done.result!.collections!.map(({ name, inserted, dropped }) => [name, inserted, dropped])).toEqual([['customers', '40', '0'], ['log', '20', '0']]);
    expect(done.safetyBackup!.contents.map(({ name }) => name)).toEqual(['customers']);
  });

  it('is undone alone, with every acknowledged write to the chosen collections', async () => {
    const { tenant, backupId } = await shop();
    await withDatabase(tenant, async (db) => {
      await db.collection('orders').deleteMany({ number: { $lt: 100 } });
      await db.collection('log').drop();
      await db.collection('readings').drop();
    });
    const off = app.at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.collection('orders').insertOne({ acknowledged: 'in the last moment' }))));
    const done = await restoreOf(tenant, backupId, ['orders', 'log', 'readings', 'big_orders']);
    off();
    expect(done).toMatchObject({ state: 'COMPLETED' });
    await withDatabase(tenant, async (db) => {
      expect(await db.collection('orders').countDocuments()).toBe(400);
      expect(await db.collection('readings').countDocuments()).toBe(50);
      await db.collection('customers').deleteMany({ balance: { $gt: 10 } });
    });
    const customers = await withDatabase(tenant, (db) => db.collection('customers').countDocuments());
    expect(await undo(tenant, done.id)).toMatchObject({ state: 'COMPLETED', failure: null });
    await withDatabase(tenant, async (db) => {
      expect(await db.collection('orders').countDocuments()).toBe(301);
      expect(await db.collection('orders').countDocuments({ acknowledged: 'in the last moment' })).toBe(1);
      expect(await db.collection('customers').countDocuments()).toBe(customers);
      const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name);
      expect(names.filter((name) => name === 'log' || name === 'readings' || name.startsWith('hf_'))).toEqual([]);
    });
    // The safety backup of a part is never put in the place of the whole.
    const partial = await makePlan(admin, tenant.id, done.safetyBackup!.id);
    expect(partial.changes.map(({ name, change }) => [name, change])).toEqual([['big_orders', 'SAME'], ['orders', 'SAME']]);
  });

  it('takes a view alone, and says what it reads', async () => {
    const { tenant, backupId } = await shop();
    await withDatabase(tenant, (db) => db.command({ collMod: 'big_orders', viewOn: 'orders', pipeline: [] }));
    const plan = await makePlan(admin, tenant.id, backupId, { collections: ['big_orders'] });
    expect(plan.checks.find(({ key }) => key === 'dependencies')).toMatchObject({ ok: false, blocking: false, message: expect.stringMatching(/"big_orders" reads "orders", which is not chosen/) });
    const orders = await withDatabase(tenant, (db) => db.collection('orders').countDocuments());
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
    await withDatabase(tenant, async (db) => {
      expect(await db.collection('orders').countDocuments()).toBe(orders);
      expect(await db.listCollections({ name: 'big_orders' }).toArray()).toMatchObject([{ options: { viewOn: 'orders', pipeline: [{ $match: { total: { $gt: 1000 } } }] } }]);
    });
  });

  it('is refused where a chosen view and a live one would read each other in a circle', async () => {
    const { tenant, backupId } = await shop();
    await withDatabase(tenant, async (db) => {
      await db.command({ collMod: 'big_orders', viewOn: 'customers', pipeline: [] });
      await db.collection('orders').drop();
      await db.createCollection('orders', { viewOn: 'big_orders', pipeline: [] });
    });
    const plan = await makePlan(admin, tenant.id, backupId, { collections: ['big_orders'] });
    expect(plan.checks.find(({ key }) => key === 'dependencies')).toMatchObject({ ok: false, blocking: true, message: expect.stringMatching(/read each other in a circle.*: "big_orders", "orders"$/) });
    expect((await restoreStart(admin, plan.id, tenant.name)).userErrors).toMatchObject([{ code: 'PLAN_BLOCKED' }]);
    const both = await makePlan(admin, tenant.id, backupId, { collections: ['big_orders', 'orders'] });
    expect(await ended(admin, idOf(await restoreStart(admin, both.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
  });

  it('names the collections that the archive does not hold', async () => {
    const { tenant, backupId } = await shop();
    await withDatabase(tenant, async (db) => void (await db.collection('later').insertOne({ a: 1 })));
    await expect(planCreate(admin, tenant.id, backupId, { collections: ['orders', 'later', 'nowhere'] })).rejects.toThrow(/the archive does not hold "later", "nowhere"/);
    await expect(planCreate(admin, tenant.id, backupId, { collections: [] })).rejects.toThrow(/collections/);
  });

  it('is harmed by damage to what it reads, and by no other', async () => {
    const { tenant, backupId, fileName } = await shop();
    const path = join(storeFolder(app), (await storedFiles(app)).find((file) => file.endsWith(fileName))!);
    const bytes = await readFile(path);
    // In the middle lie the photos, by far the most of it.
    bytes[Math.floor(bytes.length / 2)]! ^= 4;
    await writeFile(path, bytes);
    expect(await restoreOf(tenant, backupId, ['photos'])).toMatchObject({ state: 'FAILED', failure: { code: 'ARCHIVE_CORRUPT' }, safetyBackup: null });
    expect(await restoreOf(tenant, backupId, ['customers'])).toMatchObject({ state: 'COMPLETED' });
  });
});
