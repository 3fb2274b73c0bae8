import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppError, type ErrorCode } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import { AuditService } from '../audit/audit.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { StartOperation } from '../operations/operation-handler.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { PoliciesService } from '../policies/policies.service.js';
import { requireConfirmed, requireNotSuspended, TenantsService } from '../tenants/tenants.service.js';
import type { RestoreUndoInput } from './dto/undo.inputs.js';
import { undoOf } from './restore-approvals.js';
import { journalOf } from './restore-journal.js';
import { RestorePlanner, sourceOf } from './restore-planner.js';
import type { PlanCheckRow, RestorePlanEntity } from './restore-plan.entity.js';
import { RestorePlansRepository } from './restore-plans.repository.js';
import { RestoresService } from './restores.service.js';
import { UndoHandler, type UndoInput } from './undo.handler.js';
import { hasMovedPointer, UndoTerm } from './undo-term.js';

type PointerRequest = Omit<StartOperation<UndoInput>, 'input' | 'startedBy'>;

const auditedRefusals: ReadonlySet<ErrorCode> = new Set(['CONFIRM_NAME_MISMATCH', 'UNDO_EXPIRED', 'NOT_UNDOABLE', 'STEP_UP_REQUIRED', 'APPROVAL_REQUIRED']);

/** Starts undos: one click, but the same plan, bindings and confirmation as with every restore. */
@Injectable()
export class RestoreUndo {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly encryption: TenantEncryption,
    private readonly operations: OperationsService,
    private readonly tenants: TenantsService,
    private readonly planner: RestorePlanner,
    private readonly plans: RestorePlansRepository,
    private readonly restores: RestoresService,
    private readonly handler: UndoHandler,
    private readonly term: UndoTerm,
    private readonly policies: PoliciesService,
    private readonly approvals: ApprovalsService,
  ) {}

  /** @throws AppError NOT_UNDOABLE, UNDO_EXPIRED, CONFIRM_NAME_MISMATCH, PLAN_BLOCKED, OPERATION_ALREADY_RUNNING and whatever else a restore refuses */
  async start(actor: Actor, input: RestoreUndoInput): Promise<OperationEntity> {
    const found = await this.operations.findAnywhere(fromGlobalId('Operation', input.operationId));
    const undone = await this.access.authorizeRow(actor, 'Operation', found, Permission.RESTORE_RUN);
    const { id, tenantId } = undone;
    return this.audit.recordRefusals({ action: 'restore.undo-refused', tenantId, actor, subject: { type: 'Operation', id } }, () => this.begin(actor, undone, input), auditedRefusals);
  }

  private async begin(actor: Actor, undone: OperationEntity, { confirmName, idempotencyKey = null }: RestoreUndoInput): Promise<OperationEntity> {
    const scope = { tenantId: undone.tenantId };
    await this.encryption.require(scope);
    const request = { handler: this.handler, ...scope, actorId: actor.id, idempotencyKey, idempotencyInput: { operationId: undone.id, confirmName } };
    const first = await runInTransaction(this.dataSource, (manager) => this.operations.findReplay(manager, request));
    if (first !== null) return first;
    await this.policies.requireFreshLogin(actor, scope);
    if (hasMovedPointer(undone)) return this.beginPointer(actor, undone, request, confirmName);
    const plan = await this.plan(actor, undone, confirmName);
    return runInTransaction(this.dataSource, async (manager) => {
      const replay = await this.operations.findReplay(manager, request);
      if (replay !== null) return replay;
      const locked = await this.plans.lock(scope, plan.id, manager);
      if (locked === null) throw notFound('RestorePlan');
      const live = await this.restores.requireValid(scope, locked, confirmName, manager);
      const backup = await this.term.require(undone, manager);
      await this.approvals.require(actor, undoOf(undone), manager);
      const { operation } = await this.operations.start(manager, {
        ...request,
        input: { planId: plan.id, source: plan.bound.source, dryRun: false, live: [...live], choice: plan.bound.choice, undo: { operationId: undone.id, warning: await this.term.warning(undone, manager) } },
        startedBy: stampOf(actor),
        planId: plan.id,
        backupId: backup.id,
      });
      await this.plans.markUsed(scope, plan.id, operation.id, manager);
      await this.audit.record({ action: 'restore.undo-started', ...scope, actor, subject: { type: 'Operation', id: operation.id }, detail: { undone: undone.id, planId: plan.id, fileName: backup.fileName } }, manager);
      return operation;
    });
  }

  /** There is no archive to plan with: the name, the database and the term are checked where the operation starts, and the former database where it runs. */
  private beginPointer(actor: Actor, undone: OperationEntity, request: PointerRequest, confirmName: string): Promise<OperationEntity> {
    const scope = { tenantId: undone.tenantId };
    return runInTransaction(this.dataSource, async (manager) => {
      const replay = await this.operations.findReplay(manager, request);
      if (replay !== null) return replay;
      const tenant = await this.tenants.getForUpdate(manager, undone.tenantId);
      const kept = await this.term.requireKept(undone, manager);
      requireConfirmed(tenant.name, confirmName);
      requireNotSuspended(tenant);
      if (tenant.targetDeployment !== kept.deployment) throw new AppError('NOT_UNDOABLE', 'The workspace has a database on another server now');
      await this.approvals.require(actor, undoOf(undone), manager);
      const former = journalOf(await this.operations.getWhole(undone.tenantId, undone.id, manager)).pointer?.former ?? [];
      const input = { pointer: { from: tenant.targetDatabase, to: kept.database, former: [...former] }, undo: { operationId: undone.id, warning: await this.term.warning(undone, manager) } };
      const { operation } = await this.operations.start(manager, { ...request, input, startedBy: stampOf(actor) });
      await this.audit.record({ action: 'restore.undo-started', ...scope, actor, subject: { type: 'Operation', id: operation.id }, detail: { undone: undone.id, database: kept.database } }, manager);
      return operation;
    });
  }

  /** Looks at archive and database, which no transaction should wait for; what it binds is checked again where the operation starts. */
  private async plan(actor: Actor, undone: OperationEntity, confirmName: string): Promise<RestorePlanEntity> {
    const scope = { tenantId: undone.tenantId };
    const backup = await this.term.require(undone);
    requireConfirmed((await this.tenants.get(scope)).name, confirmName);
    const warning = await this.term.warning(undone);
    const newer: PlanCheckRow[] = warning === null ? [] : [{ key: 'newerRestore', ok: false, blocking: false, message: warning, hint: 'Undo the newest one first to go back step by step' }];
    return this.planner.plan(scope, actor, { ref: sourceOf(backup), backup }, false, newer);
  }
}
