import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { FaultPoints } from '../../src/operations/fault-points.ts';
import { parseGlobalId, toGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import {
  backupCreate, type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, planCreate, restore, restoreStart, seedShop, takeBackup, withDatabase,
} from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { startMongod } from '../support/servers.ts';
import { faultsOf, storedFiles, storeFolder } from '../support/store-faults.ts';

let app: TestApp;
let admin: GraphqlClient;
let faults: ReturnType<typeof faultsOf>;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  faults = faultsOf(app);
});

afterEach(() => {
  for (const name of Object.keys(faults) as (keyof typeof faults)[]) delete faults[name];
});

afterAll(async () => {
  await app?.stop();
});

const print = (tenant: TestTenant): Promise<Fingerprint> => withDatabase(tenant, fingerprint);
const sql = (text: string, values: unknown[] = []): Promise<unknown> => app.nest.get(DataSource).query(text, values);

interface Setting {
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
  /** Of the live data after they were changed. */
  readonly live: Fingerprint;
}

/** A workspace with a backup, changed since. */
async function changedShop(): Promise<Setting> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 200));
  const backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => {
    await db.collection('orders').deleteMany({ number: { $lt: 100 } });
    await db.collection('later').insertOne({ a: 1 });
  });
  return { tenant, backup, live: await print(tenant) };
}

/** Nothing of the live data has changed, nothing is left beside them, and the workspace works. */
async function expectUntouched({ tenant, live }: Setting): Promise<void> {
  expect(differences(live, await print(tenant))).toEqual([]);
  const names = await withDatabase(tenant, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name));
  expect(names.filter((name) => name.startsWith('hf_'))).toEqual([]);
  const { tenant: state } = await admin.run<{ tenant: { status: string; maintenance: { on: boolean } } }>('query ($id: ID!) { tenant(id: $id) { status maintenance { on } } }', { id: tenant.id });
  expect(state).toEqual({ status: 'ACTIVE', maintenance: { on: false } });
}

async function pathOf(backup: BackupAnswer): Promise<string> {
  const file = (await storedFiles(app)).find((path) => path.endsWith(backup.fileName!));
  return join(storeFolder(app), file!);
}

function at(point: string, work: () => Promise<void>): () => void {
  return app.nest.get(FaultPoints, { strict: false }).on(point, work);
}

async function cancel(id: string): Promise<void> {
  await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { operation { id } userErrors { code } } }', { input: { operationId: id } });
}

describe('a plan', () => {
  it('works once, and a repeated request is answered by the first restore', async () => {
    const { tenant, backup } = await changedShop();
    const plan = await makePlan(admin, tenant.id, backup.id, { fullRead: true });
    expect(plan.checks.map(({ key, ok }) => [key, ok])).toEqual(expect.arrayContaining([['key', true], ['integrity', true], ['target', true], ['privileges', true], ['engineVersion', true], ['space', true], ['runningWork', true]]));
    expect(new Date(plan.expiresAt).getTime() - Date.now()).toBeLessThanOrEqual(15 * 60_000);
    const answers = await Promise.all([1, 2].map(() => restoreStart(admin, plan.id, tenant.name, { idempotencyKey: 'double-click' })));
    expect(idOf(answers[0]!)).toBe(idOf(answers[1]!));
    expect(await restoreStart(admin, plan.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_USED' }] });
    expect(await ended(admin, idOf(answers[0]!))).toMatchObject({ state: 'COMPLETED' });
  });

  it('is refused once it has expired, the workspace was renamed or its database changed', async () => {
    const setting = await changedShop();
    const { tenant, backup } = setting;
    const expired = await makePlan(admin, tenant.id, backup.id);
    await sql(`update restore_plan set expires_at = now() - interval '1 second' where id = $1`, [parseGlobalId(expired.id)!.uuid]);
    expect(await restoreStart(admin, expired.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_EXPIRED' }] });

    const named = await makePlan(admin, tenant.id, backup.id);
    await sql('update tenant set name = $1 where id = $2', ['Renamed', parseGlobalId(tenant.id)!.uuid]);
    expect(await restoreStart(admin, named.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_STALE' }] });
    expect(await restoreStart(admin, named.id, 'Renamed')).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_STALE' }] });

    const moved = await makePlan(admin, tenant.id, backup.id);
    await sql('update tenant set target_revision = target_revision + 1 where id = $1', [parseGlobalId(tenant.id)!.uuid]);
    expect(await restoreStart(admin, moved.id, 'Renamed')).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_STALE' }] });
    await expectUntouched(setting);
  });

  it('does not fit any more when a collection was replaced since', async () => {
    const setting = await changedShop();
    const { tenant, backup } = setting;
    const plan = await makePlan(admin, tenant.id, backup.id);
    await withDatabase(tenant, async (db) => {
      const kept = await db.collection('later').find().toArray();
      await db.collection('later').drop();
      await db.collection('later').insertMany(kept);
    });
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).toMatchObject({ state: 'FAILED', failure: { code: 'LIVE_CHANGED' } });
    await expectUntouched(setting);
  });

  it('cannot be read or used by another workspace', async () => {
    const { tenant, backup } = await changedShop();
    const plan = await makePlan(admin, tenant.id, backup.id);
    const stranger = await createTestMember(app, admin, (await createTestTenant(admin)).id, 'OWNER');
    for (const planId of [plan.id, toGlobalId('RestorePlan', '00000000-0000-4000-8000-000000000000'), 'nonsense']) {
      expect(await stranger.codeOf('query ($id: ID!) { restorePlan(id: $id) { id } }', { id: planId })).toBe('NOT_FOUND');
      expect(await stranger.codeOf('mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } } }', { input: { planId, confirmName: tenant.name } })).toBe('NOT_FOUND');
    }
  });

  it('refuses a backup that is not usable', async () => {
    const { tenant } = await changedShop();
    faults.fullAtByte = 0;
    const failed = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
    expect(await planCreate(admin, tenant.id, failed.backup!.id)).toMatchObject({ plan: null, userErrors: [{ code: 'BACKUP_NOT_USABLE' }] });
  });
});

describe('a file that is not the one that was written', () => {
  it('blocks the plan when it is truncated or gone', async () => {
    const setting = await changedShop();
    const path = await pathOf(setting.backup);
    const { size } = await readFile(path).then((bytes) => ({ size: bytes.length }));
    await truncate(path, size - 10);
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    expect(plan.checks.find(({ key }) => key === 'integrity')).toMatchObject({ ok: false, blocking: true });
    expect(await restoreStart(admin, plan.id, setting.tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });
    await expectUntouched(setting);
  });

  it('ends the restore before anything is touched when one bit was turned', async () => {
    const setting = await changedShop();
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    const path = await pathOf(setting.backup);
    const bytes = await readFile(path);
    bytes[Math.floor(bytes.length / 2)]! ^= 4;
    await writeFile(path, bytes);
    const failed = await ended(admin, idOf(await restoreStart(admin, plan.id, setting.tenant.name)));
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'ARCHIVE_REPLACED' }, safetyBackup: null });
    expect(failed.steps.find(({ phase }) => phase === 'VERIFY')).toMatchObject({ state: 'FAILED' });
    await expectUntouched(setting);
  });

  it("refuses another workspace's file in its place, and an older one of its own, with an audit event", async () => {
    const [mine, theirs] = [await changedShop(), await changedShop()];
    const older = mine.backup;
    const newer = await takeBackup(admin, mine.tenant.id);
    for (const foreign of [theirs.backup, older]) {
      await copyFile(await pathOf(foreign), await pathOf(newer));
      // So that the size does not give it away.
      await sql('update backup set size_bytes = $1 where id = $2', [foreign.size, parseGlobalId(newer.id)!.uuid]);
      const plan = await makePlan(admin, mine.tenant.id, newer.id);
      expect(plan.checks.find(({ key }) => key === 'integrity')).toMatchObject({ ok: false, blocking: true });
      expect(await restoreStart(admin, plan.id, mine.tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });
    }
    const { tenant } = await admin.run<{ tenant: { auditEvents: { edges: { node: { outcome: string; detail: { name: string; value: string }[] } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { auditEvents(filter: {action: "restore.source-refused"}) { edges { node { outcome detail { name value } } } } } }',
      { id: mine.tenant.id },
    );
    expect(tenant.auditEvents.edges.map(({ node }) => node.detail.find(({ name }) => name === 'code')?.value).sort()).toEqual(['ARCHIVE_FOREIGN', 'ARCHIVE_REPLACED']);
    await expectUntouched(mine);
  });
});

describe('a restore that must not go on', () => {
  it('does not start changing anything when its safety backup fails', async () => {
    const setting = await changedShop();
    const filesBefore = await storedFiles(app);
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    faults.fullAtByte = 500;
    const failed = await ended(admin, idOf(await restoreStart(admin, plan.id, setting.tenant.name)));
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'SAFETY_BACKUP_FAILED', message: expect.stringMatching(/full/) }, safetyBackup: { state: 'FAILED' } });
    expect(await storedFiles(app)).toEqual(filesBefore);
    await expectUntouched(setting);
    delete faults.fullAtByte;
    expect(await restore(admin, setting.tenant.id, setting.backup.id)).toMatchObject({ state: 'COMPLETED' });
  });

  it.each(['restore.verified', 'backup.dump', 'restore.staged', 'restore.maintenance'])('is CANCELED at %s without a trace', async (point) => {
    const setting = await changedShop();
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    let id = '';
    const reached = Promise.withResolvers<void>();
    const off = at(point, async () => {
      await reached.promise;
      await cancel(id);
    });
    id = idOf(await restoreStart(admin, plan.id, setting.tenant.name));
    reached.resolve();
    expect(await ended(admin, id)).toMatchObject({ state: 'CANCELED' });
    off();
    await expectUntouched(setting);
    expect(await restore(admin, setting.tenant.id, setting.backup.id)).toMatchObject({ state: 'COMPLETED' });
  });

  it('fails clearly while the database is away, and its plan says so before', async () => {
    const mongod = await startMongod({});
    const tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'away' });
    const backup = await takeBackup(admin, tenant.id);
    const plan = await makePlan(admin, tenant.id, backup.id);
    await mongod.kill();
    const late = await makePlan(admin, tenant.id, backup.id);
    expect(late.checks.find(({ key }) => key === 'target')).toMatchObject({ ok: false, blocking: true });
    expect(await restoreStart(admin, late.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).toMatchObject({ state: 'FAILED', failure: { code: 'TARGET_UNREACHABLE' } });
  });
});

describe('a restore', () => {
  it('tries everything and changes nothing as a dry run', async () => {
    const setting = await changedShop();
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    const done = await ended(admin, idOf(await restoreStart(admin, plan.id, setting.tenant.name, { dryRun: true })));
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: null, result: { dryRun: true, bytesRead: setting.backup.size } });
    expect(done.steps.map(({ phase }) => phase)).toEqual(['VERIFY', 'STAGE', 'CHECK', 'CLEANUP']);
    await expectUntouched(setting);
  });

  it('keeps what was written between the safety backup and the swap', async () => {
    const { tenant, backup } = await changedShop();
    const off = at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.collection('later').insertOne({ acknowledged: 'in the last moment' }))));
    const done = await restore(admin, tenant.id, backup.id);
    off();
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED', trigger: 'SAFETY' } });
    const safety = await listed(tenant, ['SAFETY']);
    expect(safety).toEqual([done.safetyBackup!.id]);
    expect(await restore(admin, tenant.id, done.safetyBackup!.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(tenant, (db) => db.collection('later').countDocuments({ acknowledged: 'in the last moment' }))).toBe(1);
  });

  it('stays in CLEANUP, the workspace in use again, until the last state is safe', async () => {
    const { tenant, backup } = await changedShop();
    const swapped = Promise.withResolvers<void>();
    const offs = [
      at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.collection('later').insertOne({ acknowledged: true })))),
      at('restore.swapped', () => {
        faults.fullAtByte = 100;
        swapped.resolve();
        return Promise.resolve();
      }),
    ];
    const plan = await makePlan(admin, tenant.id, backup.id);
    const id = idOf(await restoreStart(admin, plan.id, tenant.name));
    await swapped.promise;
    for await (const { data } of admin.subscribe<{ operationUpdated: { state: string; phase: string; log: { message: string }[] } }>('subscription ($id: ID!) { operationUpdated(id: $id) { state phase log { message } } }', { id })) {
      expect(data!.operationUpdated.state).toBe('RUNNING');
      if (data!.operationUpdated.log.some(({ message }) => message.includes('STORAGE_FULL'))) break;
    }
    const { tenant: state } = await admin.run<{ tenant: { status: string } }>('query ($id: ID!) { tenant(id: $id) { status } }', { id: tenant.id });
    expect(state.status).toBe('ACTIVE');
    expect(await withDatabase(tenant, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).some(({ name }) => name.startsWith('hf_')))).toBe(true);
    delete faults.fullAtByte;
    const done = await ended(admin, id);
    for (const off of offs) off();
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED', failure: null } });
    expect(await listed(tenant, ['SAFETY'])).toEqual([done.safetyBackup!.id]);
    expect(done.safetyBackup!.contents.find(({ name }) => name === 'later')?.documents).toBe('2');
    expect(await withDatabase(tenant, async (db) => (await db.listCollections({}, { nameOnly: true }).toArray()).some(({ name }) => name.startsWith('hf_')))).toBe(false);
  });

  it('takes the last state once, even when a worker forgets that it did', async () => {
    const { tenant, backup } = await changedShop();
    let forgotten = 0;
    const offs = [
      at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.collection('later').insertOne({ acknowledged: true })))),
      at('restore.last-state-kept', () => (forgotten++ === 0 ? Promise.reject(new Error('forgotten')) : Promise.resolve())),
    ];
    const done = await restore(admin, tenant.id, backup.id);
    for (const off of offs) off();
    expect([done.state, forgotten]).toEqual(['COMPLETED', 2]);
    expect(await listed(tenant, ['SAFETY'])).toEqual([done.safetyBackup!.id]);
  });

  it('goes on when the quota is used up: safety backups are outside it', async () => {
    const { tenant, backup } = await changedShop();
    await sql('update tenant set quota_bytes = 1 where id = $1', [parseGlobalId(tenant.id)!.uuid]);
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED' } });
    const { tenant: state } = await admin.run<{ tenant: { storage: { usedBytes: string; safetyBytes: string; warning: string | null } } }>('query ($id: ID!) { tenant(id: $id) { storage { usedBytes safetyBytes warning } } }', { id: tenant.id });
    expect(state.storage).toMatchObject({ usedBytes: backup.size, warning: expect.stringMatching(/used up/) });
    expect(Number(state.storage.safetyBytes)).toBeGreaterThan(0);
  });

  it('cannot be canceled past its commit point, and the backup it reads cannot be deleted', async () => {
    const { tenant, backup } = await changedShop();
    await takeBackup(admin, tenant.id);
    let answers: OperationAnswer | null = null;
    let id = '';
    const seen: unknown[] = [];
    const started = Promise.withResolvers<void>();
    const off = at('restore.committed', async () => {
      await started.promise;
      seen.push(await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: id } }));
      seen.push(await admin.run('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId: backup.id } }));
    });
    const plan = await makePlan(admin, tenant.id, backup.id);
    id = idOf(await restoreStart(admin, plan.id, tenant.name));
    started.resolve();
    answers = await ended(admin, id);
    off();
    expect(seen).toEqual([{ operationCancel: { userErrors: [{ code: 'NOT_CANCELABLE' }] } }, { backupDelete: { userErrors: [{ code: 'BACKUP_IN_USE' }] } }]);
    expect(answers).toMatchObject({ state: 'COMPLETED' });
  });
});

async function listed(tenant: TestTenant, triggers: readonly string[]): Promise<string[]> {
  const answer = await admin.run<{ tenant: { backups: { edges: { node: { id: string } }[] } } }>('query ($id: ID!, $triggers: [BackupTrigger!]) { tenant(id: $id) { backups(filter: {triggers: $triggers}) { edges { node { id } } } } }', { id: tenant.id, triggers });
  return answer.tenant.backups.edges.map(({ node }) => node.id);
}
