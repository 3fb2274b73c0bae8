import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, redact } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { AppConfig } from '../config/app-config.js';
import type { Actor } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { PoliciesService } from '../policies/policies.service.js';
import { ArchiveFiles } from './archive-files.js';
import type { BackupEntity } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';
import { BackupsService } from './backups.service.js';

/** Deletes backups in two phases: the row says so first, then the bytes go. A crash in between is finished at the next start. */
@Injectable()
export class BackupDeletion implements OnApplicationBootstrap {
  private readonly logger = new Logger(BackupDeletion.name);

  constructor(
    private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly service: BackupsService,
    private readonly backups: BackupsRepository,
    private readonly files: ArchiveFiles,
    private readonly policies: PoliciesService,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    if (!this.config.runsWorker) return;
    for (const backup of await this.backups.halfDeleted()) {
      await this.finish(backup).catch((error: unknown) => this.logger.warn({ msg: 'The bytes of a deleted backup are still there', backupId: backup.id, error: redact(String(error)) }));
    }
  }

  /** @throws AppError BACKUP_PROTECTED, BACKUP_IN_USE, UNDO_WOULD_BE_LOST unless `giveUpUndo`, STORAGE_UNAVAILABLE */
  async delete(actor: Actor, globalId: string, giveUpUndo = false): Promise<BackupEntity> {
    const { id, tenantId } = await this.service.get(actor, globalId);
    const scope = await this.access.authorize(actor, tenantId, Permission.BACKUP_DELETE);
    await this.policies.require(actor, scope, 'selfServiceDelete');
    const begun = await runInTransaction(this.dataSource, async (manager) => {
      const backup = await this.service.lock(scope, id, manager);
      if (backup.state === 'DELETED') return backup;
      await this.requireDeletable(backup, manager);
      const undoableUntil = (await this.backups.undoable(scope, manager)).get(id) ?? null;
      if (undoableUntil !== null && !giveUpUndo) throw undoWouldBeLost(undoableUntil);
      await this.backups.update(scope, id, [backup.state], { deletedAt: () => 'clock_timestamp()' }, manager);
      await this.audit.record({ action: 'backup.deleted', tenantId, actor, subject: { type: 'Backup', id }, detail: { fileName: backup.fileName, name: backup.name, undoGivenUp: undoableUntil !== null } }, manager);
      return backup;
    });
    return begun.state === 'DELETED' ? begun : this.finish(begun);
  }

  private async finish(backup: BackupEntity): Promise<BackupEntity> {
    if (backup.storeKey !== null) await this.files.remove(backup.storeKey);
    await this.backups.update(backup, backup.id, [backup.state], { state: 'DELETED' });
    return this.dataSource.transaction((manager) => this.service.lock(backup, backup.id, manager));
  }

  private async requireDeletable(backup: BackupEntity, manager: EntityManager): Promise<void> {
    if (backup.state === 'QUEUED' || backup.state === 'RUNNING') throw new AppError('BACKUP_IN_USE', 'The backup is still being taken');
    if ((await this.backups.operationsOn(backup.id, manager)).length > 0) throw new AppError('BACKUP_IN_USE', 'A running operation reads this backup');
    const [reason] = protections(backup, (await this.backups.lastGood(backup, manager))?.id ?? null);
    if (reason !== undefined) throw new AppError('BACKUP_PROTECTED', `The backup is kept: ${reason}`);
  }
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
