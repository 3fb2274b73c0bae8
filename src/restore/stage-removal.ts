import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { AppError, asAppError } from '#errors';
import type { EngineSession, LeasedWork, Work } from '#engines';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { OperationsService } from '../operations/operations.service.js';
import { isAbandoned } from './restore-settlement.js';
import { StageLeftOversRepository } from './stage-left-overs.repository.js';

const triedForMs = 10_000;
const pauseMs = 2_000;
/** Restores and resets that ended without success, the newest ones. */
const lookedAt = 10;

/** Removes what STAGE made, also after a cancel, when the operation's own signal has long been aborted. */
@Injectable()
export class StageRemoval {
  constructor(
    private readonly operations: OperationsService,
    private readonly leftOvers: StageLeftOversRepository,
  ) {}

  /** Before anything is staged: what cannot be removed at the end is then removed by a sweep. */
  async note(context: OperationContext<JsonObject>): Promise<void> {
    await context.fenced((manager) => this.leftOvers.note(context.id, manager));
  }

  /** What earlier restores of the workspace could not remove, because the database was away for too long. */
  async removeLeftOvers(context: OperationContext<JsonObject>, session: EngineSession): Promise<void> {
    const ended = await this.operations.findNewest(context.tenantId, { kinds: ['RESTORE', 'UNDO', 'RESET'], states: ['FAILED', 'CANCELED'] }, lookedAt);
    // What an abandoned one left is not for anybody to drop but by hand.
    for (const { id } of ended.filter((one) => !isAbandoned(one))) {
      context.signal.throwIfAborted();
      await session.dropStage(id, this.work(context)).catch((error: unknown) => {
        context.signal.throwIfAborted();
        context.log(`What an earlier restore left could not be removed yet: ${asAppError(error).message}`, 'WARN');
      });
    }
  }

  /** Idempotent. @throws when the target stays away, LEASE_LOST when somebody else is to do it */
  async remove(context: OperationContext<JsonObject>, session: EngineSession): Promise<void> {
    const until = Date.now() + triedForMs;
    for (;;) {
      if (context.leaseRemainingMs() <= 0) throw new AppError('LEASE_LOST', 'The lease on the operation was lost');
      try {
        await session.dropStage(context.id, this.work(context));
        break;
      } catch (error) {
        if (!asAppError(error).entry.retryable || Date.now() > until) throw error;
        await delay(pauseMs);
      }
    }
    await context.fenced((manager) => this.leftOvers.forget(context.id, manager));
  }

  private work(context: OperationContext<JsonObject>): Work {
    return { signal: AbortSignal.timeout(triedForMs), report: () => undefined, log: (message) => context.log(message) };
  }
}

export function leasedWork(context: OperationContext<JsonObject>): LeasedWork {
  return {
    operationId: context.id,
    fencingToken: context.fencingToken,
    signal: context.signal,
    leaseRemainingMs: () => context.leaseRemainingMs(),
    report: (progress) => context.report(progress),
    log: (message) => context.log(message),
  };
}
