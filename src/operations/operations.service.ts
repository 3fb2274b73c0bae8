import { createHash, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { runInTransaction } from '../platform/database/data-source.js';
import { EventBus } from '../platform/events/event-bus.js';
import { notFound, toGlobalId } from '../platform/graphql/global-id.js';
import { WorkQueue } from '../platform/queue/work-queue.js';
import { maxIdempotencyKeyLength } from './idempotency-key.js';
import { failureOf } from './operation-failure.js';
import type { JsonObject, OperationKind, StartOperation } from './operation-handler.js';
import { operationQueue } from './operation-queue.js';
import { OperationSettlement } from './operation-settlement.js';
import { stepsOf } from './operation-steps.js';
import { isFinal, type OperationEntity, type WholeOperationEntity } from './operation.entity.js';
import { type OperationFilter, OperationsRepository } from './operations.repository.js';
import { canceled } from './running-operation.js';

const endedAtOnce = 50;

export interface StartedOperation {
  readonly operation: OperationEntity;
  /** True when this is the first operation of a request that was sent twice: nothing was started now. */
  readonly replayed: boolean;
}

type ReplayQuestion = Pick<StartOperation<JsonObject>, 'tenantId' | 'actorId' | 'idempotencyKey' | 'idempotencyInput'> & { readonly handler: { readonly kind: string } };

@Injectable()
export class OperationsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly repository: OperationsRepository,
    private readonly settlement: OperationSettlement,
    private readonly queue: WorkQueue,
    private readonly bus: EventBus,
  ) {}

  /** The tenant's exclusive operation that has not finished yet. */
  findRunning(tenantId: string): Promise<OperationEntity | null> {
    return this.repository.findExclusive(tenantId);
  }

  /** The newest `limit` operations of a tenant that pass the filter. */
  async findNewest(tenantId: string, filter: OperationFilter, limit: number): Promise<readonly OperationEntity[]> {
    const { rows } = await this.repository.page(tenantId, filter, { limit, after: null });
    return rows;
  }

  /**
   * Starts work in the caller's transaction, which it should leave soon: it holds the tenant's row, so that the starts of one tenant come
   * one after the other. The worker is woken and subscribers are told by the commit.
   *
   * @throws AppError OPERATION_ALREADY_RUNNING (the running one's global id is its field), MAINTENANCE, IDEMPOTENCY_MISMATCH, NOT_FOUND
   */
  async start<Input extends JsonObject>(manager: EntityManager, start: StartOperation<Input>): Promise<StartedOperation> {
    const first = await this.findReplay(manager, start);
    if (first !== null) return { operation: first, replayed: true };
    const { handler, tenantId, input } = start;
    if (handler.exclusive) {
      const running = await this.repository.findHindering(tenantId, manager);
      if (running !== null) throw alreadyRunning(running);
      // A workspace that a copy is just being made for has no operation of its own, and half of its data.
      if (await this.repository.isBeingFilled(tenantId, manager)) throw new AppError('MAINTENANCE', 'The data of the workspace are just being put in place');
    }
    const operation = await this.repository.insert(
      {
        id: randomUUID(),
        tenantId,
        kind: handler.kind,
        exclusive: handler.exclusive,
        steps: stepsOf(handler.phases(input)),
        input: handler.input.parse(input),
        deadlineMs: handler.deadlineMs,
        startedBy: start.startedBy,
        backupId: start.backupId ?? null,
        planId: start.planId ?? null,
      },
      manager,
    );
    if (start.idempotencyKey !== null) {
      const isOurs = await this.repository.insertKey({ actorId: start.actorId, key: start.idempotencyKey }, inputHash(start), operation.id, manager);
      // Taken meanwhile by a request for another tenant, which the tenant's lock does not hold back.
      if (!isOurs) throw mismatch();
    }
    await this.queue.send(operationQueue, { id: operation.id }, manager);
    await this.bus.publish({ topic: 'operation', id: operation.id, tenantId, revision: operation.revision }, manager);
    return { operation, replayed: false };
  }

  /**
   * The operation that the same request started before, or null. Locks the tenant's row: asked first in the transaction of `start`, it lets a
   * caller answer a repeated request before its own checks (a plan that the first one has used up).
   *
   * @throws AppError IDEMPOTENCY_MISMATCH, NOT_FOUND
   */
  async findReplay(manager: EntityManager, request: ReplayQuestion): Promise<OperationEntity | null> {
    const { tenantId, actorId, idempotencyKey: key } = request;
    if (key !== null && (key === '' || key.length > maxIdempotencyKeyLength)) {
      throw new AppError('BAD_USER_INPUT', `idempotencyKey: must have 1 to ${maxIdempotencyKeyLength} characters`, { field: ['idempotencyKey'] });
    }
    if (!(await this.repository.lockTenant(tenantId, manager))) throw notFound('Tenant');
    if (key === null) return null;
    const known = await this.repository.findKey({ actorId, key }, manager);
    if (known === null) return null;
    if (known.inputHash !== inputHash(request)) throw mismatch();
    return this.repository.find(tenantId, known.operationId, manager);
  }

  /** @throws AppError NOT_FOUND */
  async get(tenantId: string, id: string): Promise<OperationEntity> {
    const operation = await this.repository.find(tenantId, id);
    if (operation === null) throw notFound('Operation');
    return operation;
  }

  /** With what its work was given and has left. @throws AppError NOT_FOUND */
  async getWhole(tenantId: string, id: string, manager?: EntityManager): Promise<WholeOperationEntity> {
    const operation = await this.repository.findWhole(tenantId, id, manager);
    if (operation === null) throw notFound('Operation');
    return operation;
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  findAnywhere(id: string): Promise<OperationEntity | null> {
    return this.repository.findAnywhere(id);
  }

  /** Newest first. */
  completedSince({ tenantId }: { readonly tenantId: string }, kinds: readonly OperationKind[], since: Date, manager?: EntityManager): Promise<OperationEntity[]> {
    return this.repository.completedSince(tenantId, kinds, since, manager);
  }

  /**
   * Ends a queued operation at once and asks the worker of a running one to stop; asking twice is asking once.
   *
   * @throws AppError NOT_FOUND, NOT_CANCELABLE
   */
  cancel(tenantId: string, id: string): Promise<OperationEntity> {
    return runInTransaction(this.dataSource, async (manager) => {
      const operation = await this.repository.lock(id, manager);
      if (operation === null || operation.tenantId !== tenantId) throw notFound('Operation');
      const refusal = whyNotCancelable(operation);
      if (refusal !== null) throw new AppError('NOT_CANCELABLE', refusal);
      if (operation.state === 'QUEUED') {
        await this.endQueued(operation, 'CANCELED', canceled(), manager);
      } else if (operation.cancelRequestedAt === null) {
        const revision = await this.repository.requestCancel(id, manager);
        await this.bus.publish({ topic: 'operation-cancel', id, tenantId, revision }, manager);
        await this.bus.publish({ topic: 'operation', id, tenantId, revision }, manager);
      }
      return this.repository.find(tenantId, id, manager).then((row) => row ?? operation);
    });
  }

  /** Queued work that no worker took before its deadline. */
  async endQueuedPastDeadline(): Promise<void> {
    for (const id of await this.repository.findQueuedPastDeadline(endedAtOnce)) {
      await this.dataSource.transaction(async (manager) => {
        const operation = await this.repository.lock(id, manager);
        if (operation?.state === 'QUEUED') await this.endQueued(operation, 'FAILED', new AppError('DEADLINE_EXCEEDED', 'No worker was free before the deadline'), manager);
      });
    }
  }

  /** Old keys answer nothing any more; this only keeps their table small. */
  async forgetOldKeys(): Promise<void> {
    await this.repository.deleteOldKeys();
  }

  private async endQueued({ id, tenantId }: OperationEntity, state: 'FAILED' | 'CANCELED', reason: AppError, manager: EntityManager): Promise<void> {
    const revision = await this.repository.endQueued(id, state, failureOf(reason), manager);
    await this.settlement.settle(id, manager);
    await this.bus.publish({ topic: 'operation', id, tenantId, revision }, manager);
  }
}

/** Why it cannot be canceled, as a sentence for people; null where it can. */
export function whyNotCancelable(operation: Pick<OperationEntity, 'state' | 'committed'>): string | null {
  if (isFinal(operation.state)) return 'The operation has already ended';
  return operation.committed ? 'The operation has passed its commit point; stopping now would leave data half changed, so it finishes by itself' : null;
}

function alreadyRunning(running: OperationEntity): AppError {
  const id = toGlobalId('Operation', running.id);
  const has = isFinal(running.state) ? 'was abandoned, and its worker may still be at it for seconds' : 'has not finished yet';
  return new AppError('OPERATION_ALREADY_RUNNING', `The ${running.kind.toLowerCase()} ${id} of this workspace ${has}`, { field: [id] });
}

function mismatch(): AppError {
  return new AppError('IDEMPOTENCY_MISMATCH', 'This idempotencyKey was used for another request', { field: ['idempotencyKey'] });
}

function inputHash({ handler, tenantId, idempotencyInput }: ReplayQuestion): string {
  return createHash('sha256').update(canonical({ kind: handler.kind, tenantId, input: idempotencyInput })).digest('hex');
}

/** The same JSON for the same input, whatever the order of its fields; a field that is left out equals one that is null. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value ?? null);
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined && field !== null)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`;
}
