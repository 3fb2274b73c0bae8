import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { BackupEntity } from '../backups/backup.entity.js';
import { BackupsService, requireUsable } from '../backups/backups.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, type ActorStamp, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId, notFound, toGlobalId } from '../platform/graphql/global-id.js';
import { RestoreDrill } from '../restore/restore-drill.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { DrillHandler } from './drill.handler.js';
import { ProofPlansRepository, type ProofPlan } from './proof-plans.repository.js';

export interface DrillRequest {
  readonly tenantId: string;
  readonly backupId?: string | null | undefined;
  readonly idempotencyKey?: string | null | undefined;
}

@Injectable()
export class DrillsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly backups: BackupsService,
    private readonly encryption: TenantEncryption,
    private readonly operations: OperationsService,
    private readonly drill: RestoreDrill,
    private readonly handler: DrillHandler,
    private readonly plans: ProofPlansRepository,
    private readonly tenants: TenantsService,
  ) {}

  /** Of the named backup, else of the last good one. @throws AppError BACKUP_NOT_USABLE, OPERATION_ALREADY_RUNNING, ENCRYPTION_KEY_MISSING, TARGET_* */
  async run(actor: Actor, { tenantId: globalId, backupId, idempotencyKey }: DrillRequest): Promise<OperationEntity> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', globalId), Permission.RESTORE_RUN);
    await this.tenants.requireOpen(actor, scope);
    const backup = backupId == null ? await this.backups.findLastGood(scope) : await this.backups.get(actor, backupId);
    if (backup !== null && backup.tenantId !== scope.tenantId) throw notFound('Backup');
    return this.start(scope, backup, actor.id, stampOf(actor), idempotencyKey ?? null);
  }

  /** For the plan's ticks. */
  async runPlanned(scope: TenantScope, startedBy: ActorStamp): Promise<OperationEntity> {
    return this.start(scope, await this.backups.findLastGood(scope), startedBy.id, startedBy, null);
  }

  async plan(actor: Actor, tenantId: string): Promise<ProofPlan> {
    return this.plans.find(await this.access.authorize(actor, tenantId, Permission.BACKUP_READ));
  }

  async updatePlan(actor: Actor, globalId: string, every: Pick<ProofPlan, 'verifyEveryDays' | 'drillEveryDays'>): Promise<ProofPlan> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', globalId), Permission.SCHEDULE_MANAGE);
    return runInTransaction(this.dataSource, async (manager) => {
      await this.plans.set(scope, every, manager);
      await this.audit.record({ action: 'proof-plan.updated', tenantId: scope.tenantId, actor, detail: { ...every } }, manager);
      return this.plans.find(scope, manager);
    });
  }

  private async start(scope: TenantScope, backup: BackupEntity | null, actorId: string, startedBy: ActorStamp, idempotencyKey: string | null): Promise<OperationEntity> {
    if (backup === null) throw new AppError('BACKUP_NOT_USABLE', 'The workspace has no backup to restore yet', { field: ['backupId'] });
    requireUsable(backup);
    if (backup.collections !== null) throw new AppError('BACKUP_NOT_USABLE', 'The backup holds a part of the database; choose one of the whole', { field: ['backupId'] });
    await this.encryption.require(scope);
    const target = await this.drill.chooseDatabase(scope);
    const request = { handler: this.handler, tenantId: scope.tenantId, actorId, idempotencyKey, idempotencyInput: { backupId: backup.id } };
    return runInTransaction(this.dataSource, async (manager) => {
      const replay = await this.operations.findReplay(manager, request);
      if (replay !== null) return replay;
      const [running] = await this.operations.findNewest(scope.tenantId, { kinds: ['DRILL'], states: ['QUEUED', 'RUNNING'] }, 1);
      if (running !== undefined) throw new AppError('OPERATION_ALREADY_RUNNING', 'A drill of this workspace has not finished yet', { field: [toGlobalId('Operation', running.id)] });
      const { operation } = await this.operations.start(manager, { ...request, input: { backupId: backup.id, target }, startedBy, backupId: backup.id });
      await this.drill.reserve(scope, operation.id, target, manager);
      await this.audit.record({ action: 'drill.started', tenantId: scope.tenantId, actor: startedBy, subject: { type: 'Backup', id: backup.id }, detail: { database: target.database } }, manager);
      return operation;
    });
  }
}
