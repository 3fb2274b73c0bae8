import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Db, MongoClient } from 'mongodb';
import { DataSource } from 'typeorm';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { parseGlobalId, toGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, restore, restoreStart, restoreUndo, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(() => app?.stop());

const sql = (text: string, values: unknown[] = []): Promise<unknown> => app.nest.get(DataSource).query(text, values);

async function shop(): Promise<{ readonly tenant: TestTenant; readonly backup: BackupAnswer }> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 100));
  const backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => {
    await db.collection('orders').deleteMany({ number: { $lt: 50 } });
    await db.collection('later').insertOne({ a: 1 });
  });
  return { tenant, backup };
}

async function undo(tenant: TestTenant, operation: { readonly id: string }): Promise<OperationAnswer> {
  return ended(admin, idOf(await restoreUndo(admin, operation.id, tenant.name)));
}

async function remove(backupId: string, input: Readonly<Record<string, unknown>> = {}): Promise<{ readonly backup: { readonly state: string } | null; readonly userErrors: readonly { readonly code: string }[] }> {
  const answer = await admin.run<{ backupDelete: { backup: { state: string } | null; userErrors: { code: string }[] } }>(
    'mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { backup { state } userErrors { code field message } } }',
    { input: { backupId, ...input } },
  );
  return answer.backupDelete;
}

/** A product at work: several writers, each of which notes a write only once the server has acknowledged it. */
class Product {
  readonly acknowledged = new Map<string, number>();
  private readonly writers: Promise<void>[];
  private readonly client: MongoClient;
  private stopped = false;

  constructor(tenant: TestTenant) {
    this.client = new MongoClient(tenant.uri, { w: 'majority' });
    const db = this.client.db(tenant.database);
    this.writers = ['orders', 'later', 'fresh'].map((name, index) => this.write(db, name, index));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.writers);
    await this.client.close();
  }

  private async write(db: Db, name: string, writer: number): Promise<void> {
    for (let round = 0; !this.stopped; round += 1) {
      const key = `${writer}-${round % 400}`;
      await db.collection<{ _id: string; round: number }>(name).updateOne({ _id: key }, { $set: { round } }, { upsert: true });
      this.acknowledged.set(`${name}/${key}`, round);
    }
  }
}

async function lost(tenant: TestTenant, acknowledged: ReadonlyMap<string, number>): Promise<string[]> {
  return withDatabase(tenant, async (db) => {
    const found = new Map<string, number>();
    for (const name of ['orders', 'later', 'fresh']) {
      for await (const { _id, round } of db.collection<{ _id: string; round?: number }>(name).find({ round: { $exists: true } })) found.set(`${name}/${_id}`, round ?? -1);
    }
    return [...acknowledged].filter(([key, round]) => found.get(key) !== round).map(([key, round]) => `${key}: ${found.get(key)} instead of ${round}`);
  });
}

describe('undo', () => {
  it.each(['restore.maintenance', 'restore.swap.0'])('brings back every write that was acknowledged before the product stopped at %s', async (point) => {
    const { tenant, backup } = await shop();
    // The product knows all its collections when the plan is made: one that comes later makes the plan stale.
    await withDatabase(tenant, async (db) => void (await db.createCollection('fresh')));
    const product = new Product(tenant);
    let atSafetyBackup = 0;
    const offs = [
      app.at('restore.staged', () => Promise.resolve(void (atSafetyBackup = product.acknowledged.size))),
      app.at(point, () => product.stop()),
    ];
    const restored = await restore(admin, tenant.id, backup.id);
    for (const off of offs) off();
    expect(restored).toMatchObject({ state: 'COMPLETED' });
    expect(atSafetyBackup).toBeGreaterThan(0);
    expect((await lost(tenant, product.acknowledged)).length).toBeGreaterThan(0);
    expect(await undo(tenant, restored)).toMatchObject({ kind: 'UNDO', state: 'COMPLETED', backup: { id: restored.safetyBackup!.id } });
    expect(await lost(tenant, product.acknowledged)).toEqual([]);
  });

  it('brings the whole database back byte for byte, and can be undone in its turn', async () => {
    const { tenant, backup } = await shop();
    const before = await withDatabase(tenant, fingerprint);
    const restored = await restore(admin, tenant.id, backup.id);
    const archived = await withDatabase(tenant, fingerprint);
    expect(differences(before, archived)).not.toEqual([]);
    expect(restored.safetyBackup!.keptBecause.join()).toMatch(/undone/);
    expect(restored.undoableUntil).toBe(restored.safetyBackup!.expiresAt);

    const undone = await undo(tenant, restored);
    expect(undone.steps.map(({ phase }) => phase)).toEqual(restored.steps.map(({ phase }) => phase));
    expect(undone).toMatchObject({ state: 'COMPLETED', result: { __typename: 'RestoreResult', warnings: [] }, safetyBackup: { name: 'Before the undo' } });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);

    expect(await undo(tenant, undone)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(archived, await withDatabase(tenant, fingerprint))).toEqual([]);
  });

  it('is possible for 7 days from the end of the restore, and refused after them', async () => {
    const { tenant, backup } = await shop();
    const restored = await restore(admin, tenant.id, backup.id);
    const [row] = (await sql('select finished_at from operation where id = $1', [parseGlobalId(restored.id)!.uuid])) as { finished_at: Date }[];
    expect(new Date(restored.undoableUntil!).getTime()).toBe(row!.finished_at.getTime() + 7 * 24 * 60 * 60 * 1000);
    await sql(`update backup set expires_at = now() - interval '1 second' where id = $1`, [parseGlobalId(restored.safetyBackup!.id)!.uuid]);
    expect(await restoreUndo(admin, restored.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'UNDO_EXPIRED', hint: expect.stringMatching(/history/) }] });
    expect(await readUndo(restored.id)).toEqual({ undoableUntil: null, undoWarning: null });
    const events = await admin.run<{ tenant: { auditEvents: { edges: unknown[] } } }>('query ($id: ID!) { tenant(id: $id) { auditEvents(filter: {action: "restore.undo-refused", outcome: REFUSED}) { edges { node { action } } } } }', { id: tenant.id });
    expect(events.tenant.auditEvents.edges).toHaveLength(1);
  });

  it('is refused for what has changed nothing', async () => {
    const { tenant, backup } = await shop();
    const plan = await makePlan(admin, tenant.id, backup.id);
    const dry = await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name, { dryRun: true })));
    const off = app.at('restore.staged', () => Promise.reject(new Error('stopped by the test')));
    const failed = await restore(admin, tenant.id, backup.id);
    off();
    expect([dry.state, failed.state]).toEqual(['COMPLETED', 'FAILED']);
    const { tenant: { operations } } = await admin.run<{ tenant: { operations: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(filter: {kinds: [BACKUP]}) { edges { node { id } } } } }', { id: tenant.id });
    for (const id of [dry.id, failed.id, operations.edges[0]!.node.id]) {
      expect(await restoreUndo(admin, id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_UNDOABLE' }] });
      expect(await readUndo(id)).toEqual({ undoableUntil: null, undoWarning: null });
    }
    // Its safety backup keeps nothing that is not live.
    expect(await remove(failed.safetyBackup!.id)).toMatchObject({ backup: { state: 'DELETED' } });
  });

  it('wants the name typed exactly, and answers a double click with one undo', async () => {
    const { tenant, backup } = await shop();
    const restored = await restore(admin, tenant.id, backup.id);
    for (const name of ['', `${tenant.name} `, tenant.name.toUpperCase()]) {
      expect(await restoreUndo(admin, restored.id, name)).toMatchObject({ operation: null, userErrors: [{ code: 'CONFIRM_NAME_MISMATCH', field: ['confirmName'] }] });
    }
    const answers = await Promise.all([1, 2].map(() => restoreUndo(admin, restored.id, tenant.name, { idempotencyKey: `undo ${tenant.slug}` })));
    expect(idOf(answers[0]!)).toBe(idOf(answers[1]!));
    expect(await ended(admin, idOf(answers[0]!))).toMatchObject({ state: 'COMPLETED' });
    expect(await restoreUndo(admin, restored.id, tenant.name, { idempotencyKey: `undo ${tenant.slug}` })).toEqual(answers[0]);
  });

  it('of an older restore is possible, with a warning beforehand and in the result', async () => {
    const { tenant, backup } = await shop();
    const before = await withDatabase(tenant, fingerprint);
    const older = await restore(admin, tenant.id, backup.id);
    expect(older.undoWarning).toBeNull();
    await withDatabase(tenant, (db) => db.collection('between').insertOne({ b: 1 }));
    const newer = await restore(admin, tenant.id, backup.id);
    expect(newer.undoWarning).toBeNull();
    expect((await readUndo(older.id)).undoWarning).toMatch(/newer restore/);
    const undone = await undo(tenant, older);
    expect(undone).toMatchObject({ state: 'COMPLETED', result: { warnings: [expect.stringMatching(/newer restore/)] } });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  });

  it('cannot lose its safety backup by accident', async () => {
    const { tenant, backup } = await shop();
    const removals: unknown[] = [];
    let safetyId = '';
    const offs = [
      app.at('restore.staged', async () => {
        const [row] = (await sql(`select id from backup where trigger = 'SAFETY' and state = 'COMPLETED' and tenant_id = $1`, [parseGlobalId(tenant.id)!.uuid])) as { id: string }[];
        safetyId = toGlobalId('Backup', row!.id);
        removals.push(await remove(safetyId, { giveUpUndo: true }));
      }),
    ];
    const restored = await restore(admin, tenant.id, backup.id);
    for (const off of offs) off();
    expect(removals).toMatchObject([{ backup: null, userErrors: [{ code: 'BACKUP_IN_USE' }] }]);
    expect(await remove(restored.safetyBackup!.id)).toMatchObject({ backup: null, userErrors: [{ code: 'UNDO_WOULD_BE_LOST', field: ['giveUpUndo'] }] });
    expect(await readUndo(restored.id)).toMatchObject({ undoableUntil: restored.undoableUntil });
    expect(await remove(restored.safetyBackup!.id, { giveUpUndo: true })).toMatchObject({ backup: { state: 'DELETED' } });
    expect(await restoreUndo(admin, restored.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'NOT_UNDOABLE', message: expect.stringMatching(/deleted/) }] });
  });

  it('is not there for another workspace, nor for who may only look', async () => {
    const { tenant, backup } = await shop();
    const restored = await restore(admin, tenant.id, backup.id);
    const stranger = await createTestMember(app, admin, (await createTestTenant(admin)).id, 'OWNER');
    const mutation = 'mutation ($input: RestoreUndoInput!) { restoreUndo(input: $input) { operation { id } } }';
    for (const operationId of [restored.id, toGlobalId('Operation', '00000000-0000-4000-8000-000000000000')]) {
      expect(await stranger.codeOf(mutation, { input: { operationId, confirmName: tenant.name } })).toBe('NOT_FOUND');
    }
    const viewer = await createTestMember(app, admin, tenant.id, 'VIEWER');
    expect(await viewer.codeOf(mutation, { input: { operationId: restored.id, confirmName: tenant.name } })).toBe('FORBIDDEN');
  });
});

async function readUndo(id: string): Promise<{ readonly undoableUntil: string | null; readonly undoWarning: string | null }> {
  const { operation } = await admin.run<{ operation: { undoableUntil: string | null; undoWarning: string | null } }>('query ($id: ID!) { operation(id: $id) { undoableUntil undoWarning } }', { id });
  return operation;
}
