import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Logger } from '@nestjs/common';
import { AppError, redact } from '#errors';
import { isConnectionLoss } from '../platform/database/connection-loss.js';
import type { EventBus } from '../platform/events/event-bus.js';
import type { NoticeStream } from '../platform/events/notice-stream.js';
import type { WorkQueue } from '../platform/queue/work-queue.js';
import { type Claim, leaseLost, type LeasedOperationRepository } from './leased-operation.repository.js';
import type { OperationHandlers } from './operation-handlers.js';
import { operationQueue } from './operation-queue.js';
import type { OperationRunner, RunMode } from './operation-runner.js';
import type { OperationsService } from './operations.service.js';
import type { OperationSettlement } from './operation-settlement.js';
import { longestRecoveryPauseMs, type OperationTiming } from './operation-timing.js';
import { canceled, type RunningOperation } from './running-operation.js';

/** Dead operations are recovered beside the normal work: a full worker must not leave a tenant in maintenance. */
const maxRecoveries = 8;
const forgetKeysEveryMs = 3_600_000;

interface Execution {
  readonly running: RunningOperation;
  readonly mode: RunMode;
  readonly done: Promise<void>;
}

export interface OperationWorkerParts {
  readonly rows: LeasedOperationRepository;
  readonly handlers: OperationHandlers;
  readonly runner: OperationRunner;
  readonly operations: OperationsService;
  readonly settlement: OperationSettlement;
  readonly queue: WorkQueue;
  readonly bus: EventBus;
  readonly timing: OperationTiming;
  readonly concurrency: number;
  /** How long running work may go on when the process is told to end. */
  readonly graceMs: number;
  /** False in a process that only answers requests. */
  readonly enabled: boolean;
}

/** Claims operations, runs as many at once as it may, recovers the dead, and lets go in good order at shutdown. */
export class OperationWorker implements BeforeApplicationShutdown {
  private readonly logger = new Logger(OperationWorker.name);
  private readonly owner = `${hostname()}:${process.pid}:${randomUUID()}`;
  private readonly executions = new Set<Execution>();
  private readonly stopped = new AbortController();
  private claiming: Promise<void> | null = null;
  private claimAgain = false;
  private slotFree = Promise.withResolvers<void>();
  private cancels: NoticeStream | null = null;
  private sweeping: Promise<void> = Promise.resolve();
  private waking: Promise<void> = Promise.resolve();
  private keysForgottenAtMs = -Infinity;

  constructor(private readonly parts: OperationWorkerParts) {}

  /** From here on it claims. Resolves when new operations wake it. */
  async begin(): Promise<void> {
    if (!this.parts.enabled || this.stopped.signal.aborted) return;
    this.cancels = this.parts.bus.subscribe('operation-cancel');
    void this.hearCancels(this.cancels);
    this.sweeping = this.sweepUntilStopped();
    this.waking = this.takeWakeUps();
    await this.waking;
  }

  /**
   * Nothing new begins; what runs may finish for a while. Then uncommitted work stops and cleans up, to begin again elsewhere where that is safe, and
   * committed work is finished here or by another worker.
   */
  async beforeApplicationShutdown(): Promise<void> {
    if (!this.parts.enabled || this.stopped.signal.aborted) return;
    this.stopped.abort();
    this.slotFree.resolve();
    await this.waking;
    await this.parts.queue.stopWork(operationQueue);
    await this.cancels?.return();
    await Promise.all([this.claiming, this.sweeping]);
    if (await this.allDoneWithin(this.parts.graceMs)) return;
    for (const { running, mode } of this.executions) {
      if (mode === 'run') running.abort(new AppError('WORKER_STOPPED', 'Holdfast was shut down during the work'));
    }
    if (await this.allDoneWithin(this.parts.timing.stopWithinMs)) return;
    const unfinished = [...this.executions];
    for (const { running } of unfinished) running.abort(leaseLost());
    await this.allDoneWithin(this.parts.timing.stopWithinMs / 10);
    for (const execution of unfinished) await this.letGo(execution);
  }

  /** Claims until there is no slot or nothing to do; a call during a claim makes it look once more. */
  claimAll(): Promise<void> {
    this.claimAgain = true;
    this.claiming ??= this.claimLoop().finally(() => (this.claiming = null));
    return this.claiming;
  }

  /** Also run every few seconds: what a lost wake-up or a dead worker left. */
  async sweep(): Promise<void> {
    const { leaseMs } = this.parts.timing;
    await this.parts.rows.shorten(leaseMs, leaseMs + 2 * longestRecoveryPauseMs);
    while (!this.stopped.signal.aborted && this.count('recover') < maxRecoveries) {
      const askedAtMs = performance.now();
      const claim = await this.parts.rows.takeOver(this.owner, this.parts.handlers.kinds, this.parts.timing.leaseMs);
      if (claim === null) break;
      this.logger.warn({ msg: 'Recovering an operation whose worker is gone', operationId: claim.operation.id, fencingToken: claim.operation.fencingToken });
      this.start(claim, 'recover', askedAtMs);
    }
    await this.parts.operations.endQueuedPastDeadline();
    await this.parts.settlement.settleLeftOvers();
    await this.forgetOldKeys();
    await this.claimAll();
  }

  private async forgetOldKeys(): Promise<void> {
    if (performance.now() - this.keysForgottenAtMs < forgetKeysEveryMs) return;
    this.keysForgottenAtMs = performance.now();
    await this.parts.operations.forgetOldKeys();
  }

  private async claimLoop(): Promise<void> {
    while (this.claimAgain) {
      this.claimAgain = false;
      while (this.freeSlots() > 0 && !this.stopped.signal.aborted) {
        const askedAtMs = performance.now();
        const claim = await this.parts.rows.claimQueued(this.owner, this.parts.handlers.kinds, this.parts.timing.leaseMs);
        if (claim === null) break;
        this.start(claim, 'run', askedAtMs);
      }
    }
  }

  private start(claim: Claim, mode: RunMode, claimedAtMs: number): void {
    const handler = this.parts.handlers.find(claim.operation.kind);
    if (handler === null) throw new Error(`No handler for ${claim.operation.kind}`);
    const running = this.parts.runner.prepare(claim, handler);
    const done = this.parts.runner.execute(running, claim, handler, mode, claimedAtMs);
    const execution: Execution = { running, mode, done };
    this.executions.add(execution);
    void done.then(() => {
      this.executions.delete(execution);
      this.slotFree.resolve();
      this.slotFree = Promise.withResolvers<void>();
      if (!this.stopped.signal.aborted) this.claimAll().catch((error: unknown) => this.complain(error));
    });
  }

  /** Until it does, the sweep finds what there is to do. */
  private async takeWakeUps(): Promise<void> {
    const { signal } = this.stopped;
    for (let taken = false; !taken && !signal.aborted; ) {
      taken = await this.parts.queue.work(operationQueue, () => this.wake()).then(
        () => true,
        (error: unknown) => (this.complain(error), false),
      );
      if (!taken) await delay(this.parts.timing.sweepEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  private async wake(): Promise<void> {
    await this.claimAll();
    // Holding the message while there is no slot keeps this process from taking wake-ups that another one could act on.
    while (this.freeSlots() <= 0 && !this.stopped.signal.aborted) await this.slotFree.promise;
  }

  private async hearCancels(stream: NoticeStream): Promise<void> {
    for await (const event of stream) {
      if (event.kind !== 'changed') continue;
      for (const { running, mode } of this.executions) {
        if (running.id !== event.id) continue;
        // Past its commit point it is not canceled, it was abandoned.
        if (running.committed) running.checkLease();
        else if (mode === 'run') running.abort(canceled());
      }
    }
  }

  private async sweepUntilStopped(): Promise<void> {
    const { signal } = this.stopped;
    while (!signal.aborted) {
      await this.sweep().catch((error: unknown) => this.complain(error));
      await delay(this.parts.timing.sweepEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  private async allDoneWithin(limitMs: number): Promise<boolean> {
    const late = new AbortController();
    const timeout = delay(limitMs, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([Promise.all([...this.executions].map(({ done }) => done)), timeout]);
    late.abort();
    return this.executions.size === 0;
  }

  /** What has stopped touching anything is free for the next worker at once; what has not keeps its lease until that runs out. */
  private async letGo(execution: Execution): Promise<void> {
    if (this.executions.has(execution)) return;
    const { running } = execution;
    await this.parts.rows.release(running.id, running.fencingToken, 0, false).catch((error: unknown) => this.complain(error));
  }

  private freeSlots(): number {
    return this.parts.concurrency - this.count('run');
  }

  private count(mode: RunMode): number {
    let count = 0;
    for (const execution of this.executions) if (execution.mode === mode) count++;
    return count;
  }

  private complain(error: unknown): void {
    const text = redact(error instanceof Error ? error.message : String(error));
    if (isConnectionLoss(error)) this.logger.warn({ msg: 'The database is away; looking for work again soon', error: text });
    else this.logger.error({ msg: 'Looking for work failed', error: text });
  }
}
