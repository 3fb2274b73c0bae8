import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { type ArchiveStore, deleteEach, lockOf } from '#storage';
import type { TenantScope } from '../access/access.service.js';
import { failureOf } from '../operations/operation-failure.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import { ArchiveFiles } from './archive-files.js';
import { BackupCopies } from './backup-copies.js';
import { BackupEntity } from './backup.entity.js';

/** All archives of a tenant at once, for the day on which it is deleted. */
@Injectable()
export class TenantArchives {
  constructor(
    private readonly dataSource: DataSource,
    private readonly files: ArchiveFiles,
    private readonly copies: BackupCopies,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** How many are on hold. */
  async held({ tenantId }: TenantScope, manager: EntityManager = this.dataSource.manager): Promise<number> {
    const [row]: { count: string }[] = await manager.query(`select count(*) as count from backup where tenant_id = $1 and held and state <> 'DELETED'`, [tenantId]);
    return Number(row?.count ?? 0);
  }

  /** The first phase: from the commit on none of them is usable, whatever else protects it. The caller holds the tenant's row, and no work runs. */
  async begin({ tenantId }: TenantScope, manager: EntityManager): Promise<void> {
    await manager.query(`update backup set deleted_at = coalesce(deleted_at, clock_timestamp()), pinned = false where tenant_id = $1 and state <> 'DELETED'`, [tenantId]);
  }

  /**
   * The second phase: bytes, then rows, one after the other, and whatever else lies in the tenant's folder. Idempotent; processes may be at it side by side.
   *
   * @throws AppError STORAGE_UNAVAILABLE: it is tried again; StorageLocked when all is gone that is not locked
   */
  async remove(scope: TenantScope): Promise<void> {
    for (const tried: string[] = []; ; ) {
      const id = await this.removeOne(scope, tried);
      if (id === null) break;
      tried.push(id);
    }
    const noted: { store_key: string }[] = await this.dataSource.query('select store_key from discarded_archive where tenant_id = $1', [scope.tenantId]);
    const folder = `${scope.tenantId}/`;
    const deletions = [
      () => deleteEach(noted, ({ store_key }) => this.files.remove(store_key)),
      () => this.copies.removeAll(scope),
      () => deleteEach(this.store.allKeys(folder), (key) => this.store.delete(key)),
    ];
    await deleteEach(deletions, (deletion) => deletion());
    for await (const key of this.store.allKeys(folder)) throw new AppError('STORAGE_UNAVAILABLE', `The store still has ${key} after it was deleted`);
  }

  /** Until when locks of stores keep some of it; null: none does, as far as is known. */
  async lockedUntil({ tenantId }: TenantScope): Promise<Date | null> {
    const [row]: { until: Date | null }[] = await this.dataSource.query(
      `select max(until) as until from (
         select locked_until as until from backup where tenant_id = $1 and state <> 'DELETED'
         union all select locked_until from backup_copy where tenant_id = $1 and state = 'DELETING') waiting`,
      [tenantId],
    );
    return row?.until ?? null;
  }

  /** Whether a row is left whose bytes may be there. */
  async areGone(scope: TenantScope, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query(`select 1 from backup where tenant_id = $1 and state <> 'DELETED' limit 1`, [scope.tenantId]);
    return rows.length === 0 && (await this.copies.areGone(scope, manager));
  }

  /** Last of all: what the keys of the archives were derived from, beside the tenant's id and the installation's key. */
  async forgetKeys({ tenantId }: TenantScope, manager: EntityManager): Promise<void> {
    await manager.query('update backup set salt = null, bytes_left = false where tenant_id = $1', [tenantId]);
  }

  /** The id of the one that was removed, or kept by a lock; null when there is none that no other process is at. */
  private removeOne({ tenantId }: TenantScope, tried: readonly string[]): Promise<string | null> {
    return this.dataSource.transaction(async (manager) => {
      const backup = await manager
        .createQueryBuilder(BackupEntity, 'backup')
        .where(
          `backup.tenant_id = :tenantId and backup.deleted_at is not null and backup.state <> 'DELETED' and (backup.locked_until is null or backup.locked_until <= clock_timestamp()) and backup.id <> all(:tried)`, { tenantId, tried })
        .orderBy('backup.id')
        .limit(1)
        .setLock('pessimistic_write')
        .setOnLocked('skip_locked')
        .getOne();
      if (backup === null) return null;
      const lock = backup.storeKey === null ? null : await lockOf(this.files.remove(backup.storeKey));
      await manager.update(
        BackupEntity,
        { tenantId, id: backup.id },
        lock === null ? { state: 'DELETED', held: false, removalFailure: null, lockedUntil: null } : { removalFailure: failureOf(lock), lockedUntil: lock.until },
      );
      return backup.id;
    });
  }
}
