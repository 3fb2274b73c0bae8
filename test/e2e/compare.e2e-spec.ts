import { randomBytes } from 'node:crypto';
import { readFile, writeFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ObjectId } from 'mongodb';
import { toGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, compare, compareResult, compareStart, ended, idOf, restore, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(() => app?.stop());

const ids = Array.from({ length: 40 }, () => new ObjectId());

/** A workspace and two backups of it, with changes of every kind between them. */
async function twoBackups(): Promise<{ readonly tenant: TestTenant; readonly older: BackupAnswer; readonly newer: BackupAnswer }> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, async (db) => {
    await seedShop(db, 50);
    await db.collection('gone').insertOne({ a: 1 });
    await db.collection('items').insertMany(ids.slice(0, 30).map((_id, n) => ({ _id, n })));
    // Random, so that it fills most of the file whatever the codec.
    await db.collection<{ _id: number }>('large').insertMany(Array.from({ length: 40 }, (_, n) => ({ _id: n, data: randomBytes(100_000) })));
  });
  const older = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => {
    await db.collection('gone').drop();
    await db.collection('new').insertOne({ a: 1 });
    const items = db.collection('items');
    await items.deleteMany({ _id: { $in: ids.slice(0, 3) } });
    // The same size and count as before: only the sum tells.
    await items.updateMany({ _id: { $in: ids.slice(3, 8) } }, { $inc: { n: 1000 } });
    await items.insertMany(ids.slice(30, 33).map((_id, n) => ({ _id, n })));
    await db.collection('orders').createIndex({ total: 1 });
    await db.command({ collMod: 'log', cappedSize: 1_048_576 });
  });
  return { tenant, older, newer: await takeBackup(admin, tenant.id) };
}

const texts = (some: readonly ObjectId[]): string[] => some.map((id) => `{"$oid":"${id.toHexString()}"}`).sort();

describe('backupCompare', () => {
  it('tells what was added, is missing, has changed and is the same, from the ends of the files alone', async () => {
    const { older, newer } = await twoBackups();
    const { collections, backup, otherBackup, bytesRead, documents, notCompared } = await compare(admin, older.id, newer.id);
    const row = (name: string) => collections.find((collection) => collection.name === name);
    expect([backup.id, otherBackup.id, documents, notCompared]).toEqual([older.id, newer.id, null, []]);
    expect(row('gone')).toMatchObject({ change: 'MISSING', other: null, first: { documents: '1' }, sumsEqual: null });
    expect(row('new')).toMatchObject({ change: 'ADDED', first: null, other: { documents: '1' } });
    expect(row('items')).toMatchObject({ change: 'CHANGED', sumsEqual: false, first: { documents: '30' }, other: { documents: '30' }, indexesChanged: [] });
    expect(row('orders')).toMatchObject({ change: 'CHANGED', sumsEqual: true, indexesChanged: ['total_1'], optionsChanged: [] });
    expect(row('log')).toMatchObject({ change: 'CHANGED', sumsEqual: true, optionsChanged: ['size'] });
    for (const name of ['customers', 'readings', 'big_orders', 'large']) expect(row(name)).toMatchObject({ name, change: 'SAME', sumsEqual: true });
    expect(Number(bytesRead)).toBeLessThan((Number(older.size) + Number(newer.size)) / 10);
  });

  it('finds the documents that are different by _id, reading the frames of their collection alone', async () => {
    const { older, newer } = await twoBackups();
    await damageMiddle(older);
    const { documents, bytesRead } = await compare(admin, older.id, newer.id, { collection: 'items' });
    expect(documents).toMatchObject({ collection: 'items', added: '3', removed: '3', changed: '5', same: '22' });
    expect([documents!.addedIds, documents!.removedIds, documents!.changedIds].map((some) => [...some!].sort())).toEqual([texts(ids.slice(30, 33)), texts(ids.slice(0, 3)), texts(ids.slice(3, 8))]);
    expect(Number(bytesRead)).toBeLessThan((Number(older.size) + Number(newer.size)) / 10);
    expect(await readdir(join(app.config.dataDir, 'compare'))).toEqual([]);

    const damaged = await ended(admin, idOf(await compareStart(admin, older.id, newer.id, { collection: 'large' })));
    expect(damaged).toMatchObject({ state: 'FAILED', failure: { code: 'ARCHIVE_CORRUPT' } });
  });

  it('compares a collection that only one of them holds, and a backup with itself', async () => {
    const { older, newer } = await twoBackups();
    expect((await compare(admin, older.id, newer.id, { collection: 'new' })).documents).toMatchObject({ added: '1', removed: '0', changed: '0', same: '0' });
    expect((await compare(admin, newer.id, older.id, { collection: 'new' })).documents).toMatchObject({ added: '0', removed: '1' });
    const same = await compare(admin, newer.id, newer.id, { collection: 'readings' });
    expect(same.documents).toMatchObject({ added: '0', removed: '0', changed: '0', same: '3' });
    expect(new Set(same.collections.map(({ change }) => change))).toEqual(new Set(['SAME']));
  });

  it('refuses collections that are none, and backups that cannot be used', async () => {
    const { older, newer, tenant } = await twoBackups();
    const mutation = 'mutation ($input: BackupCompareInput!) { backupCompare(input: $input) { operation { id } userErrors { code } } }';
    for (const collection of ['no such', 'big_orders', '']) expect(await admin.codeOf(mutation, { input: { backupId: older.id, otherBackupId: newer.id, collection } })).toBe('BAD_USER_INPUT');
    await takeBackup(admin, tenant.id);
    await admin.run('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId: newer.id } });
    expect(await compareStart(admin, older.id, newer.id)).toMatchObject({ operation: null, userErrors: [{ code: 'BACKUP_NOT_USABLE' }] });
  });

  it('keeps both backups from being deleted while it runs, and stops within seconds when it is canceled', async () => {
    const { older, newer, tenant } = await twoBackups();
    await takeBackup(admin, tenant.id);
    const reached = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const off = app.at('compare.documents', () => {
      reached.resolve();
      return go.promise;
    });
    const id = idOf(await compareStart(admin, older.id, newer.id, { collection: 'large' }));
    await reached.promise;
    for (const { id: backupId } of [older, newer]) {
      const { backupDelete } = await admin.run<{ backupDelete: unknown }>('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId } });
      expect(backupDelete).toEqual({ userErrors: [{ code: 'BACKUP_IN_USE' }] });
    }
    await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: id } });
    go.resolve();
    expect(await ended(admin, id)).toMatchObject({ kind: 'COMPARE', state: 'CANCELED' });
    off();
  });

  it('does not stand in the way of a restore, and is repeated by no double click', async () => {
    const { older, newer, tenant } = await twoBackups();
    const answers = await Promise.all([1, 2].map(() => compareStart(admin, older.id, newer.id, { idempotencyKey: tenant.slug })));
    expect(idOf(answers[0]!)).toBe(idOf(answers[1]!));
    expect(await restore(admin, tenant.id, older.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await ended(admin, idOf(answers[0]!))).toMatchObject({ state: 'COMPLETED' });
  });

  it('shows ids of documents to those who may download, and nothing to other workspaces', async () => {
    const { older, newer, tenant } = await twoBackups();
    const operator = await createTestMember(app, admin, tenant.id, 'OPERATOR');
    const mutation = 'mutation ($input: BackupCompareInput!) { backupCompare(input: $input) { operation { id } userErrors { code } } }';
    expect(await operator.codeOf(mutation, { input: { backupId: older.id, otherBackupId: newer.id, collection: 'items' } })).toBe('FORBIDDEN');
    expect((await compare(operator, older.id, newer.id)).collections.length).toBeGreaterThan(5);
    const id = idOf(await compareStart(admin, older.id, newer.id, { collection: 'items' }));
    await ended(admin, id);
    expect((await compareResult(operator, id)).documents).toMatchObject({ added: '3', addedIds: null, removedIds: null, changedIds: null });

    const strangersTenant = await createTestTenant(admin);
    const strangers = await takeBackup(admin, strangersTenant.id);
    const stranger = await createTestMember(app, admin, strangersTenant.id, 'OWNER');
    for (const foreign of [newer.id, toGlobalId('Backup', '00000000-0000-4000-8000-000000000000')]) {
      expect(await stranger.codeOf(mutation, { input: { backupId: strangers.id, otherBackupId: foreign } })).toBe('NOT_FOUND');
      expect(await stranger.codeOf(mutation, { input: { backupId: foreign, otherBackupId: strangers.id } })).toBe('NOT_FOUND');
    }
    expect(await admin.codeOf(mutation, { input: { backupId: strangers.id, otherBackupId: newer.id } })).toBe('NOT_FOUND');
  });
});

/** Where the random data of the large collection lie. */
async function damageMiddle({ fileName }: BackupAnswer): Promise<void> {
  const file = (await storedFiles(app)).find((path) => path.endsWith(fileName!));
  const path = join(storeFolder(app), file!);
  const bytes = await readFile(path);
  bytes[Math.floor(bytes.length / 2)]! ^= 1;
  await writeFile(path, bytes);
}
