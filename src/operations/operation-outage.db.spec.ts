import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { OperationProcess, type OperationProcessOptions, ScriptedHandler, untilAborted } from '../../test/support/operation-process.js';
import { type OwnPostgres, runFolder, startPostgres, testDatabaseUrl } from '../../test/support/servers.js';
import { AppError } from '#errors';

Logger.overrideLogger(false);

const open: OperationProcess[] = [];
async function start(options: OperationProcessOptions): Promise<OperationProcess> {
  const process = await OperationProcess.start(options);
  open.push(process);
  return process;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((process) => process.stop()));
});

describe('operations while PostgreSQL is away', () => {
  let postgres: OwnPostgres;
  let databaseUrl: string;

  beforeAll(async () => {
    postgres = await startPostgres();
    databaseUrl = await postgres.databaseUrl();
  });
  afterAll(() => postgres.stop());

  it('go on after a restart that is shorter than the lease, and wake-ups, cancels and events work again', async () => {
    const gate = Promise.withResolvers<void>();
    const handler = new ScriptedHandler({
      run: async (context) => {
        if (context.input['wait'] !== true) return untilAborted(context.signal);
        await context.enter('WORK');
        await gate.promise;
        await context.saveJournal({ after: 'restart' });
        await context.commit({ committed: true });
        await context.enter('LATER');
        return { survived: true };
      },
    });
    const process = await start({ databaseUrl, handlers: [handler], timing: { leaseMs: 20_000 } });
    const tenantId = await process.makeTenant();
    const { operation } = await process.begin(handler, tenantId, { input: { wait: true } });
    await process.until(operation.id, ({ phase }) => phase === 'WORK');
    const seen = states(process.feed.watch(operation.id));
    await postgres.kill('SIGKILL');
    gate.resolve();
    await delay(500);
    await postgres.restart();
    expect(await process.ended(operation.id)).toMatchObject({ state: 'COMPLETED', result: { survived: true }, fencingToken: 1, journal: { after: 'restart' } });
    expect((await seen).at(-1)).toBe('COMPLETED');

    const next = await process.begin(handler, tenantId, { input: {} });
    await process.until(next.operation.id, ({ state }) => state === 'RUNNING');
    await process.operations.cancel(tenantId, next.operation.id);
    expect(await process.ended(next.operation.id, 5_000)).toMatchObject({ state: 'CANCELED' });
  });

  it('stop touching anything before the lease ends, and are recovered when it is back', async () => {
    const stopped: { code: string; remainingMs: number }[] = [];
    const handler = new ScriptedHandler({
      run: async (context) => {
        await context.enter('WORK');
        return untilAborted(context.signal).catch((error: unknown) => {
          stopped.push({ code: error instanceof AppError ? error.code : String(error), remainingMs: lease.remainingMs() });
          throw error;
        });
      },
      recover: () => Promise.reject(new AppError('WORKER_LOST', 'The process that did the work stopped')),
    });
    const timing = { leaseMs: 3_000, renewEveryMs: 500 };
    const process = await start({ databaseUrl, handlers: [handler], timing });
    const lease = new LeaseByDatabase(timing.leaseMs);
    const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
    await process.until(operation.id, ({ phase }) => phase === 'WORK');
    await postgres.kill('SIGKILL');
    lease.lastRenewedBefore(performance.now());
    const lateAt = performance.now() + 10_000;
    while (stopped.length === 0 && performance.now() < lateAt) await delay(10);
    expect(stopped).toMatchObject([{ code: 'LEASE_LOST' }]);
    expect(stopped[0]?.remainingMs).toBeGreaterThan(0);
    await postgres.restart();
    expect(await process.ended(operation.id)).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST' }, fencingToken: 2 });
  });

  it('goes on to the very end of the lease once committed', async () => {
    const ended: number[] = [];
    let committedAtMs = 0;
    let isLate = false;
    const handler = new ScriptedHandler({
      run: async (context) => {
        await context.commit({});
        committedAtMs = performance.now();
        // Beside a timer, as on a busy machine both are late, but not in another order.
        const leaseOver = setTimeout(() => (isLate = true), 3_000);
        await untilAborted(context.signal).catch(() => ended.push(performance.now() - committedAtMs));
        clearTimeout(leaseOver);
        throw new AppError('LEASE_LOST', 'lost');
      },
      recover: () => Promise.resolve({ forward: true }),
    });
    // No renewal in the test's time: the lease ends 3 s after the claim.
    const process = await start({ databaseUrl, handlers: [handler], timing: { leaseMs: 3_000, renewEveryMs: 60_000 } });
    const { operation } = await process.begin(handler, await process.makeTenant(), { input: {} });
    await process.until(operation.id, ({ committed }) => committed);
    await postgres.kill('SIGKILL');
    await delay(2_000);
    await postgres.restart();
    expect(await process.ended(operation.id)).toMatchObject({ state: 'COMPLETED', result: { forward: true }, fencingToken: 2 });
    expect(ended[0]).toBeGreaterThan(2_600);
    expect(isLate).toBe(false);
  });
});

describe('operations of a process that is killed', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  async function startWorker(env: Record<string, string>): Promise<ChildProcess> {
    const support = join(import.meta.dirname, '../../test/support');
    const child = spawn(process.execPath, ['--import', join(support, 'typescript-hooks.mjs'), join(support, 'operation-worker-program.ts')], {
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    for await (const line of createInterface({ input: child.stdout })) if (line === 'ready') return child;
    throw new Error('The worker ended before it was ready');
  }

  it('are FAILED with a reason within 30 seconds of kill -9, cleaned up, and the next one starts', async () => {
    const databaseUrl = await testDatabaseUrl();
    const handler = new ScriptedHandler({ run: () => Promise.reject(new Error('not here')) });
    const api = await start({ databaseUrl, handlers: [handler], worker: false });
    const env = { DATABASE_URL: databaseUrl, WORK_FILE: join(runFolder(), `work-${randomUUID()}`) };
    const doomed = await startWorker({ ...env, FAULT_POINTS: 'work.middle=kill' });
    const killed = new Promise<string | null>((resolve) => doomed.once('exit', (_code, signal) => resolve(signal)));
    const tenantId = await api.makeTenant();
    const { operation } = await api.begin(handler, tenantId, { input: {} });
    expect(await killed).toBe('SIGKILL');
    const killedAtMs = performance.now();
    expect(existsSync(env.WORK_FILE)).toBe(true);
    await expect(api.begin(handler, tenantId, { input: {} })).rejects.toMatchObject({ code: 'OPERATION_ALREADY_RUNNING' });
    await startWorker(env);
    const ended = await api.ended(operation.id, 30_000);
    expect(performance.now() - killedAtMs).toBeLessThan(30_000);
    expect(ended).toMatchObject({ state: 'FAILED', failure: { code: 'WORKER_LOST', retryable: true } });
    expect(existsSync(env.WORK_FILE)).toBe(false);
    await expect(api.begin(handler, tenantId, { input: {} })).resolves.toMatchObject({ replayed: false });
  });
});

async function states(watched: AsyncIterable<{ readonly state: string }>): Promise<string[]> {
  const seen: string[] = [];
  for await (const { state } of watched) seen.push(state);
  return seen;
}

/** The latest moment to which the database can have extended a lease, as the test knows it. */
class LeaseByDatabase {
  private endsAtMs = Infinity;
  constructor(private readonly leaseMs: number) {}

  lastRenewedBefore(nowMs: number): void {
    this.endsAtMs = nowMs + this.leaseMs;
  }

  remainingMs(): number {
    return this.endsAtMs - performance.now();
  }
}
