import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { OperationProcess, ScriptedHandler } from '../../test/support/operation-process.js';
import { testDatabaseUrl } from '../../test/support/servers.js';
import { planOf, statementsOf, tablesReadWhole } from '../../test/support/statements.js';
import type { OperationContext, JsonObject } from './operation-handler.js';

Logger.overrideLogger(false);

const tenants = 200;

describe('many tenants at once', () => {
  let databaseUrl: string;
  const processes: OperationProcess[] = [];

  beforeEach(async () => {
    databaseUrl = await testDatabaseUrl();
  });
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((process) => process.stop()));
  });

  async function start(handler: ScriptedHandler, { worker, concurrency = 2 }: { worker: boolean; concurrency?: number }): Promise<OperationProcess> {
    const process = await OperationProcess.start({ databaseUrl, handlers: [handler], worker, concurrency });
    processes.push(process);
    return process;
  }

  /** As a tick of their schedules would: due at the same minute. */
  async function queue(process: OperationProcess, handler: ScriptedHandler, tenantIds: readonly string[]): Promise<string[]> {
    const ids: string[] = [];
    for (const tenantId of tenantIds) ids.push((await process.begin(handler, tenantId, { input: {} })).operation.id);
    return ids;
  }

  const makeTenants = async (process: OperationProcess, count: number): Promise<string[]> => {
    const ids: string[] = [];
    for (let made = 0; made < count; made++) ids.push(await process.makeTenant());
    return ids;
  };

  const phased = async (context: OperationContext<JsonObject>): Promise<JsonObject> => {
    await context.enter('PREPARE');
    await context.enter('WORK');
    return {};
  };

  it('are all served by two workers, none twice, and one with 200 older ones of its own delays nobody', async () => {
    const handler = new ScriptedHandler({ run: phased }, { exclusive: false, deadlineMs: 3_600_000 });
    const planner = await start(handler, { worker: false });
    const [noisy = '', ...others] = await makeTenants(planner, tenants + 1);
    const ids = [...(await queue(planner, handler, Array.from({ length: tenants }, () => noisy))), ...(await queue(planner, handler, others))];
    const slots = 4;
    await Promise.all([start(handler, { worker: true }), start(handler, { worker: true })]);
    for (const id of ids) expect(await planner.ended(id, 120_000)).toMatchObject({ state: 'COMPLETED', fencingToken: 1 });
    expect(handler.runs).toBe(2 * tenants);

    const order: { tenant_id: string }[] = await planner.dataSource.query('select tenant_id from operation order by started_at');
    const turns = order.map(({ tenant_id }) => tenant_id);
    const lastOfOthers = Math.max(...others.map((id) => turns.indexOf(id)));
    expect(turns.slice(0, lastOfOthers).filter((id) => id === noisy).length).toBeLessThanOrEqual(slots);
  }, 240_000);

  it('take turns: the one that was served longest ago is next, however old the work of the others', async () => {
    const handler = new ScriptedHandler({ run: phased }, { exclusive: false });
    const planner = await start(handler, { worker: false });
    const [first = '', second = '', third = ''] = await makeTenants(planner, 3);
    const rows = await queue(planner, handler, [first, first, first, second, second, third]);
    const served: string[] = [];
    for (let turn = 0; turn < rows.length; turn++) {
      const claim = await planner.leased.claimQueued('one', ['BACKUP'], 60_000);
      if (claim === null) break;
      served.push(claim.operation.tenantId);
      await planner.dataSource.query(`update operation set state = 'COMPLETED', finished_at = now(), settled_at = now() where id = $1`, [claim.operation.id]);
    }
    expect(served).toEqual([first, second, third, first, second, first]);
  });

  it('gives workers that claim at the same moment different tenants, and still all of one that waits alone', async () => {
    const handler = new ScriptedHandler({ run: phased }, { exclusive: false });
    const planner = await start(handler, { worker: false });
    const [busy = '', other = ''] = await makeTenants(planner, 2);
    const [oldest = ''] = await queue(planner, handler, [busy, busy, busy, other]);
    const locker = planner.dataSource.createQueryRunner();
    await locker.startTransaction();
    try {
      await locker.query('select 1 from operation where id = $1 for update', [oldest]);
      const claim = async (): Promise<string | undefined> => (await planner.leased.claimQueued('one', ['BACKUP'], 60_000))?.operation.tenantId;
      expect([await claim(), await claim(), await claim(), await claim()]).toEqual([other, busy, busy, undefined]);
    } finally {
      await locker.rollbackTransaction();
      await locker.release();
    }
  });

  it('are looked through by indexes alone, with 10,000 operations waiting', async () => {
    const handler = new ScriptedHandler({ run: phased }, { exclusive: false });
    const planner = await start(handler, { worker: false });
    await planner.dataSource.query(`
      insert into tenant (id, slug, name, environment, engine, time_zone, target_cipher, target_deployment, target_database)
        select gen_random_uuid(), 't' || n, 'Tenant', 'SANDBOX', 'MONGODB', 'UTC', '\\x00', 'd' || n, 'db' from generate_series(1, ${tenants}) n`);
    const rows = (state: string, each: number): Promise<unknown> => planner.dataSource.query(`
      insert into operation (id, tenant_id, kind, state, exclusive, input, deadline, started_at, finished_at, settled_at, created_at)
        select gen_random_uuid(), t.id, 'BACKUP', '${state}', false, '{}', now() + interval '1 hour', ${state === 'QUEUED' ? 'null, null, null' : 'now(), now(), now()'}, now() + n * interval '1 second'
        from tenant t, generate_series(1, ${each}) n`);
    await rows('QUEUED', 50);
    await rows('COMPLETED', 50);
    await planner.dataSource.query('analyze operation');
    const statements = await statementsOf(planner.dataSource, async () => {
      await planner.leased.claimQueued('one', ['BACKUP'], 60_000);
      await planner.leased.takeOver('one', ['BACKUP'], 60_000);
      await planner.operations.endQueuedPastDeadline();
    });
    expect(statements).toHaveLength(4);
    for (const statement of statements) expect([statement.sql, await tablesReadWhole(planner.dataSource, statement)]).toEqual([statement.sql, []]);
    const used = await Promise.all(statements.map((statement) => planOf(planner.dataSource, statement)));
    const indexes = used.flat().flatMap((node) => node['Index Name'] ?? []);
    expect(indexes).toEqual(expect.arrayContaining(['operation_waiting', 'operation_running', 'operation_started', 'operation_waiting_until']));
  });
});
