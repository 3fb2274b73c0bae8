import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { run as runAdmin } from '../../src/admin/run.ts';
import { parseGlobalId, toGlobalId } from '../../src/platform/graphql/global-id.ts';
import { KeptDatabaseSweep } from '../../src/restore/kept-database-sweep.ts';
import { RetentionClock } from '../../src/retention/retention-clock.ts';
import { ended, idOf, makePlan, type OperationAnswer, restore, restoreStart, restoreUndo } from '../support/backup-calls.ts';
import { binaryFixture } from '../support/fixtures.ts';
import { RestoreBench } from '../support/restore-bench.ts';
import { uploadFile } from '../support/upload-calls.ts';

const dayMs = 24 * 60 * 60 * 1000;
const rawId = (id: string): string => parseGlobalId(id)!.uuid;

describe.each([['ahead', dayMs], ['behind', -dayMs]])('a process whose clock is a day %s', (_, offMs) => {
  let bench: RestoreBench;

  beforeAll(async () => {
    jest.useFakeTimers({
      now: Date.now() + offMs,
      advanceTimers: true,
      doNotFake: ['hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate', 'setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'],
    });
    bench = await RestoreBench.start();
  });

  afterAll(async () => {
    await bench?.app.stop();
    jest.useRealTimers();
  });

  async function databaseTime(): Promise<Date> {
    const [row] = await bench.sql<{ now: Date }>('select clock_timestamp() as now');
    return row!.now;
  }

  async function undoableUntil({ id }: OperationAnswer): Promise<string | null> {
    return (await bench.admin.run<{ operation: { undoableUntil: string | null } }>('query ($id: ID!) { operation(id: $id) { undoableUntil } }', { id })).operation.undoableUntil;
  }

  const undo = async ({ id }: OperationAnswer, confirmName: string): Promise<OperationAnswer> => ended(bench.admin, idOf(await restoreUndo(bench.admin, id, confirmName)));

  it('is one', async () => {
    expect(Math.round((Date.now() - (await databaseTime()).getTime()) / dayMs)).toBe(offMs / dayMs);
  });

  it('makes plans that can be used for 15 minutes, and refuses them after these', async () => {
    const { tenant, backup } = await bench.changedShop();
    const before = await databaseTime();
    const [used, expired] = [await makePlan(bench.admin, tenant.id, backup.id), await makePlan(bench.admin, tenant.id, backup.id)];
    const after = await databaseTime();
    const ends = await bench.sql<{ isOurs: boolean }>(`select expires_at - interval '15 minutes' between $1 and $2 as "isOurs" from restore_plan where id = any($3)`, [before, after, [rawId(used.id), rawId(expired.id)]]);
    expect(ends).toEqual([{ isOurs: true }, { isOurs: true }]);
    await bench.sql(`update restore_plan set expires_at = now() - interval '1 second' where id = $1`, [rawId(expired.id)]);
    expect(await restoreStart(bench.admin, expired.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_EXPIRED' }] });
    expect(await ended(bench.admin, idOf(await restoreStart(bench.admin, used.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
  });

  it('takes a restore back until its 7 days are over, and not after them', async () => {
    const { tenant, backup } = await bench.changedShop();
    const restored = await restore(bench.admin, tenant.id, backup.id);
    const safetyId = rawId(restored.safetyBackup!.id);
    await bench.sql(`update backup set expires_at = now() - interval '1 hour' where id = $1`, [safetyId]);
    expect(await undoableUntil(restored)).toBeNull();
    expect(await restoreUndo(bench.admin, restored.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'UNDO_EXPIRED' }] });
    await bench.sql(`update backup set expires_at = now() + interval '1 hour' where id = $1`, [safetyId]);
    expect(await undoableUntil(restored)).not.toBeNull();
    expect(await undo(restored, tenant.name)).toMatchObject({ kind: 'UNDO', state: 'COMPLETED' });
  });

  it('goes back to a former database until its 7 days are over, and drops it after them', async () => {
    const shop = await bench.changedShop();
    const { tenant } = shop;
    const restored = await ended(bench.admin, await bench.begin(shop, { cutover: 'REPOINT' }));
    const moveEnd = ({ id }: OperationAnswer, interval: string): Promise<unknown> => bench.sql('update database_claim set expires_at = now() + $2::interval where operation_id = $1', [rawId(id), interval]);
    await moveEnd(restored, '-1 hour');
    expect(await undoableUntil(restored)).toBeNull();
    expect(await restoreUndo(bench.admin, restored.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'UNDO_EXPIRED' }] });
    await moveEnd(restored, '1 hour');
    expect(await undoableUntil(restored)).not.toBeNull();
    const undone = await undo(restored, tenant.name);
    expect(undone).toMatchObject({ kind: 'UNDO', state: 'COMPLETED' });

    // Nothing is dropped while a process and the database differ: somebody has to put that right first.
    const time = await databaseTime();
    Object.assign(bench.app.nest.get(RetentionClock, { strict: false }), { read: () => Promise.resolve({ database: time, process: time, monotonicMs: performance.now() }) });
    await bench.sql('update retention_clock set last_seen_at = null, held_until = null, held_because = null');
    await moveEnd(undone, '-1 hour');
    await bench.app.nest.get(KeptDatabaseSweep, { strict: false }).tick();
    const [release] = await bench.sql<{ id: string }>(`select id from operation where kind = 'RELEASE' and input->>'operationId' = $1`, [rawId(undone.id)]);
    expect(await ended(bench.admin, toGlobalId('Operation', release!.id))).toMatchObject({ state: 'COMPLETED' });
    const refusals = [];
    for (const sooner of ['1 hour', '-1 hour']) {
      await bench.sql(`update operation set finished_at = now() - interval '7 days' + $2::interval where id = $1`, [rawId(undone.id), sooner]);
      refusals.push(...(await restoreUndo(bench.admin, undone.id, tenant.name)).userErrors.map(({ code }) => code));
    }
    expect(refusals).toEqual(['NOT_UNDOABLE', 'UNDO_EXPIRED']);
  });

  it('tells the time of backups, imports and safety backups by the clock of all', async () => {
    const before = await databaseTime();
    const { tenant, backup } = await bench.changedShop();
    expect(await restore(bench.admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    const imported = await uploadFile(bench.admin, tenant.id, 'every-shape.archive.gz', binaryFixture('mongodump/every-shape.archive.gz'), { purpose: 'IMPORT' });
    expect(await ended(bench.admin, imported.operation!.id)).toMatchObject({ state: 'COMPLETED' });
    const after = await databaseTime();
    const rows = await bench.sql<{ trigger: string; isOurs: boolean }>(
      'select distinct trigger, created_at between $1 and $2 as "isOurs" from backup where tenant_id = $3 order by trigger', [before, after, rawId(tenant.id)]);
    expect(rows).toEqual(['IMPORT', 'MANUAL', 'SAFETY'].map((trigger) => ({ trigger, isOurs: true })));
  });

  it('keeps a safety backup that it finds in the store again for 7 days', async () => {
    const { tenant, backup } = await bench.changedShop();
    const restored = await restore(bench.admin, tenant.id, backup.id);
    await bench.sql('delete from backup where id = $1', [rawId(restored.safetyBackup!.id)]);
    const before = await databaseTime();
    const lines: string[] = [];
    await runAdmin(['reconcile', '--repair'], () => bench.app.config, { print: (line) => lines.push(line), complain: (line) => lines.push(line) });
    expect(lines).toContainEqual(expect.stringMatching(/^UNREGISTERED /));
    const rows = await bench.sql<{ isOurs: boolean }>(`select expires_at - interval '7 days' between $1 and $2 as "isOurs" from backup where tenant_id = $3 and trigger = 'SAFETY'`, [before, await databaseTime(), rawId(tenant.id)]);
    expect(rows).toEqual([{ isOurs: true }]);
  });
});
