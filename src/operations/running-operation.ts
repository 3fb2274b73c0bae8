import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AppError, redact } from '#errors';
import type { WorkProgress } from '#engines';
import { isConnectionLoss } from '../platform/database/connection-loss.js';
import type { FaultPoints } from './fault-points.js';
import type { LeaseKeeper } from './lease-keeper.js';
import { leaseLost, type LeasedOperationRepository, type LogLine } from './leased-operation.repository.js';
import type { JsonObject, OperationContext } from './operation-handler.js';
import { enterStep } from './operation-steps.js';
import type { OperationTiming } from './operation-timing.js';
import type { OperationProgress, OperationStep, WholeOperationEntity } from './operation.entity.js';
import type { OperationTrack } from './operation-track.js';
import type { ProgressMeter } from './progress-meter.js';

const maxLogLines = 2_000;
const maxLogLength = 2_000;
const retryMs = 200;

export interface RunningOperationParts {
  readonly operation: WholeOperationEntity;
  readonly input: JsonObject;
  readonly rows: LeasedOperationRepository;
  readonly meter: ProgressMeter;
  readonly faults: FaultPoints;
  readonly timing: OperationTiming;
  readonly track: OperationTrack;
  /** Tells subscribers; never throws. */
  readonly announce: (revision: number) => void;
}

/**
 * The one holder of an operation's lease: what a handler sees as its context, and what the worker steers. Every write passes `write`, which
 * is conditional on the token, survives a short absence of PostgreSQL, and never outlives the lease.
 */
export class RunningOperation implements OperationContext<JsonObject> {
  readonly id: string;
  readonly tenantId: string;
  readonly input: JsonObject;
  readonly fencingToken: number;
  private readonly logger = new Logger(RunningOperation.name);
  private readonly aborter = new AbortController();
  private readonly rows: LeasedOperationRepository;
  private keeper: LeaseKeeper | null = null;
  private isCommitted: boolean;
  private commitUnderWay = false;
  private lost = false;
  private ended = false;
  private postponedAbort: AppError | null = null;
  private knownJournal: JsonObject;
  private knownSteps: readonly OperationStep[];
  private pendingLines: LogLine[] = [];
  private lineCount = 0;
  private progressTimer: NodeJS.Timeout | null = null;
  private progressSent = Promise.resolve();

  constructor(private readonly parts: RunningOperationParts) {
    const { operation } = parts;
    this.id = operation.id;
    this.tenantId = operation.tenantId;
    this.input = parts.input;
    this.fencingToken = operation.fencingToken;
    this.rows = parts.rows;
    this.isCommitted = operation.committed;
    this.knownJournal = operation.journal;
    this.knownSteps = operation.steps;
  }

  get signal(): AbortSignal {
    return this.aborter.signal;
  }

  get committed(): boolean {
    return this.isCommitted;
  }

  get journal(): JsonObject {
    return this.knownJournal;
  }

  get steps(): readonly OperationStep[] {
    return this.knownSteps;
  }

  /** Kept beside the signal, which keeps its first reason: a canceled operation can lose its lease while it cleans up. */
  get isLost(): boolean {
    return this.lost;
  }

  get track(): OperationTrack {
    return this.parts.track;
  }

  get abortReason(): AppError | null {
    const reason: unknown = this.signal.reason;
    return this.signal.aborted && reason instanceof AppError ? reason : null;
  }

  hold(keeper: LeaseKeeper): void {
    this.keeper = keeper;
  }

  /** Now instead of with the next renewal. */
  checkLease(): void {
    this.keeper?.check();
  }

  leaseRemainingMs(): number {
    return this.isLost ? 0 : (this.keeper?.remainingMs() ?? 0);
  }

  /** Cancel, deadline and shutdown stop the work up to the commit point; while that is being passed the database decides first. */
  abort(reason: AppError): void {
    if (reason.code === 'LEASE_LOST') this.lose(reason);
    else if (this.commitUnderWay) this.postponedAbort ??= reason;
    else if (!this.isCommitted) this.aborter.abort(reason);
  }

  async enter(phase: string): Promise<void> {
    this.parts.track.enter(phase, this.progress().bytesDone);
    this.knownSteps = enterStep(this.knownSteps, phase, new Date().toISOString());
    this.parts.meter.enter(phase);
    await this.write(() => this.rows.enterPhase(this.id, this.fencingToken, phase, this.knownSteps, this.progress()));
  }

  report(progress: WorkProgress): void {
    this.parts.meter.report(progress);
    this.sendProgressSoon();
  }

  log(message: string, level: LogLine['level'] = 'INFO'): void {
    if (++this.lineCount > maxLogLines) return;
    // PostgreSQL takes no zero bytes in text.
    const text = this.lineCount === maxLogLines ? 'Further lines are left out' : redact(message).replaceAll('\0', '').slice(0, maxLogLength);
    this.pendingLines.push({ at: new Date(), level, message: text });
    this.sendProgressSoon();
  }

  async saveJournal(patch: JsonObject): Promise<void> {
    await this.write(() => this.rows.saveJournal(this.id, this.fencingToken, patch));
    this.knownJournal = { ...this.knownJournal, ...patch };
  }

  async attachBackup(backupId: string): Promise<void> {
    await this.write(() => this.rows.attachBackup(this.id, this.fencingToken, backupId));
  }

  async commit(patch: JsonObject, also?: (manager: EntityManager) => Promise<void>): Promise<void> {
    if (this.abortReason !== null) throw this.abortReason;
    this.commitUnderWay = true;
    try {
      const outcome = await this.patiently(() => this.rows.commit(this.id, this.fencingToken, patch, also));
      if (outcome === 'LOST') throw this.lose();
      if (outcome === 'CANCELED') throw (this.postponedAbort = canceled());
      this.isCommitted = true;
      this.knownJournal = { ...this.knownJournal, ...patch };
    } finally {
      this.commitUnderWay = false;
      if (this.postponedAbort !== null) this.abort(this.postponedAbort);
    }
  }

  fenced<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.patiently(() => this.rows.fenced(this.id, this.fencingToken, work));
  }

  faultPoint(name: string): Promise<void> {
    return this.parts.faults.reach(name, this.id, this.signal);
  }

  progress(): OperationProgress {
    return this.parts.meter.snapshot(Date.now());
  }

  /** The handler is done: no more progress, and the log lines that are still here go out. A line that cannot be written does not stop the ending. */
  async close(): Promise<void> {
    this.ended = true;
    if (this.progressTimer !== null) clearTimeout(this.progressTimer);
    this.progressTimer = null;
    await this.progressSent;
    await this.sendLines().catch(() => undefined);
  }

  /** Repeats `attempt` while PostgreSQL is away and the lease lasts. */
  async patiently<T>(attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.isLost) throw leaseLost();
      try {
        return await attempt();
      } catch (error) {
        if (error instanceof AppError && error.code === 'LEASE_LOST') throw this.lose(error);
        if (!isConnectionLoss(error)) throw error;
        if (this.leaseRemainingMs() <= 0) throw this.lose(leaseLost(error));
        await delay(retryMs);
      }
    }
  }

  private async write(statement: () => Promise<number | null>): Promise<void> {
    const revision = await this.patiently(statement);
    if (revision === null) throw this.lose();
    this.parts.announce(revision);
  }

  private lose(reason: AppError = leaseLost()): AppError {
    this.lost = true;
    this.keeper?.stop();
    this.aborter.abort(reason);
    return reason;
  }

  private sendProgressSoon(): void {
    if (this.progressTimer !== null || this.lost || this.ended) return;
    this.progressTimer = setTimeout(() => {
      this.progressSent = this.sendProgress().finally(() => (this.progressTimer = null));
    }, this.parts.timing.progressEveryMs);
  }

  /** A lost report is made good by the next one, and a lost lease is found out by the keeper. */
  private async sendProgress(): Promise<void> {
    try {
      await this.sendLines();
      const revision = await this.rows.saveProgress(this.id, this.fencingToken, this.progress());
      if (revision === null) this.lose();
      else this.parts.announce(revision);
    } catch (error) {
      if (!isConnectionLoss(error)) this.logger.error({ msg: 'The progress of an operation could not be written', operationId: this.id, error: redact(String(error)) });
    }
  }

  private async sendLines(): Promise<void> {
    const lines = this.pendingLines;
    if (lines.length === 0) return;
    this.pendingLines = [];
    try {
      await this.rows.appendLog(this.id, this.fencingToken, lines);
    } catch (error) {
      this.pendingLines = [...lines, ...this.pendingLines];
      throw error;
    }
  }
}

export function canceled(): AppError {
  return new AppError('CANCELED', 'The operation was canceled');
}
