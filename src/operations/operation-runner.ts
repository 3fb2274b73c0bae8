import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { AppError, type ErrorCode, redact } from '#errors';
import { isConnectionLoss } from '../platform/database/connection-loss.js';
import { runInTransaction } from '../platform/database/data-source.js';
import type { EventBus } from '../platform/events/event-bus.js';
import type { FaultPoints } from './fault-points.js';
import { LeaseKeeper } from './lease-keeper.js';
import { type Claim, type Ending, leaseLost, type LeasedOperationRepository } from './leased-operation.repository.js';
import { failureOf, failureOfAny } from './operation-failure.js';
import type { JsonObject, OperationHandler } from './operation-handler.js';
import type { OperationMetrics } from './operation-metrics.js';
import type { OperationSettlement } from './operation-settlement.js';
import { endSteps, stepsOf } from './operation-steps.js';
import { OperationTrack } from './operation-track.js';
import { longestRecoveryPauseMs, maxCleanupTries, type OperationTiming } from './operation-timing.js';
import { ProgressMeter } from './progress-meter.js';
import { canceled, RunningOperation } from './running-operation.js';

export type RunMode = 'run' | 'recover';

type Outcome =
  | { readonly kind: 'returned'; readonly result: JsonObject }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'abandoned' };

/** Traces may be left: worth another try. */
const passing: ReadonlySet<ErrorCode> = new Set(['TARGET_UNREACHABLE', 'TARGET_LOST', 'STORAGE_UNAVAILABLE', 'STORE_CHANGED', 'UNAVAILABLE', 'SECRET_UNREADABLE', 'INTERNAL']);
const longestTimerMs = 2 ** 31 - 1;

/** Carries one claimed operation from its claim to its end, its release, or the loss of its lease. */
export class OperationRunner {
  private readonly logger = new Logger(OperationRunner.name);

  constructor(
    private readonly dataSource: DataSource,
    private readonly rows: LeasedOperationRepository,
    private readonly settlement: OperationSettlement,
    private readonly bus: EventBus,
    private readonly faults: FaultPoints,
    private readonly timing: OperationTiming,
    private readonly metrics: OperationMetrics | null = null,
  ) {}

  prepare(claim: Claim, handler: OperationHandler): RunningOperation {
    const { operation } = claim;
    const phases = operation.steps.map(({ phase }) => phase);
    const meter = new ProgressMeter(phases, handler.weights ?? {}, operation.progress, operation.startedAt?.getTime() ?? Date.now());
    return new RunningOperation({
      operation,
      input: operation.input,
      rows: this.rows,
      meter,
      faults: this.faults,
      timing: this.timing,
      track: new OperationTrack(operation, this.metrics),
      announce: (revision) => void this.announce(operation.id, operation.tenantId, revision),
    });
  }

  /** Never throws: whatever happens is in the row, or in the log if the row is no longer ours. */
  execute(running: RunningOperation, claim: Claim, handler: OperationHandler, mode: RunMode, claimedAtMs: number): Promise<void> {
    if (mode === 'recover') running.track.recovering();
    return running.track.follow(() => {
      this.logger.log({ msg: mode === 'run' ? 'An operation began' : 'An operation is recovered', fencingToken: running.fencingToken });
      return this.carry(running, claim, handler, mode, claimedAtMs);
    });
  }

  private async carry(running: RunningOperation, claim: Claim, handler: OperationHandler, mode: RunMode, claimedAtMs: number): Promise<void> {
    const { operation } = claim;
    const keeper = new LeaseKeeper(() => this.rows.renew(running.id, running.fencingToken, this.timing.leaseMs), this.timing, claimedAtMs, {
      onCancelRequested: () => mode === 'run' && running.abort(canceled()),
      onLost: () => running.abort(leaseLost()),
      isCommitted: () => running.committed,
    });
    running.hold(keeper);
    keeper.start();
    const deadline = mode === 'run' ? this.startDeadline(running, claim.deadlineInMs) : undefined;
    try {
      void this.announce(running.id, running.tenantId, operation.revision);
      const outcome = await this.outcomeOf(running, handler, mode);
      clearTimeout(deadline);
      await this.conclude(running, claim, handler, outcome, mode);
    } catch (error) {
      if (!running.isLost) this.logger.error({ msg: 'The end of an operation could not be written; it will be recovered', operationId: running.id, error: redact(String(error)) });
    } finally {
      clearTimeout(deadline);
      keeper.stop();
    }
  }

  private async outcomeOf(running: RunningOperation, handler: OperationHandler, mode: RunMode): Promise<Outcome> {
    const given = Promise.withResolvers<Outcome>();
    const work = async (): Promise<Outcome> => {
      try {
        handler.input.parse(running.input);
        return { kind: 'returned', result: await (mode === 'run' ? handler.run(running) : handler.recover(running)) };
      } catch (error) {
        return { kind: 'threw', error };
      }
    };
    const done = new AbortController();
    const whenAborted = () =>
      void delay(this.timing.abandonAfterMs, undefined, { signal: done.signal }).then(
        () => given.resolve({ kind: 'abandoned' }),
        () => undefined,
      );
    running.signal.addEventListener('abort', whenAborted, { once: true });
    if (running.signal.aborted) whenAborted();
    void work().then(given.resolve);
    try {
      return await given.promise;
    } finally {
      done.abort();
      running.signal.removeEventListener('abort', whenAborted);
    }
  }

  private async conclude(running: RunningOperation, { operation }: Claim, handler: OperationHandler, outcome: Outcome, mode: RunMode): Promise<void> {
    const log = { operationId: running.id, kind: operation.kind, fencingToken: running.fencingToken };
    if (outcome.kind === 'abandoned') {
      this.logger.error({ msg: 'The work did not stop when it was told to; it is given up and will be recovered', ...log });
      return;
    }
    const error = outcome.kind === 'threw' ? outcome.error : null;
    if (running.isLost || (error instanceof AppError && error.code === 'LEASE_LOST')) {
      running.track.leaseLost();
      this.logger.warn({ msg: 'The lease was lost; nothing more is touched here', ...log });
      return;
    }
    if (outcome.kind === 'threw') this.note(running, error, mode);
    await running.close();
    const at = new Date().toISOString();
    if (outcome.kind === 'returned') {
      const progress = { ...running.progress(), percent: 100, etaMs: 0, current: null };
      return this.end(running, { state: 'COMPLETED', steps: endSteps(running.steps, 'COMPLETED', at), progress, failure: null, result: outcome.result });
    }
    const failure = failureOfAny(running.abortReason ?? error, running.id);
    const triesAgain = running.committed || (mode === 'recover' && passing.has(failure.code) && operation.recoveries + 1 < maxCleanupTries);
    if (triesAgain) {
      const pauseMs = Math.min(longestRecoveryPauseMs, this.timing.recoveryPauseMs * 2 ** Math.min(operation.recoveries, 10));
      this.logger.warn({ msg: 'The work is not finished; it will be recovered', ...log, code: failure.code, pauseMs });
      return this.release(running, pauseMs, mode === 'recover');
    }
    if (failure.code === 'WORKER_STOPPED' && handler.restartable === true && mode === 'run' && (await this.handOver(running, handler))) return;
    const state = failure.code === 'CANCELED' || (mode === 'recover' && operation.cancelRequestedAt !== null) ? 'CANCELED' : 'FAILED';
    return this.end(running, {
      state,
      steps: endSteps(running.steps, state, at),
      progress: { ...running.progress(), etaMs: null },
      failure: state === 'CANCELED' ? failureOf(canceled()) : failure,
      result: null,
    });
  }

  /** Another worker begins it from the start. */
  private async handOver(running: RunningOperation, handler: OperationHandler): Promise<boolean> {
    const revision = await running.patiently(() => this.rows.requeue(running.id, running.fencingToken, stepsOf(handler.phases(running.input))));
    if (revision === null) return false;
    this.logger.log({ msg: 'An operation is handed over to another worker' });
    await this.announce(running.id, running.tenantId, revision);
    return true;
  }

  async release(running: RunningOperation, pauseMs: number, wasRecovery: boolean): Promise<void> {
    await running.patiently(() => this.rows.release(running.id, running.fencingToken, pauseMs, wasRecovery));
  }

  private async end(running: RunningOperation, ending: Ending): Promise<void> {
    const revision = await running.patiently(() =>
      runInTransaction(this.dataSource, async (manager) => {
        const written = await this.rows.finish(running.id, running.fencingToken, ending, manager);
        if (written !== null) await this.settlement.settle(running.id, manager);
        return written;
      }),
    );
    if (revision === null) {
      this.logger.warn({ msg: 'The end of an operation was not ours to write', operationId: running.id });
    } else {
      this.logger.log({ msg: 'An operation ended', state: ending.state, code: ending.failure?.code });
      running.track.ended(ending.state, ending.failure?.code ?? null, ending.progress.bytesDone);
      await this.announce(running.id, running.tenantId, revision);
    }
  }

  private note(running: RunningOperation, error: unknown, mode: RunMode): void {
    const reason = running.abortReason ?? error;
    const text = reason instanceof AppError ? `${reason.code}: ${reason.message}` : 'INTERNAL: something went wrong inside Holdfast';
    running.log(mode === 'run' ? `Stopped: ${text}` : `After a worker was lost: ${text}`, reason instanceof AppError && reason.code === 'CANCELED' ? 'INFO' : 'ERROR');
  }

  private startDeadline(running: RunningOperation, inMs: number): NodeJS.Timeout {
    return setTimeout(() => running.abort(new AppError('DEADLINE_EXCEEDED', 'The operation took longer than it may')), Math.min(longestTimerMs, Math.max(0, inMs)));
  }

  /** A notice that is lost costs a subscriber one state in between; the next one, or the resync after a reconnect, shows the newest. */
  private async announce(id: string, tenantId: string, revision: number): Promise<void> {
    try {
      await this.bus.publish({ topic: 'operation', id, tenantId, revision });
    } catch (error) {
      if (!isConnectionLoss(error)) this.logger.error({ msg: 'An event could not be sent', operationId: id, error: redact(String(error)) });
    }
  }
}
