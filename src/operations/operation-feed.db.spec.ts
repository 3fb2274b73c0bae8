import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { OperationProcess, type OperationProcessOptions, ScriptedHandler, untilAborted } from '../../test/support/operation-process.js';
import { testDatabaseUrl } from '../../test/support/servers.js';
import type { OperationEntity } from './operation.entity.js';

Logger.overrideLogger(false);

describe('OperationFeed', () => {
  let databaseUrl: string;
  const open: OperationProcess[] = [];

  beforeAll(async () => {
    databaseUrl = await testDatabaseUrl();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((process) => process.stop()));
  });

  async function start(options: Omit<OperationProcessOptions, 'databaseUrl'>): Promise<OperationProcess> {
    const process = await OperationProcess.start({ databaseUrl, ...options });
    open.push(process);
    return process;
  }

  function reporting(forMs: number): ScriptedHandler {
    return new ScriptedHandler(
      {
        run: async (context) => {
          await context.enter('WORK');
          const startedAtMs = performance.now();
          for (let doneMs = 0; doneMs < forMs; doneMs = performance.now() - startedAtMs) {
            context.report({ bytesDone: Math.round(doneMs), bytesTotal: forMs, itemsDone: 0, itemsTotal: null, current: 'orders' });
            await delay(5);
          }
          return { done: true };
        },
      },
      { phases: ['WORK'] },
    );
  }

  async function collect(watched: AsyncIterable<OperationEntity>): Promise<{ operation: OperationEntity; atMs: number }[]> {
    const seen: { operation: OperationEntity; atMs: number }[] = [];
    for await (const operation of watched) seen.push({ operation, atMs: performance.now() });
    return seen;
  }

  it('shows the current state at once, then growing revisions at most four times a second, and the final one, on another instance', async () => {
    const handler = reporting(1_500);
    const worker = await start({ handlers: [handler] });
    const api = await start({ handlers: [handler], worker: false });
    const { operation } = await api.begin(handler, await api.makeTenant(), { input: {} });
    const subscribedAtMs = performance.now();
    const seen = await collect(api.feed.watch(operation.id));
    expect((seen[0]?.atMs ?? Infinity) - subscribedAtMs).toBeLessThan(200);
    const revisions = seen.map((state) => state.operation.revision);
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
    const percents = seen.flatMap((state) => state.operation.progress.percent ?? []);
    expect(percents).toEqual([...percents].sort((a, b) => a - b));
    expect(percents.filter((percent) => percent > 0 && percent < 100).length).toBeGreaterThan(2);
    expect(seen.length).toBeLessThanOrEqual(9);
    for (const [index, state] of seen.slice(1, -1).entries()) expect(state.atMs - (seen[index]?.atMs ?? 0)).toBeGreaterThan(245);
    expect(seen.at(-1)?.operation).toMatchObject({ state: 'COMPLETED', progress: { percent: 100 }, result: { done: true } });
    expect(seen.at(-1)?.operation.revision).toBe((await worker.get(operation.id)).revision);
  });

  it('gives one state of an operation that has ended, and completes', async () => {
    const handler = reporting(1);
    const process = await start({ handlers: [handler] });
    const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
    await process.ended(operation.id);
    expect(await collect(process.feed.watch(operation.id))).toMatchObject([{ operation: { state: 'COMPLETED' } }]);
  });

  it('lets a client go while it waits, and forgets it', async () => {
    const handler = new ScriptedHandler({ run: (context) => untilAborted(context.signal) });
    const process = await start({ handlers: [handler], worker: false });
    const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
    const watched = process.feed.watch(operation.id);
    await watched.next();
    const waiting = watched.next();
    await watched.return?.();
    expect(await waiting).toMatchObject({ done: true });
    expect(process.bus.subscriberCount).toBe(0);
  });

  it('serves a thousand subscribers with one read for each change, and does not slow the work', async () => {
    const handler = reporting(1_000);
    const process = await start({ handlers: [handler] });
    const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
    const read = jest.spyOn(process.repository, 'findAnywhere');
    const seen = await Promise.all(Array.from({ length: 1_000 }, () => collect(process.feed.watch(operation.id))));
    const { revision, startedAt, finishedAt } = await process.get(operation.id);
    expect(seen.every((states) => states.at(-1)?.operation.revision === revision)).toBe(true);
    expect(read.mock.calls.length).toBeLessThanOrEqual(revision + 2);
    expect((finishedAt?.getTime() ?? Infinity) - (startedAt?.getTime() ?? 0)).toBeLessThan(2_500);
  });

  it('shows a tenant its running operations and their ends, and nobody else’s', async () => {
    const gate = Promise.withResolvers<void>();
    const handler = new ScriptedHandler({ run: () => gate.promise.then(() => ({})) }, { exclusive: false });
    const process = await start({ handlers: [handler] });
    const [tenantId, otherTenant] = [await process.makeTenant(), await process.makeTenant()];
    const first = await process.begin(handler, tenantId, { input: {} });
    const watched = process.feed.watchTenant(tenantId);
    const states: [string, string][] = [];
    const watching = (async () => {
      for await (const { id, state } of { [Symbol.asyncIterator]: () => watched }) {
        states.push([id, state]);
        if (states.filter(([, one]) => one === 'COMPLETED').length === 2) return;
      }
    })();
    await process.until(first.operation.id, ({ state }) => state === 'RUNNING');
    const second = await process.begin(handler, tenantId, { input: {} });
    const foreign = await process.begin(handler, otherTenant, { input: {} });
    await process.until(second.operation.id, ({ state }) => state === 'RUNNING');
    gate.resolve();
    await watching;
    expect(new Set(states.map(([id]) => id))).toEqual(new Set([first.operation.id, second.operation.id]));
    expect(states.some(([id]) => id === foreign.operation.id)).toBe(false);
    expect(process.bus.subscriberCount).toBe(1);
  });

  it('completes although the connection that brings the events was cut meanwhile', async () => {
    const gate = Promise.withResolvers<void>();
    const handler = new ScriptedHandler({ run: () => gate.promise.then(() => ({})) });
    const process = await start({ handlers: [handler] });
    const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
    await process.until(operation.id, ({ state }) => state === 'RUNNING');
    const watching = collect(process.feed.watch(operation.id));
    await process.dataSource.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holdfast-events' and datname = current_database()`);
    gate.resolve();
    expect((await watching).at(-1)?.operation).toMatchObject({ state: 'COMPLETED' });
  });
});
