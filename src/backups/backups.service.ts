import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import type { StartOperation } from '../operations/operation-handler.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, type ActorStamp, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { PoliciesService } from '../policies/policies.service.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { requireNotSuspended, TenantsService } from '../tenants/tenants.service.js';
import { archiveNames, defaultBackupName } from './backup-naming.js';
import { type BackupEntity, type BackupScope, type Codec, isUsable } from './backup.entity.js';
import { BackupHandler, type BackupOperationInput } from './backup.handler.js';
import { type BackupFilter, BackupsRepository, type StorageTotals } from './backups.repository.js';
import type { BackupCreateInput, BackupUpdateInput, BackupVerifyInput } from './dto/backup.inputs.js';
import type { StoredBackup } from './stored-backup.js';
import { VerifyHandler } from './verify.handler.js';

export interface StartedBackup {
  readonly backup: BackupEntity | null;
  readonly operation: OperationEntity;
}

/** A backup that nobody asks for at this moment. */
export interface AutomaticBackup {
  readonly label: string;
  readonly trigger: 'SCHEDULE' | 'CRON';
  readonly scope: BackupScope;
  readonly scheduleId: string | null;
  readonly startedBy: ActorStamp;
}

interface BackupRequest extends Omit<AutomaticBackup, 'trigger'>, Omit<StartOperation<BackupOperationInput>, 'input' | 'startedBy' | 'backupId' | 'planId'> {
  readonly trigger: 'MANUAL' | AutomaticBackup['trigger'];
  readonly name: string | null;
  readonly description: string | null;
  readonly codec: Codec;
}

@Injectable()
export class BackupsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly backups: BackupsRepository,
    private readonly tenants: TenantsService,
    private readonly operations: OperationsService,
    private readonly encryption: TenantEncryption,
    private readonly backupHandler: BackupHandler,
    private readonly verifyHandler: VerifyHandler,
    private readonly policies: PoliciesService,
  ) {}

  findLastGood(scope: TenantScope): Promise<BackupEntity | null> {
    return this.backups.lastGood(scope);
  }

  async create(actor: Actor, input: BackupCreateInput): Promise<StartedBackup> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', input.tenantId), Permission.BACKUP_CREATE);
    const backupScope = input.scope ?? 'ALL';
    const codec = input.codec ?? 'GZIP';
    if (backupScope !== 'ALL') await this.policies.require(actor, scope, 'partialBackups', 'scope');
    await this.encryption.require(scope);
    const { name = null, description = null, idempotencyKey = null } = input;
    const request = {
      handler: this.backupHandler, tenantId: scope.tenantId, actorId: actor.id, idempotencyKey,
      idempotencyInput: { tenantId: scope.tenantId, name, description, scope: backupScope, codec },
    };
    return runInTransaction(this.dataSource, async (manager) => {
      const replay = await this.operations.findReplay(manager, request);
      if (replay !== null) return { operation: replay, backup: replay.backupId === null ? null : await this.backups.find(scope, replay.backupId, manager) };
      return this.begin(scope, { ...request, name, description, label: 'manual', trigger: 'MANUAL', scope: backupScope, codec, scheduleId: null, startedBy: stampOf(actor) }, manager);
    });
  }

  /**
   * For schedules and crons, whose permission was checked when they were made; nothing is left of it when it throws.
   *
   * @throws AppError OPERATION_ALREADY_RUNNING, MAINTENANCE, ENCRYPTION_KEY_MISSING, STORAGE_QUOTA_EXCEEDED, TENANT_SUSPENDED
   */
  async startAutomatic(scope: TenantScope, { label, trigger, scope: backupScope, scheduleId, startedBy }: AutomaticBackup, manager: EntityManager): Promise<StartedBackup> {
    await this.encryption.require(scope);
    const request = { handler: this.backupHandler, tenantId: scope.tenantId, actorId: startedBy.id, idempotencyKey: null, idempotencyInput: {} };
    await this.tenants.getForUpdate(manager, scope.tenantId);
    return this.begin(scope, { ...request, name: null, description: null, label, trigger, scope: backupScope, codec: 'GZIP', scheduleId, startedBy }, manager);
  }

  async verify(actor: Actor, input: BackupVerifyInput): Promise<StartedBackup> {
    const backup = await this.get(actor, input.backupId);
    const scope = await this.access.authorize(actor, backup.tenantId, Permission.BACKUP_CREATE);
    await this.tenants.requireOpen(actor, scope);
    await this.encryption.require(scope);
    const request = {
      handler: this.verifyHandler, tenantId: scope.tenantId, actorId: actor.id, idempotencyKey: input.idempotencyKey ?? null, idempotencyInput: { backupId: backup.id },
    };
    return runInTransaction(this.dataSource, async (manager) => {
      const replay = await this.operations.findReplay(manager, request);
      if (replay !== null) return { operation: replay, backup };
      const locked = await this.lock(scope, backup.id, manager);
      requireUsable(locked);
      const { operation } = await this.operations.start(manager, { ...request, input: { backupId: backup.id }, startedBy: stampOf(actor), backupId: backup.id });
      await this.audit.record({ action: 'backup.verified', tenantId: scope.tenantId, actor, subject: { type: 'Backup', id: backup.id } }, manager);
      return { operation, backup: locked };
    });
  }

  /** For a plan that does it by itself; nothing happens where there is no good backup. */
  async verifyLastGood(scope: TenantScope, startedBy: ActorStamp): Promise<void> {
    const backup = await this.backups.lastGood(scope);
    if (backup === null) return;
    await runInTransaction(this.dataSource, async (manager) => {
      requireUsable(await this.lock(scope, backup.id, manager));
      await this.operations.start(manager, {
        handler: this.verifyHandler, tenantId: scope.tenantId, actorId: startedBy.id, idempotencyKey: null, idempotencyInput: {}, input: { backupId: backup.id }, startedBy, backupId: backup.id,
      });
    });
  }

  /** By its global id, for whoever may read it; another tenant's answers like one that does not exist. */
  async get(actor: Actor, globalId: string): Promise<BackupEntity> {
    return this.getByUuid(actor, fromGlobalId('Backup', globalId));
  }

  async getByUuid(actor: Actor, id: string): Promise<BackupEntity> {
    return this.access.authorizeRow(actor, 'Backup', await this.backups.findAnywhere(id), Permission.BACKUP_READ);
  }

  /** Sizes in bytes of the last `limit` before this one that can be compared with it, newest first. */
  sizesBefore(scope: TenantScope, backup: BackupEntity, limit: number): Promise<number[]> {
    return this.backups.sizesBefore(scope, backup, limit);
  }

  storageTotals(scope: TenantScope): Promise<StorageTotals> {
    return this.backups.storageTotals(scope);
  }

  find(scope: TenantScope, id: string): Promise<BackupEntity | null> {
    return this.backups.find(scope, id);
  }

  findAll(scope: TenantScope, ids: readonly string[]): Promise<BackupEntity[]> {
    return this.backups.findAll(scope, ids);
  }

  /** COMPLETED ones with their bytes in place, whatever took them. */
  stored(scope: TenantScope, manager?: EntityManager): Promise<StoredBackup[]> {
    return this.backups.stored(scope, manager);
  }

  list(scope: TenantScope, filter: BackupFilter, page: Page): Promise<PageOfRows<BackupEntity>> {
    return findPage(this.backups.filtered(scope, filter), 'createdAt', page);
  }

  async update(actor: Actor, input: BackupUpdateInput): Promise<BackupEntity> {
    const backup = await this.get(actor, input.backupId);
    const scope = await this.access.authorize(actor, backup.tenantId, Permission.BACKUP_CREATE);
    const name = input.name?.trim();
    if (input.name !== undefined && !name) throw new AppError('BAD_USER_INPUT', 'name: must not be empty', { field: ['name'] });
    const patch = {
      ...(name ? { name } : {}),
      ...(input.description === undefined ? {} : { description: input.description }),
      ...(input.notes === undefined ? {} : { notes: input.notes }),
    };
    return runInTransaction(this.dataSource, async (manager) => {
      const locked = await this.lock(scope, backup.id, manager);
      if (Object.keys(patch).length > 0) await this.backups.update(scope, backup.id, [locked.state], patch, manager);
      await this.audit.record({ action: 'backup.updated', tenantId: scope.tenantId, actor, subject: { type: 'Backup', id: backup.id }, detail: { fields: Object.keys(patch).join(', ') } }, manager);
      return this.lock(scope, backup.id, manager);
    });
  }

  async setPinned(actor: Actor, globalId: string, pinned: boolean): Promise<BackupEntity> {
    const backup = await this.get(actor, globalId);
    const scope = await this.access.authorize(actor, backup.tenantId, Permission.BACKUP_PIN);
    await this.tenants.requireOpen(actor, scope);
    return this.setKept(actor, scope, backup.id, { pinned }, pinned ? 'backup.pinned' : 'backup.unpinned');
  }

  /** @throws AppError FORBIDDEN to all but the provider, BACKUP_NOT_USABLE */
  async setHeld(actor: Actor, globalId: string, held: boolean): Promise<BackupEntity> {
    this.access.requireProvider(actor);
    const backup = await this.get(actor, globalId);
    return this.setKept(actor, backup, backup.id, { held }, held ? 'backup.held' : 'backup.released');
  }

  /** Holds the row until the transaction ends: what is being deleted is not restored from, and the other way round. */
  async lock(scope: TenantScope, id: string, manager: EntityManager): Promise<BackupEntity> {
    const backup = await this.backups.lock(scope, id, manager);
    if (backup === null) throw notFound('Backup');
    return backup;
  }

  private setKept(actor: Actor, scope: TenantScope, id: string, kept: { readonly pinned: boolean } | { readonly held: boolean }, action: string): Promise<BackupEntity> {
    return runInTransaction(this.dataSource, async (manager) => {
      const locked = await this.lock(scope, id, manager);
      if (Object.values(kept).includes(true)) requireUsable(locked);
      await this.backups.update(scope, id, [locked.state], kept, manager);
      await this.audit.record({ action, tenantId: scope.tenantId, actor, subject: { type: 'Backup', id } }, manager);
      return this.lock(scope, id, manager);
    });
  }

  /** The row and its operation. */
  private async begin(scope: TenantScope, asked: BackupRequest, manager: EntityManager): Promise<StartedBackup> {
    const { name, description, label, trigger, scope: backupScope, codec, scheduleId, startedBy, ...request } = asked;
    const tenant = await this.tenants.get(scope, manager);
    await this.requireRoom(scope, tenant);
    const id = randomUUID();
    const { operation } = await this.operations.start(manager, { ...request, input: { backupId: id }, startedBy, backupId: id });
    const createdAt = await this.tenants.now(manager);
    const encrypted = await this.encryption.seals(scope, manager);
    const { fileName, storeKey } = archiveNames(tenant, { id, label, createdAt, codec, encrypted });
    await this.backups.insert(
      {
        id, tenantId: scope.tenantId, operationId: operation.id, name: name?.trim() || defaultBackupName(label, createdAt, tenant.timeZone), description,
        label, trigger, scope: backupScope, codec, scheduleId, state: 'QUEUED', storeKey, fileName,
        encrypted, contents: [], pinned: false, held: false, createdBy: startedBy, createdAt,
      },
      manager,
    );
    await this.audit.record({ action: 'backup.created', tenantId: scope.tenantId, actor: startedBy, subject: { type: 'Backup', id }, detail: { fileName } }, manager);
    return { operation, backup: await this.backups.find(scope, id, manager) };
  }

  private async requireRoom(scope: TenantScope, tenant: TenantEntity): Promise<void> {
    requireNotSuspended(tenant);
    if (tenant.quotaBytes === null) return;
    const { usedBytes } = await this.backups.storageTotals(scope);
    const leftBytes = Number(tenant.quotaBytes) - usedBytes;
    if (leftBytes <= 0) throw new AppError('STORAGE_QUOTA_EXCEEDED', "The workspace's storage quota is used up");
    const lastBytes = (await this.backups.lastGood(scope))?.sizeBytes ?? 0;
    if (lastBytes > leftBytes) throw new AppError('STORAGE_QUOTA_EXCEEDED', `The last backup had ${lastBytes} bytes; ${leftBytes} are left of the workspace's storage quota`);
  }
}

export function requireUsable(backup: BackupEntity): void {
  if (!isUsable(backup)) throw new AppError('BACKUP_NOT_USABLE', `The backup cannot be used: its state is ${backup.deletedAt !== null ? 'DELETED' : backup.state}`);
}
