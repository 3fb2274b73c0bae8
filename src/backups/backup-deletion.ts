import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, asAppError, redact } from '#errors';
import { StorageLocked } from '#storage';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import type { ApprovableWork } from '../approvals/approvable-work.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import { AuditService } from '../audit/audit.service.js';
import { AppConfig } from '../config/app-config.js';
import { failureOf } from '../operations/operation-failure.js';
import type { Actor, ActorStamp } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { Sweep } from '../platform/queue/sweep.js';
import { PoliciesService } from '../policies/policies.service.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { ArchiveFiles } from './archive-files.js';
import type { BackupEntity } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';
import { BackupsService, requireUsable } from './backups.service.js';

/** Deletes backups in two phases: the row says so first, then the bytes go. What a crash, a store that is away or a lock interrupts is finished by any worker later. */
@Injectable()
export class BackupDeletion extends Sweep {
  protected readonly failure = 'Deletions that were interrupted could not be looked for';

  constructor(
    config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly service: BackupsService,
    private readonly backups: BackupsRepository,
    private readonly files: ArchiveFiles,
    private readonly policies: PoliciesService,
    private readonly tenants: TenantsService,
    private readonly approvals: ApprovalsService,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    for (const backup of await this.backups.halfDeleted()) {
      await this.finish(backup).catch((error: unknown) => this.logger.warn({ msg: 'The bytes of a deleted backup are still there', backupId: backup.id, error: redact(String(error)) }));
    }
  }

  /** @throws AppError BACKUP_PROTECTED, BACKUP_IN_USE, UNDO_WOULD_BE_LOST unless `giveUpUndo`, APPROVAL_REQUIRED, STORAGE_UNAVAILABLE */
  async delete(actor: Actor, globalId: string, giveUpUndo = false): Promise<BackupEntity> {
    const { id, tenantId } = await this.service.get(actor, globalId);
    const scope = await this.authorize(actor, tenantId);
    const begun = await runInTransaction(this.dataSource, async (manager) => {
      const backup = await this.service.lock(scope, id, manager);
      if (backup.state === 'DELETED') return backup;
      await this.requireDeletable(backup, manager);
      const undoableUntil = (await this.backups.undoable(scope, manager)).get(id) ?? null;
      if (undoableUntil !== null && !giveUpUndo) throw undoWouldBeLost(undoableUntil);
      await this.approvals.require(actor, deletionOf(backup, giveUpUndo), manager);
      await this.backups.update(scope, id, [backup.state], { deletedAt: () => 'clock_timestamp()' }, manager);
      await this.audit.record({ action: 'backup.deleted', tenantId, actor, subject: { type: 'Backup', id }, detail: { fileName: backup.fileName, name: backup.name, undoGivenUp: undoableUntil !== null } }, manager);
      return backup;
    });
    if (begun.state === 'DELETED') return begun;
    await this.finish(begun);
    return (await this.backups.find(scope, id)) ?? begun;
  }

  /** What `delete` would do, for a request for approval. */
  async describe(actor: Actor, id: string, giveUpUndo: boolean): Promise<ApprovableWork> {
    const backup = await this.service.getByUuid(actor, id);
    await this.authorize(actor, backup.tenantId);
    return deletionOf(backup, giveUpUndo);
  }

  private async authorize(actor: Actor, tenantId: string): Promise<TenantScope> {
    const scope = await this.access.authorize(actor, tenantId, Permission.BACKUP_DELETE);
    await this.tenants.requireOpen(actor, scope);
    await this.policies.require(actor, scope, 'selfServiceDelete');
    return scope;
  }

  /**
   * The first phase for retention, whose transaction holds the tenant's row: from its commit on the backup is not usable. What people may not delete retention may not either.
   *
   * @throws AppError BACKUP_NOT_USABLE, BACKUP_PROTECTED, BACKUP_IN_USE, UNDO_WOULD_BE_LOST
   */
  async begin(scope: TenantScope, id: string, by: ActorStamp, because: { readonly reason: string; readonly text: string }, manager: EntityManager): Promise<BackupEntity> {
    const backup = await this.service.lock(scope, id, manager);
    requireUsable(backup);
    await this.requireDeletable(backup, manager);
    const undoableUntil = (await this.backups.undoable(scope, manager)).get(id);
    if (undoableUntil !== undefined) throw undoWouldBeLost(undoableUntil);
    await this.backups.update(scope, id, ['COMPLETED'], { deletedAt: () => 'clock_timestamp()' }, manager);
    const { fileName, name } = backup;
    await this.audit.record({ action: 'backup.deleted', tenantId: scope.tenantId, actor: by, subject: { type: 'Backup', id }, detail: { fileName, name, reason: because.reason, because: because.text } }, manager);
    return backup;
  }

  /**
   * The second phase. Idempotent. Where a store holds the bytes under a lock the row says until when, and they go after that.
   *
   * @throws AppError STORAGE_UNAVAILABLE: the row says so, and this is tried again
   */
  async finish(backup: BackupEntity): Promise<void> {
    const { id, state, storeKey } = backup;
    try {
      if (storeKey !== null) {
        await this.files.remove(storeKey);
        await this.files.requireGone(storeKey);
      }
    } catch (error) {
      const isLocked = error instanceof StorageLocked;
      await this.backups.update(backup, id, [state], { removalFailure: failureOf(asAppError(error)), lockedUntil: isLocked ? error.until : null });
      if (isLocked) return;
      throw error;
    }
    await this.backups.update(backup, id, [state], { state: 'DELETED', removalFailure: null, lockedUntil: null });
  }

  private async requireDeletable(backup: BackupEntity, manager: EntityManager): Promise<void> {
    if (backup.state === 'QUEUED' || backup.state === 'RUNNING') throw new AppError('BACKUP_IN_USE', 'The backup is still being taken');
    if ((await this.backups.operationsOn(backup.id, manager)).length > 0) throw new AppError('BACKUP_IN_USE', 'A running operation reads this backup');
    if (await this.backups.isAnnounced(backup, backup.id, manager)) throw new AppError('BACKUP_IN_USE', 'An announced restore will read this backup; cancel its announcement first');
    const [reason] = protections(backup, await this.backups.lastGoodId(backup, manager));
    if (reason !== undefined) throw new AppError('BACKUP_PROTECTED', `The backup is kept: ${reason}`);
  }
}

function deletionOf({ id, tenantId, name, fileName }: BackupEntity, giveUpUndo: boolean): ApprovableWork {
  const summary = `delete the backup "${name}" (${fileName ?? id}) for good${giveUpUndo ? ', and with it the way back from a restore' : ''}`;
  return { tenantId, action: 'DELETE_PERMANENTLY', subject: { type: 'Backup', id }, summary, binds: { backupId: id, giveUpUndo } };
}

function undoWouldBeLost(until: Date): AppError {
  return new AppError('UNDO_WOULD_BE_LOST', `A restore can be undone by this safety backup until ${until.toISOString()}`, { field: ['giveUpUndo'] });
}

/** Why nobody may delete it, as phrases for people. */
export function protections(backup: Pick<BackupEntity, 'id' | 'pinned' | 'held'>, lastGoodId: string | null): string[] {
  return [
    ...(backup.pinned ? ['it is pinned'] : []),
    ...(backup.held ? ['it is held'] : []),
    ...(backup.id === lastGoodId ? ["it is the workspace's last good backup"] : []),
  ];
}
