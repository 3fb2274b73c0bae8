import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { z } from 'zod';
import { AppError } from '#errors';
import { OperationProcess, type OperationProcessOptions, ScriptedHandler, untilAborted } from '../../test/support/operation-process.js';
import { testDatabaseUrl } from '../../test/support/servers.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import type { OperationContext, JsonObject } from './operation-handler.js';
import type { OperationEntity } from './operation.entity.js';

const lost = () => Promise.reject(new AppError('WORKER_LOST', 'The process that did the work stopped'));

Logger.overrideLogger(false);

/** A worker renews its lease once at the start of the work, then only as often as the timing says. */
const hasBeenRenewed = (leaseMs: number) => (operation: OperationEntity) =>
  operation.leaseUntil !== null && operation.startedAt !== null && operation.leaseUntil.getTime() - operation.startedAt.getTime() > leaseMs;

describe('operations', () => {
  let databaseUrl: string;
  const processes: OperationProcess[] = [];

  beforeAll(async () => {
    databaseUrl = await testDatabaseUrl();
  });
  afterEach(async () => {
    const open = processes.splice(0);
    // Operations that a test leaves to nobody must not be recovered by the next test's workers.
    await open[0]?.dataSource.query(`update operation set state = 'FAILED', lease_owner = null, finished_at = now(), settled_at = now() where state in ('QUEUED', 'RUNNING')`);
    await Promise.all(open.map((process) => process.stop()));
  });

  async function start(options: Omit<OperationProcessOptions, 'databaseUrl'>): Promise<OperationProcess> {
    const process = await OperationProcess.start({ databaseUrl, ...options });
    processes.push(process);
    return process;
  }

  describe('a run', () => {
    it('goes through its phases to COMPLETED with a result, its steps and its log', async () => {
      const handler = new ScriptedHandler({
        run: async (context) => {
          await context.enter('PREPARE');
          context.log('Reading mongodb://user:secret@host/db');
          await context.enter('WORK');
          await context.saveJournal({ half: true });
          return { rows: 3, seen: context.input };
        },
      });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      const { operation } = await process.begin(handler, tenantId, { input: { a: 1 } });
      expect(operation).toMatchObject({ state: 'QUEUED', phase: 'QUEUED', revision: 1, progress: { percent: null } });
      const ended = await process.ended(operation.id);
      expect(ended).toMatchObject({ state: 'COMPLETED', phase: 'WORK', result: { rows: 3, seen: { a: 1 } }, failure: null, journal: { half: true }, leaseOwner: null });
      expect(ended.progress.percent).toBe(100);
      expect(ended.steps.map(({ phase, state }) => [phase, state])).toEqual([
        ['PREPARE', 'COMPLETED'],
        ['WORK', 'COMPLETED'],
      ]);
      expect(ended.steps.every(({ startedAt, finishedAt }) => startedAt !== null && finishedAt !== null)).toBe(true);
      expect((await process.repository.log(operation.id, 10)).map(({ message }) => message)).toEqual(['Reading mongodb://***@host/db']);
      expect(handler.settledWith).toMatchObject([{ id: operation.id, tenantId, state: 'COMPLETED', result: { rows: 3 }, failure: null }]);
    });

    it('is shown without what grows with the collections of its database', async () => {
      const list = Array.from({ length: 1_000 }, (_, number) => ({ name: `c${number}`, uuid: null }));
      const handler = new ScriptedHandler({
        run: async (context) => {
          await context.commit({ swapPlan: { steps: list }, live: list, archive: list, warnings: [], pointer: { from: 'a', to: 'b', former: list }, keepOld: true });
          await context.saveJournal({ swapReport: { replaced: list }, finalSafetyId: 'x' });
          return {};
        },
      });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      const { operation } = await process.begin(handler, tenantId, { input: { live: list, choice: { collections: list }, keepOld: true, dryRun: false } });
      expect(await process.ended(operation.id)).toMatchObject({ input: { live: list }, journal: { swapPlan: { steps: list }, pointer: { former: list } } });
      const outline = [{ keepOld: true, dryRun: false }, { pointer: { from: 'a', to: 'b' }, keepOld: true, finalSafetyId: 'x' }];
      const [listed] = (await process.repository.page(tenantId, {}, { limit: 10, after: null })).rows;
      for (const shown of [listed, await process.repository.findAnywhere(operation.id)]) {
        expect([shown?.inputOutline, shown?.journalOutline]).toEqual(outline);
        expect(shown).not.toHaveProperty('input');
        expect(shown).not.toHaveProperty('journal');
      }
    });

    it('starts at once, not at the next sweep', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) });
      const process = await start({ handlers: [handler], timing: { sweepEveryMs: 600_000 } });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      const { createdAt, startedAt } = await process.ended(operation.id, 3_000);
      expect((startedAt?.getTime() ?? Infinity) - createdAt.getTime()).toBeLessThan(1_500);
    });

    it('is found by the sweep when its wake-up is lost', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      const { operation } = await process.dataSource.transaction(async (manager) => {
        const started = await process.operations.start(manager, {
          handler, tenantId, input: {}, startedBy: {}, actorId: 'a', idempotencyKey: null, idempotencyInput: {},
        });
        await manager.query(`delete from holdfast_queue.job where data ->> 'id' = $1`, [started.operation.id]);
        return started;
      });
      expect(await process.ended(operation.id, 3_000)).toMatchObject({ state: 'COMPLETED' });
    });

    it('leaves nothing when the transaction that started it is rolled back', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      let id = '';
      await expect(
        process.dataSource.transaction(async (manager) => {
          const start = { handler, tenantId, input: {}, startedBy: {}, actorId: 'a', idempotencyKey: null, idempotencyInput: {} };
          id = (await process.operations.start(manager, start)).operation.id;
          throw new Error('rolled back');
        }),
      ).rejects.toThrow('rolled back');
      expect(await process.repository.findAnywhere(id)).toBeNull();
      expect(await process.dataSource.query(`select 1 from holdfast_queue.job where data ->> 'id' = $1`, [id])).toEqual([]);
    });

    it('ends FAILED with the code of what was thrown, and INTERNAL with a traceId for what is not catalogued', async () => {
      const failures = [new AppError('STORAGE_FULL', 'The archive store is full at s3://id:pw@host'), new TypeError('secret detail')];
      const handler = new ScriptedHandler({
        run: async (context) => {
          await context.enter('WORK');
          throw failures.shift() ?? new Error('none left');
        },
      });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      const first = await process.begin(handler, tenantId, { input: {} });
      expect(await process.ended(first.operation.id)).toMatchObject({
        state: 'FAILED',
        failure: { code: 'STORAGE_FULL', message: 'The archive store is full at s3://***@host', retryable: true },
        steps: [{ phase: 'PREPARE', state: 'QUEUED' }, { phase: 'WORK', state: 'FAILED' }],
      });
      const second = await process.begin(handler, tenantId, { input: {} });
      const ended = await process.ended(second.operation.id);
      expect(ended.failure).toMatchObject({ code: 'INTERNAL', message: expect.stringMatching(/^Something went wrong inside Holdfast \(traceId [0-9a-f-]{32,36}\)$/) });
      expect(handler.settledWith.map(({ state }) => state)).toEqual(['FAILED', 'FAILED']);
    });

    it('is stopped by its deadline', async () => {
      const handler = new ScriptedHandler({ run: (context) => untilAborted(context.signal) }, { deadlineMs: 500 });
      const process = await start({ handlers: [handler] });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      expect(await process.ended(operation.id, 3_000)).toMatchObject({ state: 'FAILED', failure: { code: 'DEADLINE_EXCEEDED' } });
    });

    it('ends by its deadline although no worker ever took it', async () => {
      const handler = new ScriptedHandler({ run: (context) => untilAborted(context.signal) }, { deadlineMs: 300 });
      const process = await start({ handlers: [handler], concurrency: 0 });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      expect(await process.ended(operation.id, 3_000)).toMatchObject({ state: 'FAILED', failure: { code: 'DEADLINE_EXCEEDED' }, startedAt: null });
      expect(handler.settledWith).toMatchObject([{ state: 'FAILED' }]);
    });

    it('repeats a settlement that failed until it succeeds', async () => {
      let tries = 0;
      const handler = new ScriptedHandler({
        run: () => Promise.resolve({}),
        settled: () => (++tries < 3 ? Promise.reject(new Error('not yet')) : Promise.resolve()),
      });
      const process = await start({ handlers: [handler] });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await process.until(operation.id, ({ settledAt }) => settledAt !== null);
      expect(tries).toBe(3);
    });
  });

  describe('settlements that always fail', () => {
    it('keep no other one from succeeding, however many they are', async () => {
      let tries = 0;
      const handler: ScriptedHandler = new ScriptedHandler({
        run: () => Promise.resolve({}),
        settled: (): Promise<void> => (handler.settledWith.at(-1)?.input['isBroken'] === true || ++tries < 2 ? Promise.reject(new Error('not yet')) : Promise.resolve()),
      });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      for (let count = 0; count < 20; count += 1) await process.ended((await process.begin(handler, tenantId, { input: { isBroken: true } })).operation.id);
      const { operation } = await process.begin(handler, tenantId, { input: {} });
      await process.until(operation.id, ({ settledAt }) => settledAt !== null);
      await process.dataSource.query('update operation set settled_at = now() where settled_at is null');
    });
  });

  describe('several workers', () => {
    it('run each operation once, whatever number of wake-ups there are', async () => {
      const handler = new ScriptedHandler({ run: () => delay(50).then(() => ({})) }, { exclusive: false });
      const [first] = await Promise.all([start({ handlers: [handler] }), start({ handlers: [handler] }), start({ handlers: [handler] })]);
      const tenantId = await first.makeTenant();
      const started = await Promise.all(Array.from({ length: 12 }, () => first.begin(handler, tenantId, { input: {} })));
      for (const { operation } of started) {
        await first.dataSource.query(`insert into holdfast_queue.job (name, data) values ('operation.run', $1)`, [{ id: operation.id }]);
        await Promise.all(processes.map((process) => process.worker.claimAll()));
      }
      for (const { operation } of started) expect(await first.ended(operation.id)).toMatchObject({ state: 'COMPLETED', fencingToken: 1 });
      expect(handler.runs).toBe(12);
    });

    it('take no more than they may, and give every tenant its turn', async () => {
      const order: string[] = [];
      let running = 0;
      let most = 0;
      const gate = Promise.withResolvers<void>();
      const handler = new ScriptedHandler(
        {
          run: async (context) => {
            order.push(context.tenantId);
            most = Math.max(most, ++running);
            if (context.input['wait'] === true) await gate.promise;
            running--;
            return {};
          },
        },
        { exclusive: false },
      );
      const process = await start({ handlers: [handler], concurrency: 2 });
      const greedy = await process.makeTenant();
      const modest = await process.makeTenant();
      const first = await process.begin(handler, greedy, { input: { wait: true } });
      await process.until(first.operation.id, ({ state }) => state === 'RUNNING');
      await process.dataSource.transaction(async (manager) => {
        const start = { handler, input: {}, startedBy: {}, actorId: 'a', idempotencyKey: null, idempotencyInput: {} };
        for (let n = 0; n < 5; n++) await process.operations.start(manager, { ...start, tenantId: greedy });
        await process.operations.start(manager, { ...start, tenantId: modest });
      });
      const [last] = await process.dataSource.query(`select id from operation where tenant_id = $1`, [modest]);
      await process.ended(String(last.id));
      expect(order.indexOf(modest)).toBe(1);
      gate.resolve();
      await process.ended(first.operation.id);
      expect(most).toBe(2);
    });
  });

  describe('starting', () => {
    it('refuses a second exclusive operation and names the first, however many start at once', async () => {
      const handler = new ScriptedHandler({ run: (context) => untilAborted(context.signal) });
      const other = new ScriptedHandler({ run: (context) => untilAborted(context.signal) }, { kind: 'RESTORE' });
      const process = await start({ handlers: [handler, other], worker: false });
      const tenantId = await process.makeTenant();
      const outcomes = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => process.begin(n % 2 === 0 ? handler : other, tenantId, { input: {} })));
      const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.operation.id] : []));
      expect(started).toHaveLength(1);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'OPERATION_ALREADY_RUNNING', field: [toGlobalId('Operation', started[0] ?? '')] });
      }
      await expect(process.begin(handler, await process.makeTenant(), { input: {} })).resolves.toMatchObject({ replayed: false });
    });

    it('lets work that is not exclusive run beside it', async () => {
      const handler = new ScriptedHandler({ run: (context) => untilAborted(context.signal) });
      const verify = new ScriptedHandler({ run: () => Promise.resolve({}) }, { kind: 'VERIFY', exclusive: false });
      const process = await start({ handlers: [handler, verify] });
      const tenantId = await process.makeTenant();
      await process.begin(handler, tenantId, { input: {} });
      const { operation } = await process.begin(verify, tenantId, { input: {} });
      expect(await process.ended(operation.id)).toMatchObject({ state: 'COMPLETED' });
    });

    it('answers a double click with the first operation and runs it once', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      const click = () => process.begin(handler, tenantId, { input: { made: Math.random() }, idempotencyKey: 'k1', idempotencyInput: { name: 'x', b: 1 } });
      const clicks = await Promise.all(Array.from({ length: 6 }, click));
      expect(new Set(clicks.map(({ operation }) => operation.id)).size).toBe(1);
      expect(clicks.filter(({ replayed }) => !replayed)).toHaveLength(1);
      await process.ended(clicks[0]?.operation.id ?? '');
      const later = await process.begin(handler, tenantId, { input: {}, idempotencyKey: 'k1', idempotencyInput: { b: 1, name: 'x', left: undefined } });
      expect(later).toMatchObject({ replayed: true, operation: { id: clicks[0]?.operation.id, state: 'COMPLETED' } });
      expect(handler.runs).toBe(1);
    });

    it('refuses the same key with another input, tenant or kind, and takes it from another actor', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) }, { exclusive: false });
      const verify = new ScriptedHandler({ run: () => Promise.resolve({}) }, { kind: 'VERIFY', exclusive: false });
      const process = await start({ handlers: [handler, verify] });
      const [tenantId, otherTenant] = [await process.makeTenant(), await process.makeTenant()];
      const key = { input: {}, idempotencyKey: 'k', actorId: 'someone' };
      await process.begin(handler, tenantId, key);
      const mismatch = { code: 'IDEMPOTENCY_MISMATCH' };
      await expect(process.begin(handler, tenantId, { ...key, idempotencyInput: { other: true } })).rejects.toMatchObject(mismatch);
      await expect(process.begin(handler, otherTenant, key)).rejects.toMatchObject(mismatch);
      await expect(process.begin(verify, tenantId, key)).rejects.toMatchObject(mismatch);
      await expect(process.begin(handler, otherTenant, { ...key, actorId: 'somebody else' })).resolves.toMatchObject({ replayed: false });
      await expect(process.begin(handler, tenantId, { ...key, idempotencyKey: '' })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
      const both = await Promise.allSettled([tenantId, otherTenant].map((id) => process.begin(handler, id, { ...key, idempotencyKey: 'at once' })));
      expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    });

    it('forgets a key after 24 hours', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) }, { exclusive: false });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      const key = { input: {}, idempotencyKey: 'old', actorId: 'someone' };
      const first = await process.begin(handler, tenantId, key);
      await process.dataSource.query(`update idempotency_key set created_at = now() - interval '24 hours 1 second' where key = 'old'`);
      const second = await process.begin(handler, tenantId, { ...key, idempotencyInput: { other: true } });
      expect(second.replayed).toBe(false);
      expect(second.operation.id).not.toBe(first.operation.id);
    });

    it('answers an unknown tenant as not found', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) });
      const process = await start({ handlers: [handler], worker: false });
      await expect(process.begin(handler, '00000000-0000-4000-8000-000000000000', { input: {} })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });
  });

  describe('cancel', () => {
    it('ends a queued operation at once, without running it', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) });
      const process = await start({ handlers: [handler], worker: false });
      const tenantId = await process.makeTenant();
      const { operation } = await process.begin(handler, tenantId, { input: {} });
      expect(await process.operations.cancel(tenantId, operation.id)).toMatchObject({ state: 'CANCELED', failure: { code: 'CANCELED' } });
      expect(handler.settledWith).toMatchObject([{ state: 'CANCELED' }]);
      await expect(process.operations.cancel(tenantId, operation.id)).rejects.toMatchObject({ code: 'NOT_CANCELABLE' });
      await expect(process.begin(handler, tenantId, { input: {} })).resolves.toMatchObject({ replayed: false });
    });

    it('stops a running one within a second, from another process', async () => {
      const handler = new ScriptedHandler({ run: (context) => untilAborted(context.signal) });
      const api = await start({ handlers: [handler], worker: false });
      const leaseMs = 120_000;
      await start({ handlers: [handler], timing: { renewEveryMs: 60_000, leaseMs } });
      const tenantId = await api.makeTenant();
      const { operation } = await api.begin(handler, tenantId, { input: {} });
      // The first renewal would find the cancel; the next one comes in a minute.
      await api.until(operation.id, hasBeenRenewed(leaseMs));
      expect(await api.operations.cancel(tenantId, operation.id)).toMatchObject({ state: 'RUNNING' });
      await api.operations.cancel(tenantId, operation.id);
      expect(await api.ended(operation.id, 1_000)).toMatchObject({ state: 'CANCELED', failure: { code: 'CANCELED' } });
    });

    it('stops it with the next renewal when the notice is lost', async () => {
      const handler = new ScriptedHandler({ run: (context) => untilAborted(context.signal) });
      const process = await start({ handlers: [handler] });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await process.until(operation.id, ({ state }) => state === 'RUNNING');
      await process.dataSource.query('update operation set cancel_requested_at = now() where id = $1', [operation.id]);
      expect(await process.ended(operation.id, 3_000)).toMatchObject({ state: 'CANCELED' });
    });

    it('is refused past the commit point', async () => {
      const gate = Promise.withResolvers<void>();
      let aborted = false;
      const handler = new ScriptedHandler({
        run: async (context) => {
          await context.commit({ swap: 1 });
          await gate.promise;
          aborted = context.signal.aborted;
          return {};
        },
      });
      const process = await start({ handlers: [handler] });
      const tenantId = await process.makeTenant();
      const { operation } = await process.begin(handler, tenantId, { input: {} });
      await process.until(operation.id, ({ committed }) => committed);
      await expect(process.operations.cancel(tenantId, operation.id)).rejects.toMatchObject({ code: 'NOT_CANCELABLE', message: expect.stringContaining('commit point') });
      gate.resolve();
      expect(await process.ended(operation.id)).toMatchObject({ state: 'COMPLETED', journal: { swap: 1 } });
      expect(aborted).toBe(false);
    });

    it("answers another tenant's operation as unknown", async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}) });
      const process = await start({ handlers: [handler], worker: false });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await expect(process.operations.cancel(await process.makeTenant(), operation.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it('and commit: exactly one of the two wins, whenever they meet', async () => {
      const reached = new Map<string, PromiseWithResolvers<void>>();
      const handler = new ScriptedHandler(
        {
          run: async (context) => {
            reached.get(z.string().parse(context.input['n']))?.resolve();
            await delay(Number(context.input['pauseMs']));
            await context.commit({ done: true });
            return {};
          },
        },
        { exclusive: false },
      );
      const process = await start({ handlers: [handler], concurrency: 8 });
      const tenantId = await process.makeTenant();
      const states = new Set<string>();
      for (let n = 0; n < 16; n++) {
        const gate = Promise.withResolvers<void>();
        reached.set(String(n), gate);
        const { operation } = await process.begin(handler, tenantId, { input: { n: String(n), pauseMs: n % 8 } });
        await gate.promise;
        await delay((15 - n) % 8);
        const refused = await process.operations.cancel(tenantId, operation.id).then(() => false, () => true);
        const ended = await process.ended(operation.id);
        expect(ended.state).toBe(refused ? 'COMPLETED' : 'CANCELED');
        expect(ended.committed).toBe(refused);
        states.add(ended.state);
      }
      expect([...states].sort()).toEqual(['CANCELED', 'COMPLETED']);
    });
  });

  describe('a worker that is gone', () => {
    function dyingThenRecovered(recover: (context: OperationContext<JsonObject>) => Promise<JsonObject>) {
      const contexts: OperationContext<JsonObject>[] = [];
      const handler = new ScriptedHandler({
        run: async (context) => {
          contexts.push(context);
          await context.enter('WORK');
          if (context.input['commit'] === true) await context.commit({ point: 1 });
          return untilAborted(context.signal);
        },
        recover,
      });
      return { handler, contexts };
    }

    /** What a frozen process looks like from outside: its lease is not renewed. */
    async function freeze(process: OperationProcess, id: string): Promise<void> {
      await process.until(id, hasBeenRenewed(300_000));
      await process.until(id, ({ phase }) => phase === 'WORK');
      await process.dataSource.query(`update operation set lease_until = clock_timestamp() - interval '1 millisecond' where id = $1`, [id]);
    }

    it('is followed by another one with the next token, and every write of the old one is refused', async () => {
      const recovered: OperationContext<JsonObject>[] = [];
      const { handler, contexts } = dyingThenRecovered((context) => {
        recovered.push(context);
        return lost();
      });
      const process = await start({ handlers: [handler], timing: { renewEveryMs: 60_000, leaseMs: 300_000 } });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await freeze(process, operation.id);
      const ended = await process.ended(operation.id, 3_000);
      expect(ended).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST' }, fencingToken: 2 });
      expect(recovered).toMatchObject([{ fencingToken: 2, committed: false }]);
      const [zombie] = contexts;
      if (zombie === undefined) throw new Error('It never ran');
      const leaseLost = { code: 'LEASE_LOST' };
      await expect(zombie.saveJournal({ zombie: true })).rejects.toMatchObject(leaseLost);
      expect(zombie.signal.aborted).toBe(true);
      expect(zombie.leaseRemainingMs()).toBe(0);
      await expect(zombie.commit({ zombie: true })).rejects.toMatchObject(leaseLost);
      await expect(zombie.enter('PREPARE')).rejects.toMatchObject(leaseLost);
      await expect(zombie.fenced(() => Promise.resolve())).rejects.toMatchObject(leaseLost);
      zombie.log('I am still here');
      zombie.report({ bytesDone: 1, bytesTotal: 2, itemsDone: 0, itemsTotal: null, current: null });
      await delay(300);
      expect(await process.get(operation.id)).toMatchObject({ revision: ended.revision, committed: false, journal: {} });
    });

    it('is followed although the clock was years ahead when its lease was given', async () => {
      const handler = new ScriptedHandler({ run: () => Promise.resolve({}), recover: lost });
      const idle = await start({ handlers: [handler], worker: false });
      const { operation } = await idle.begin(handler, await idle.makeTenant(), { input: {} });
      await idle.dataSource.query(`update operation set state = 'RUNNING', lease_owner = 'gone', fencing_token = 1, started_at = clock_timestamp(), lease_until = clock_timestamp() + interval '3 years' where id = $1`, [operation.id]);
      await start({ handlers: [handler] });
      expect(await idle.ended(operation.id)).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST' }, fencingToken: 2 });
    });

    it('cannot even end the operation: a zombie that finishes its work changes nothing', async () => {
      const gate = Promise.withResolvers<void>();
      const handler = new ScriptedHandler({
        run: async (context) => {
          await context.enter('WORK');
          await gate.promise;
          return { zombie: true };
        },
        recover: lost,
      });
      const process = await start({ handlers: [handler], timing: { renewEveryMs: 60_000, leaseMs: 300_000 } });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await freeze(process, operation.id);
      await process.ended(operation.id, 3_000);
      gate.resolve();
      await process.worker.beforeApplicationShutdown();
      expect(await process.get(operation.id)).toMatchObject({ state: 'FAILED', result: null, failure: { code: 'WORKER_LOST' } });
    });

    it('finishes forward what was committed, trying as often as it takes', async () => {
      let tries = 0;
      const { handler } = dyingThenRecovered((context) => {
        expect(context).toMatchObject({ committed: true, journal: { point: 1 } });
        return ++tries < 3 ? Promise.reject(new AppError('TARGET_UNREACHABLE', 'The server is away')) : Promise.resolve({ forward: true });
      });
      const process = await start({ handlers: [handler], timing: { renewEveryMs: 60_000, leaseMs: 300_000 } });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: { commit: true } });
      await process.until(operation.id, ({ committed }) => committed);
      await freeze(process, operation.id);
      expect(await process.ended(operation.id)).toMatchObject({ state: 'COMPLETED', result: { forward: true }, fencingToken: 4, recoveries: 2 });
    });

    it('goes forward after a failure past the commit point', async () => {
      const handler = new ScriptedHandler({
        run: async (context) => {
          await context.commit({});
          throw new AppError('TARGET_LOST', 'The connection was lost');
        },
        recover: () => Promise.resolve({ forward: true }),
      });
      const process = await start({ handlers: [handler] });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      expect(await process.ended(operation.id)).toMatchObject({ state: 'COMPLETED', result: { forward: true } });
    });

    it('tries a clean-up that fails of something passing again, and gives up in the end', async () => {
      const { handler } = dyingThenRecovered(() => Promise.reject(new AppError('TARGET_UNREACHABLE', 'The server is away')));
      const process = await start({ handlers: [handler], timing: { renewEveryMs: 60_000, leaseMs: 300_000, recoveryPauseMs: 20 } });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await freeze(process, operation.id);
      expect(await process.ended(operation.id)).toMatchObject({ state: 'FAILED', failure: { code: 'TARGET_UNREACHABLE' } });
      expect(handler.recoveries).toBe(5);
    });

    it('ends CANCELED when a cancel had been asked for', async () => {
      const { handler } = dyingThenRecovered(lost);
      const process = await start({ handlers: [handler], timing: { renewEveryMs: 60_000, leaseMs: 300_000 }, concurrency: 1 });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await process.until(operation.id, hasBeenRenewed(300_000));
      await process.until(operation.id, ({ phase }) => phase === 'WORK');
      await process.dataSource.query(`update operation set cancel_requested_at = now(), lease_until = clock_timestamp() - interval '1 s' where id = $1`, [operation.id]);
      expect(await process.ended(operation.id, 3_000)).toMatchObject({ state: 'CANCELED' });
    });

    it('is given up when its handler does not stop, and somebody else recovers', async () => {
      const handler = new ScriptedHandler({ run: () => new Promise(() => undefined), recover: lost }, { deadlineMs: 300 });
      const process = await start({ handlers: [handler], timing: { stopWithinMs: 200 } });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      expect(await process.ended(operation.id, 10_000)).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST' }, fencingToken: 2 });
    });
  });

  describe('a shutdown', () => {
    it('stops uncommitted work, which cleans up and ends FAILED', async () => {
      let cleaned = false;
      const handler = new ScriptedHandler({
        run: async (context) => {
          try {
            return await untilAborted(context.signal);
          } finally {
            cleaned = true;
          }
        },
      });
      const process = await start({ handlers: [handler] });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await process.until(operation.id, ({ state }) => state === 'RUNNING');
      await process.worker.beforeApplicationShutdown();
      expect(await process.get(operation.id)).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_STOPPED' } });
      expect(cleaned).toBe(true);
    });

    it('lets work finish that does so within the grace', async () => {
      const gate = Promise.withResolvers<JsonObject>();
      const handler = new ScriptedHandler({ run: () => gate.promise });
      const process = await start({ handlers: [handler], graceMs: 20_000 });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await process.until(operation.id, ({ state }) => state === 'RUNNING');
      const stopping = process.worker.beforeApplicationShutdown();
      gate.resolve({ done: true });
      await stopping;
      expect(await process.get(operation.id)).toMatchObject({ state: 'COMPLETED', result: { done: true } });
    });

    it('hands uncommitted work that may begin again to another worker', async () => {
      const handler = new ScriptedHandler(
        {
          run: async (context) => {
            if (context.fencingToken > 1) return { journal: context.journal };
            await context.enter('PREPARE');
            await context.saveJournal({ half: 'done' });
            return untilAborted(context.signal);
          },
        },
        { restartable: true },
      );
      const leaving = await start({ handlers: [handler] });
      const { operation } = await leaving.begin(handler, await leaving.makeTenant(), { input: {} });
      await leaving.until(operation.id, ({ journal }) => journal['half'] === 'done');
      await leaving.worker.beforeApplicationShutdown();
      expect(await leaving.get(operation.id)).toMatchObject({ state: 'QUEUED', phase: 'QUEUED', startedAt: null, leaseOwner: null, failure: null });
      expect(handler.settledWith).toHaveLength(0);
      const next = await start({ handlers: [handler] });
      expect(await next.ended(operation.id, 5_000)).toMatchObject({ state: 'COMPLETED', result: { journal: {} }, fencingToken: 2 });
    });

    it('lets committed work finish', async () => {
      const gate = Promise.withResolvers<void>();
      const handler = new ScriptedHandler({
        run: async (context) => {
          await context.commit({});
          await gate.promise;
          return { done: true };
        },
      });
      const process = await start({ handlers: [handler] });
      const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
      await process.until(operation.id, ({ committed }) => committed);
      const stopping = process.worker.beforeApplicationShutdown();
      gate.resolve();
      await stopping;
      expect(await process.get(operation.id)).toMatchObject({ state: 'COMPLETED', result: { done: true } });
    });

    it('hands committed work that takes too long to another worker at once', async () => {
      const handler = new ScriptedHandler({
        run: async (context) => {
          await context.commit({});
          return untilAborted(context.signal);
        },
        recover: () => Promise.resolve({ forward: true }),
      });
      const timing = { stopWithinMs: 300, leaseMs: 600_000 };
      const leaving = await start({ handlers: [handler], timing });
      const { operation } = await leaving.begin(handler, await leaving.makeTenant(), { input: {} });
      await leaving.until(operation.id, ({ committed }) => committed);
      await leaving.worker.beforeApplicationShutdown();
      const next = await start({ handlers: [handler], timing });
      expect(await next.ended(operation.id, 3_000)).toMatchObject({ state: 'COMPLETED', result: { forward: true }, fencingToken: 2 });
    });
  });
});
