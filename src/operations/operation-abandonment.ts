import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, redact } from '#errors';
import { AccessService } from '../access/access.service.js';
import { AuditService } from '../audit/audit.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { EventBus } from '../platform/events/event-bus.js';
import { notFound } from '../platform/graphql/global-id.js';
import { requireConfirmed, TenantsService } from '../tenants/tenants.service.js';
import { failureOf } from './operation-failure.js';
import { OperationSettlement } from './operation-settlement.js';
import { endSteps } from './operation-steps.js';
import { isFinal, type OperationEntity } from './operation.entity.js';
import { OperationsRepository } from './operations.repository.js';

export interface Abandonment {
  readonly confirmName: string;
  readonly reason: string;
}

/**
 * The provider's way out of work past its commit point that can never end: what it needs is gone for good. It ends as it is, half done, and its worker
 * is fenced off in the same transaction.
 */
@Injectable()
export class OperationAbandonment {
  constructor(
    private readonly dataSource: DataSource,
    private readonly repository: OperationsRepository,
    private readonly settlement: OperationSettlement,
    private readonly tenants: TenantsService,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly bus: EventBus,
  ) {}

  /** @throws AppError FORBIDDEN to all but the provider, NOT_FOUND, NOT_ABANDONABLE, CONFIRM_NAME_MISMATCH */
  async abandon(actor: Actor, id: string, abandonment: Abandonment): Promise<OperationEntity> {
    this.access.requireProvider(actor);
    const { tenantId } = await this.access.authorizeRow(actor, 'Operation', await this.repository.findAnywhere(id), null);
    return this.audit.recordRefusals({ action: 'operation.abandoned', tenantId, actor, subject: { type: 'Operation', id } }, () =>
      runInTransaction(this.dataSource, (manager) => this.end(actor, { id, tenantId }, abandonment, manager)),
    );
  }

  private async end(actor: Actor, { id, tenantId }: Pick<OperationEntity, 'id' | 'tenantId'>, { confirmName, reason }: Abandonment, manager: EntityManager): Promise<OperationEntity> {
    const operation = await this.repository.lock(id, manager);
    if (operation === null) throw notFound('Operation');
    requireConfirmed((await this.tenants.getForUpdate(manager, tenantId)).name, confirmName);
    const refusal = whyNotAbandonable(operation);
    if (refusal !== null) throw new AppError('NOT_ABANDONABLE', refusal);
    const failure = failureOf(new AppError('ABANDONED', 'It was abandoned after its commit point: the data are as far changed as it had come'));
    const ending = { steps: endSteps(operation.steps, 'FAILED', new Date().toISOString()), progress: { ...operation.progress, etaMs: null }, failure };
    const revision = await this.repository.abandon(id, ending, redact(`Abandoned by the provider: ${reason}`), manager);
    await this.settlement.settle(id, manager);
    await this.audit.record({ action: 'operation.abandoned', tenantId, actor, subject: { type: 'Operation', id }, detail: { kind: operation.kind, phase: operation.phase, reason } }, manager);
    // Its worker hears of it at once, not only with the next renewal of its lease.
    await this.bus.publish({ topic: 'operation-cancel', id, tenantId, revision }, manager);
    await this.bus.publish({ topic: 'operation', id, tenantId, revision }, manager);
    return (await this.repository.find(tenantId, id, manager)) ?? operation;
  }
}

/** Why it cannot be abandoned, as a sentence for people; null where it can. */
function whyNotAbandonable({ state, committed }: OperationEntity): string | null {
  if (isFinal(state)) return 'The operation has already ended';
  return committed ? null : 'The operation has not passed its commit point: cancel it instead';
}
