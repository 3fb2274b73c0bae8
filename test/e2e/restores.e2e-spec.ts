import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { differences } from '../../scripts/demo/fingerprint.ts';
import { BackupLeftovers } from '../../src/backups/backup-leftovers.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { backupCreate, ended, idOf, makePlan, type OperationAnswer, readBackup, restore, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { ownNames, print, RestoreBench } from '../support/restore-bench.ts';
import { storedFiles } from '../support/store-faults.ts';

let bench: RestoreBench;
let admin: GraphqlClient;

beforeAll(async () => {
  bench = await RestoreBench.start();
  ({ admin } = bench);
});

afterEach(() => bench.clearFaults());

afterAll(async () => {
  await bench?.app.stop();
});

describe('a restore that must not go on', () => {
  it('does not start changing anything when its safety backup fails', async () => {
    const setting = await bench.changedShop();
    const filesBefore = await storedFiles(bench.app);
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    bench.faults.fullAtByte = 500;
    const failed = await ended(admin, idOf(await restoreStart(admin, plan.id, setting.tenant.name)));
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'SAFETY_BACKUP_FAILED', message: expect.stringMatching(/full/) }, safetyBackup: { state: 'FAILED' } });
    expect(await storedFiles(bench.app)).toEqual(filesBefore);
    await bench.expectUntouched(setting);
    delete bench.faults.fullAtByte;
    expect(await restore(admin, setting.tenant.id, setting.backup.id)).toMatchObject({ state: 'COMPLETED' });
  });

  it.each([['a restore', 'SAFETY_BACKUP_FAILED'], ['a backup', 'READ_BACK_FAILED']] as const)('ends with what really went wrong when the store refuses to delete the damaged backup of %s, and removes its bytes later', async (kind, code) => {
    const setting = await bench.changedShop();
    const { tenant, backup } = setting;
    const filesBefore = await storedFiles(bench.app);
    Object.assign(bench.faults, { loseLastBytes: 9, refusesDeletes: true });
    const id = kind === 'a backup' ? idOf(await backupCreate(admin, tenant.id)) : idOf(await restoreStart(admin, (await makePlan(admin, tenant.id, backup.id)).id, tenant.name));
    const operation = await ended(admin, id);
    expect(operation).toMatchObject({ state: 'FAILED', failure: { code } });
    const failed = kind === 'a backup' ? operation.backup : operation.safetyBackup;
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'READ_BACK_FAILED' } });
    expect(await storedFiles(bench.app)).toHaveLength(filesBefore.length + 1);
    bench.clearFaults();
    await bench.app.nest.get(BackupLeftovers, { strict: false }).tick();
    expect(await storedFiles(bench.app)).toEqual(filesBefore);
    expect(await readBackup(admin, failed!.id)).toMatchObject({ state: 'FAILED', failure: { code: 'READ_BACK_FAILED' } });
    await bench.expectUntouched(setting);
  });

  it('leaves a safety backup in place that another operation reads when a later one takes its place', async () => {
    const { tenant, backup } = await bench.changedShop();
    const [written, reading, replaced] = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const offs = [
      bench.at('restore.planned', () => withDatabase(tenant, async (db) => void (await db.collection('orders').insertOne({ late: true })))),
      bench.at('restore.last-state-kept', async () => {
        written.resolve();
        await reading.promise;
      }),
      bench.at('verify.begun', async () => {
        reading.resolve();
        await replaced.promise;
      }),
    ];
    const plan = await makePlan(admin, tenant.id, backup.id);
    const id = idOf(await restoreStart(admin, plan.id, tenant.name));
    await written.promise;
    const safety = await bench.listed(tenant, ['SAFETY']);
    expect(safety).toHaveLength(2);
    const earlier = safety.at(-1)!;
    const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } } }', { input: { backupId: earlier } });
    expect(await ended(admin, id)).toMatchObject({ state: 'COMPLETED' });
    replaced.resolve();
    for (const off of offs) off();
    expect(await ended(admin, backupVerify.operation.id)).toMatchObject({ state: 'COMPLETED', result: { ok: true } });
    expect(await readBackup(admin, earlier)).toMatchObject({ state: 'COMPLETED', usable: true });
  });

  it.each(['restore.verified', 'backup.dump', 'restore.staged', 'restore.maintenance'])('is CANCELED at %s without a trace', async (point) => {
    const setting = await bench.changedShop();
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    let id = '';
    const reached = Promise.withResolvers<void>();
    const off = bench.at(point, async () => {
      await reached.promise;
      await bench.cancel(id);
    });
    id = idOf(await restoreStart(admin, plan.id, setting.tenant.name));
    reached.resolve();
    expect(await ended(admin, id)).toMatchObject({ state: 'CANCELED' });
    off();
    await bench.expectUntouched(setting);
    expect(await restore(admin, setting.tenant.id, setting.backup.id)).toMatchObject({ state: 'COMPLETED' });
  });
});

describe('a restore', () => {
  it('tries everything and changes nothing as a dry run', async () => {
    const setting = await bench.changedShop();
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    const done = await ended(admin, idOf(await restoreStart(admin, plan.id, setting.tenant.name, { dryRun: true })));
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: null, result: { dryRun: true, bytesRead: setting.backup.size } });
    expect(done.steps.map(({ phase }) => phase)).toEqual(['VERIFY', 'STAGE', 'CHECK', 'CLEANUP']);
    await bench.expectUntouched(setting);
  });

  it('keeps what was written between the safety backup and the swap', async () => {
    const { tenant, backup } = await bench.changedShop();
    const off = bench.at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.collection('later').insertOne({ acknowledged: 'in the last moment' }))));
    const done = await restore(admin, tenant.id, backup.id);
    off();
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED', trigger: 'SAFETY' } });
    const safety = await bench.listed(tenant, ['SAFETY']);
    expect(safety).toEqual([done.safetyBackup!.id]);
    expect(await restore(admin, tenant.id, done.safetyBackup!.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(tenant, (db) => db.collection('later').countDocuments({ acknowledged: 'in the last moment' }))).toBe(1);
  });

  it('stays in CLEANUP, the workspace in use again, until the last state is safe', async () => {
    const { tenant, backup } = await bench.changedShop();
    const swapped = Promise.withResolvers<void>();
    const offs = [
      bench.at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.collection('later').insertOne({ acknowledged: true })))),
      bench.at('restore.swapped', () => {
        bench.faults.fullAtByte = 100;
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
    expect((await ownNames(tenant)).length > 0).toBe(true);
    delete bench.faults.fullAtByte;
    const done = await ended(admin, id);
    for (const off of offs) off();
    expect(done).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED', failure: null } });
    expect(await bench.listed(tenant, ['SAFETY'])).toEqual([done.safetyBackup!.id]);
    expect(done.safetyBackup!.contents.find(({ name }) => name === 'later')?.documents).toBe('2');
    expect((await ownNames(tenant)).length > 0).toBe(false);
  });

  it('takes the last state once, even when a worker forgets that it did', async () => {
    const { tenant, backup } = await bench.changedShop();
    let forgotten = 0;
    const offs = [
      bench.at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.collection('later').insertOne({ acknowledged: true })))),
      bench.at('restore.last-state-kept', () => (forgotten++ === 0 ? Promise.reject(new Error('forgotten')) : Promise.resolve())),
    ];
    const done = await restore(admin, tenant.id, backup.id);
    for (const off of offs) off();
    expect([done.state, forgotten]).toEqual(['COMPLETED', 2]);
    expect(await bench.listed(tenant, ['SAFETY'])).toEqual([done.safetyBackup!.id]);
  });

  it('ends although somebody has dropped what it had set aside: undo goes back to the safety backup that has it, and what was written to the rest since is kept beside it', async () => {
    const { tenant, backup, live } = await bench.changedShop();
    const dropped: string[] = [];
    const offs = [
      bench.at('restore.staged', () => withDatabase(tenant, async (db) => void (await db.collection('later').insertOne({ acknowledged: true })))),
      bench.at('restore.last-state', async () => {
        if (dropped.length > 0) return;
        await withDatabase(tenant, async (db) => {
          for (const name of await ownNames(tenant)) if ((await db.collection(name).countDocuments({ total: { $exists: true } })) > 0) dropped.push(name);
          for (const name of dropped) await db.collection(name).drop();
        });
      }),
    ];
    const done = await restore(admin, tenant.id, backup.id);
    for (const off of offs) off();
    expect(dropped).toHaveLength(1);
    expect(done).toMatchObject({ state: 'COMPLETED', result: { warnings: [expect.stringMatching(/^Somebody dropped what was set aside of orders before .* Before the restore, last state/)] } });
    expect(await ownNames(tenant)).toEqual([]);
    const safety = await bench.listed(tenant, ['SAFETY']);
    expect(safety).toHaveLength(2);
    const rest = await readBackup(admin, safety.find((id) => id !== done.safetyBackup!.id)!);
    expect(rest.contents.find(({ name }) => name === 'later')?.documents).toBe('2');
    expect(rest.contents.map(({ name }) => name)).not.toContain('orders');

    expect(await restore(admin, tenant.id, done.safetyBackup!.id)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(live, await print(tenant))).toEqual([]);
    expect(await restore(admin, tenant.id, rest.id)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(live, await print(tenant))).toEqual(['later']);
  });

  it('keeps what a product creates again under a live name during the swap, and names it in the result', async () => {
    const { tenant, backup } = await bench.changedShop();
    // After the first collection was set aside, before its successor has its name.
    const off = bench.at('restore.swap.1', () => withDatabase(tenant, async (db) => void (await db.collection('customers').insertOne({ name: 'too late' }))));
    const done = await restore(admin, tenant.id, backup.id);
    off();
    expect(done).toMatchObject({ state: 'COMPLETED', result: { warnings: [expect.stringMatching(/^The product created customers again during the restore: its 1 documents are kept as hf_[0-9a-f]{32}_late_\d+$/)] } });
    const kept = /kept as (\S+)$/.exec(done.result!.warnings![0]!)![1]!;
    expect(await withDatabase(tenant, (db) => db.collection(kept).find().toArray())).toMatchObject([{ name: 'too late' }]);
    expect(await withDatabase(tenant, (db) => db.collection('customers').countDocuments())).toBe(40);
    expect(await ownNames(tenant)).toEqual([kept]);
  });

  it('goes on when the quota is used up: safety backups are outside it', async () => {
    const { tenant, backup } = await bench.changedShop();
    await bench.sql('update tenant set quota_bytes = 1 where id = $1', [parseGlobalId(tenant.id)!.uuid]);
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED', safetyBackup: { state: 'COMPLETED' } });
    const { tenant: state } = await admin.run<{ tenant: { storage: { usedBytes: string; safetyBytes: string; warning: string | null } } }>('query ($id: ID!) { tenant(id: $id) { storage { usedBytes safetyBytes warning } } }', { id: tenant.id });
    expect(state.storage).toMatchObject({ usedBytes: backup.size, warning: expect.stringMatching(/used up/) });
    expect(Number(state.storage.safetyBytes)).toBeGreaterThan(0);
  });

  it('cannot be canceled past its commit point, and the backup it reads cannot be deleted', async () => {
    const { tenant, backup } = await bench.changedShop();
    await takeBackup(admin, tenant.id);
    let answers: OperationAnswer | null = null;
    let id = '';
    const seen: unknown[] = [];
    const started = Promise.withResolvers<void>();
    const off = bench.at('restore.committed', async () => {
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
