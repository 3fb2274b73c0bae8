import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, type ErrorCode } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import type { AnnouncementEntity } from '../announcements/announcement.entity.js';
import { AnnouncementsService } from '../announcements/announcements.service.js';
import { AuditService } from '../audit/audit.service.js';
import { BackupsService, requireUsable } from '../backups/backups.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { StartOperation } from '../operations/operation-handler.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { PoliciesService } from '../policies/policies.service.js';
import { CopyTargets } from '../tenants/copy-targets.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { requireConfirmed, requireNotSuspended, TenantsService } from '../tenants/tenants.service.js';
import { UploadsService } from '../transfers/uploads.service.js';
import type { RestoreStartInput } from './dto/restore.inputs.js';
import type { RestorePlanEntity } from './restore-plan.entity.js';
import { restoreOf } from './restore-approvals.js';
import { RestorePlanner, sourceOf } from './restore-planner.js';
import { RestorePlansRepository } from './restore-plans.repository.js';
import { RestoreHandler, type RestoreInput } from './restore.handler.js';

/** One of the two: it begins at once, or at its start time. */
export interface StartedRestore {
  readonly operation: OperationEntity | null;
  readonly announcement: AnnouncementEntity | null;
}

const auditedRefusals: ReadonlySet<ErrorCode> = new Set(['CONFIRM_NAME_MISMATCH', 'STEP_UP_REQUIRED', 'APPROVAL_REQUIRED']);

/** Starts restores: a plan works once, and only for what it was made for. */
@Injectable()
export class RestoresService implements OnModuleInit {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly planner: RestorePlanner,
    private readonly plans: RestorePlansRepository,
    private readonly tenants: TenantsService,
    private readonly backups: BackupsService,
    private readonly uploads: UploadsService,
    private readonly operations: OperationsService,
    private readonly encryption: TenantEncryption,
    private readonly audit: AuditService,
    private readonly copies: CopyTargets,
    private readonly handler: RestoreHandler,
    private readonly policies: PoliciesService,
    private readonly approvals: ApprovalsService,
    private readonly announcements: AnnouncementsService,
  ) {}

  onModuleInit(): void {
    this.announcements.register('RESTORE', { start: (actor, announcement, manager) => this.beginAnnounced(actor, announcement, manager), giveUp: () => Promise.resolve() });
  }

  async start(actor: Actor, input: RestoreStartInput): Promise<StartedRestore> {
    const { id, tenantId } = await this.planner.get(actor, fromGlobalId('RestorePlan', input.planId));
    const scope = { tenantId };
    const dryRun = input.dryRun ?? false;
    const keepOld = input.keepOld ?? false;
    if (keepOld) this.access.requireProvider(actor);
    await this.encryption.require(scope);
    const request = {
      handler: this.handler, tenantId, actorId: actor.id, idempotencyKey: input.idempotencyKey ?? null,
      idempotencyInput: { planId: id, confirmName: input.confirmName, dryRun, keepOld, startAt: input.startAt?.toISOString() ?? null },
    };
    const begin = () =>
      runInTransaction(this.dataSource, async (manager) => {
        const replay = await this.operations.findReplay(manager, request);
        if (replay !== null) return { operation: replay, announcement: null };
        if (!dryRun) await this.policies.requireFreshLogin(actor, scope, manager);
        const plan = await this.plans.lock(scope, id, manager);
        if (plan === null) throw notFound('RestorePlan');
        if (plan.bound.copy?.newTenant != null) this.access.requireProvider(actor);
        const live = await this.requireValid(scope, plan, input.confirmName, manager);
        if (keepOld && (dryRun || plan.bound.copy !== undefined || plan.mode === 'MERGE')) throw new AppError('BAD_USER_INPUT', 'keepOld: only a restore in place of live data has old collections to keep', { field: ['keepOld'] });
        if (!dryRun) await this.approvals.require(actor, restoreOf(plan, keepOld), manager);
        if (input.startAt != null) return { operation: null, announcement: await this.announce(actor, plan, input.startAt, dryRun || keepOld, manager) };
        return { operation: await this.begin(actor, plan, live, { dryRun, keepOld }, request, manager), announcement: null };
      });
    return this.audit.recordRefusals({ action: 'restore.refused', tenantId, actor, subject: { type: 'RestorePlan', id } }, begin, auditedRefusals);
  }

  private async begin(actor: Actor, plan: RestorePlanEntity, live: NonNullable<RestorePlanEntity['bound']['live']>, { dryRun, keepOld }: { readonly dryRun: boolean; readonly keepOld: boolean }, request: Pick<StartOperation<RestoreInput>, 'idempotencyKey' | 'idempotencyInput'>, manager: EntityManager): Promise<OperationEntity> {
    const { id, tenantId, backupId, bound: { source, choice, copy, repoint } } = plan;
    const scope = { tenantId };
    const { operation } = await this.operations.start(manager, {
      ...request,
      handler: this.handler,
      tenantId,
      actorId: actor.id,
      input: { planId: id, source, dryRun, ...(keepOld ? { keepOld } : {}), live: [...live], choice, ...(copy === undefined ? {} : { copy }), ...(repoint === undefined ? {} : { repoint }) },
      startedBy: stampOf(actor),
      planId: id,
      ...(backupId === null ? {} : { backupId }),
    });
    const elsewhere = copy ?? repoint;
    if (elsewhere !== undefined) await this.copies.reserve(scope, operation.id, elsewhere, manager);
    await this.plans.markUsed(scope, id, operation.id, manager);
    await this.audit.record({ action: dryRun ? 'restore.dry-run-started' : 'restore.started', tenantId, actor, subject: { type: 'Operation', id: operation.id }, detail: { fileName: source.fileName, planId: id, keepOld, ...(elsewhere === undefined ? {} : { database: elsewhere.database }) } }, manager);
    return operation;
  }

  /** The plan is used up; what it binds is looked at again when the time has come. */
  private async announce(actor: Actor, { id, tenantId, bound }: RestorePlanEntity, startAt: Date, isSpecial: boolean, manager: EntityManager): Promise<AnnouncementEntity> {
    if (isSpecial || bound.copy !== undefined) throw new AppError('BAD_USER_INPUT', 'startAt: only a restore of live data that keeps a safety backup is announced', { field: ['startAt'] });
    await this.plans.markUsed({ tenantId }, id, null, manager);
    return this.announcements.announce(actor, { tenantId }, { work: 'RESTORE', subjectId: id, startAt }, manager);
  }

  private async beginAnnounced(actor: Actor, { tenantId, subjectId }: AnnouncementEntity, manager: EntityManager): Promise<string> {
    await this.encryption.require({ tenantId }, manager);
    const plan = await this.plans.lock({ tenantId }, subjectId, manager);
    if (plan === null) throw notFound('RestorePlan');
    const live = await this.requireBound({ tenantId }, plan, manager);
    return (await this.begin(actor, plan, live, { dryRun: false, keepOld: false }, { idempotencyKey: null, idempotencyInput: {} }, manager)).id;
  }

  /**
   * All that the plan binds, against rows that are locked until the operation is there; returns the live namespaces it was made for.
   *
   * @throws AppError PLAN_*, CONFIRM_NAME_MISMATCH, TENANT_SUSPENDED, BACKUP_NOT_USABLE
   */
  async requireValid(scope: TenantScope, plan: RestorePlanEntity, confirmName: string, manager: EntityManager): Promise<NonNullable<RestorePlanEntity['bound']['live']>> {
    const tenant = await this.tenants.getForUpdate(manager, scope.tenantId);
    if (plan.usedAt !== null) throw new AppError('PLAN_USED', 'The plan was used already');
    if (await this.plans.isExpired(scope, plan.id, manager)) throw new AppError('PLAN_EXPIRED', 'The plan has expired');
    requireSameTenant(tenant, plan);
    requireConfirmed(tenant.name, confirmName);
    return this.requireBound(scope, plan, manager);
  }

  /** The same without what only counts when a person starts it. */
  private async requireBound(scope: TenantScope, plan: RestorePlanEntity, manager: EntityManager): Promise<NonNullable<RestorePlanEntity['bound']['live']>> {
    const tenant = await this.tenants.getForUpdate(manager, scope.tenantId);
    const { bound } = plan;
    requireSameTenant(tenant, plan);
    requireNotSuspended(tenant);
    const blocking = plan.checks.find((check) => check.blocking && !check.ok);
    if (blocking !== undefined || bound.live === null) throw new AppError('PLAN_BLOCKED', `The plan has a failed check (${blocking?.key ?? 'target'}): ${blocking?.message ?? 'the database could not be read'}`);
    if (plan.backupId !== null) await this.requireSameBackup(scope, plan, plan.backupId, manager);
    if (bound.source.kind === 'UPLOAD') await this.requireUpload(scope, plan.uploadId, manager);
    return bound.live;
  }

  /** What was completed never changes, but it may have expired. */
  private async requireUpload(scope: TenantScope, uploadId: string | null, manager: EntityManager): Promise<void> {
    if (uploadId === null) throw new AppError('PLAN_STALE', 'The uploaded file was removed since the plan was made');
    await this.uploads.lockUsable(scope, uploadId, manager);
  }

  private async requireSameBackup(scope: TenantScope, plan: RestorePlanEntity, backupId: string, manager: EntityManager): Promise<void> {
    const backup = await this.backups.lock(scope, backupId, manager);
    requireUsable(backup);
    const now = sourceOf(backup);
    const { source } = plan.bound;
    const isSame = source.kind === 'BACKUP' && now.kind === 'BACKUP' && now.salt === source.salt && now.sha256 === source.sha256 && now.manifestSha256 === source.manifestSha256 && now.storeKey === source.storeKey;
    if (!isSame) throw new AppError('PLAN_STALE', 'The backup was replaced since the plan was made');
  }
}

/** @throws AppError PLAN_STALE */
function requireSameTenant(tenant: TenantEntity, { bound }: RestorePlanEntity): void {
  if (tenant.name !== bound.tenantName) throw new AppError('PLAN_STALE', 'The workspace was renamed since the plan was made');
  if (tenant.targetRevision !== bound.targetRevision) throw new AppError('PLAN_STALE', "The workspace's database was changed since the plan was made");
}
