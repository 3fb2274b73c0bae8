import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, asAppError } from '#errors';
import { deleteEach, lockOf, StorageLocked } from '#storage';
import type { TenantScope } from '../access/access.service.js';
import { failureOf } from '../operations/operation-failure.js';
import type { OperationFailure } from '../operations/operation-handler.js';
import { RowsOfEach } from '../platform/database/batched-reads.js';
import { ArchiveStores } from '../platform/storage/archive-stores.js';
import { isAway } from '../platform/storage/guarded-store.js';
import { type ArchiveObjects, isSameArchive, manifestKeyOf, removeArchive, requireRemoved } from './archive-objects.js';

export type CopyState = 'PENDING' | 'COPYING' | 'GOOD' | 'FAILED' | 'MISSING' | 'DELETING';

export interface BackupCopy {
  readonly backupId: string;
  readonly store: string;
  readonly state: CopyState;
  readonly storeKey: string;
  readonly attempts: number;
  readonly failure: OperationFailure | null;
  readonly copiedAt: Date | null;
  readonly checkedAt: Date | null;
  /** Where its store lets nobody delete it before. */
  readonly lockedUntil: Date | null;
}

/** In SQL: doubles with each failure, from a minute to six hours. */
export const pause = `least(360, power(2, least(attempts, 10))) * interval '1 minute'`;

/** In SQL; also where a clock was set far forward, and back, when the pause began. */
export const isDue = `(next_attempt_at <= clock_timestamp() or next_attempt_at > clock_timestamp() + interval '12 hours')`;

/** In SQL: nobody reads it any more, and no store is known to keep it. */
export const isDeletable = `state = 'DELETING' and ${isDue} and (locked_until is null or locked_until <= clock_timestamp())`;

const columns = 'backup_id as "backupId", store, state, store_key as "storeKey", attempts, failure, copied_at as "copiedAt", checked_at as "checkedAt", locked_until as "lockedUntil"';

/** The copies of archives in further stores: where there is a good one, whether it still is, and how they go. */
@Injectable()
export class BackupCopies {
  private readonly rows = new RowsOfEach<BackupCopy & { readonly tenantId: string }>(() => this.dataSource.manager, `select ${columns}, tenant_id as "tenantId" from backup_copy where backup_id = key.id order by store`);

  constructor(
    private readonly dataSource: DataSource,
    private readonly stores: ArchiveStores,
  ) {}

  /** Stores with a good copy of this very file, those of the oldest destination first. */
  async goodOf(storeKey: string): Promise<string[]> {
    const rows: { store: string }[] = await this.dataSource.query(
      `select c.store from backup_copy c left join destination d on d.tenant_id = c.tenant_id and d.store = c.store and d.deleted_at is null
       where c.store_key = $1 and c.state = 'GOOD' order by d.created_at nulls last, c.store`,
      [storeKey],
    );
    return rows.map(({ store }) => store).filter((store) => this.stores.has(store));
  }

  async of(scope: TenantScope, backupId: string): Promise<BackupCopy[]> {
    return (await this.rows.of(backupId)).filter(({ tenantId }) => tenantId === scope.tenantId);
  }

  /**
   * The bytes of every copy of the file, then the rows. One that is just being written is marked, and removed by who writes it. Idempotent.
   *
   * @throws AppError STORAGE_UNAVAILABLE: it is tried again; StorageLocked when all is gone that is not locked
   */
  async remove(storeKey: string): Promise<void> {
    await this.dataSource.query(`update backup_copy set state = 'DELETING', attempts = 0, next_attempt_at = clock_timestamp() where store_key = $1 and state = 'COPYING'`, [storeKey]);
    const rows: { store: string }[] = await this.dataSource.query(`select store from backup_copy where store_key = $1`, [storeKey]);
    await deleteEach(rows, async ({ store }) => {
      const lock = await lockOf(this.removeFrom(store, storeKey));
      if (lock === null) return this.dataSource.query(`delete from backup_copy where store_key = $1 and store = $2 and state <> 'DELETING'`, [storeKey, store]);
      await this.dataSource.query(
        `update backup_copy set state = 'DELETING', failure = $3, locked_until = $4 where store_key = $1 and store = $2`, [storeKey, store, JSON.stringify(failureOf(lock)), lock.until]);
      throw lock;
    });
  }

  /** Of copies that nobody reads any more; what a store would not let go is tried again after a pause. Returns why, for each. */
  async removeMarked({ tenantId }: TenantScope): Promise<readonly AppError[]> {
    const failures: AppError[] = [];
    const rows: { store: string; store_key: string }[] = await this.dataSource.query(`select store, store_key from backup_copy where tenant_id = $1 and ${isDeletable}`, [tenantId]);
    for (const { store, store_key } of rows) {
      const place = [tenantId, store, store_key];
      try {
        await this.removeFrom(store, store_key);
        await this.dataSource.query(`delete from backup_copy where tenant_id = $1 and store = $2 and store_key = $3 and state = 'DELETING'`, place);
      } catch (error) {
        const failure = asAppError(error);
        if (!isAway(failure) && !(failure instanceof StorageLocked)) throw error;
        failures.push(failure);
        const lockedUntil = failure instanceof StorageLocked ? failure.until : null;
        await this.dataSource.query(
          `update backup_copy set attempts = attempts + 1, failure = $4, locked_until = $5, next_attempt_at = clock_timestamp() + ${pause}
           where tenant_id = $1 and store = $2 and store_key = $3 and state = 'DELETING'`,
          [...place, JSON.stringify(failureOf(failure)), lockedUntil],
        );
      }
    }
    return failures;
  }

  /** Everything of a tenant in every store that copies go to. @throws AppError STORAGE_UNAVAILABLE; StorageLocked when all is gone that is not locked */
  async removeAll({ tenantId }: TenantScope): Promise<void> {
    await this.dataSource.query(`update backup_copy set state = 'DELETING', next_attempt_at = clock_timestamp() where tenant_id = $1`, [tenantId]);
    const failure = (await this.removeMarked({ tenantId })).find((one) => !(one instanceof StorageLocked));
    if (failure !== undefined) throw failure;
    await deleteEach(this.stores.names, (name) => {
      const store = this.stores.get(name);
      return deleteEach(store.allKeys(`${tenantId}/`), (key) => store.delete(key));
    });
  }

  async areGone({ tenantId }: TenantScope, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query('select 1 from backup_copy where tenant_id = $1 limit 1', [tenantId]);
    return rows.length === 0;
  }

  /** Reads every good copy of the backup whole; one that is not what was written is MISSING from then on, and made anew. */
  async check(scope: TenantScope, backupId: string, facts: ArchiveObjects, signal: AbortSignal): Promise<readonly string[]> {
    const bad: string[] = [];
    for (const { store, state, storeKey } of await this.of(scope, backupId)) {
      if (state !== 'GOOD' || storeKey !== facts.storeKey || !this.stores.has(store)) continue;
      const isGood = await isSameArchive(this.stores.get(store), facts, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        // A store that is away says nothing about the copy.
        if (isAway(error)) return null;
        throw error;
      });
      if (isGood === null) continue;
      if (!isGood) bad.push(store);
      await this.dataSource.query(
        `update backup_copy set state = $4, checked_at = clock_timestamp(), next_attempt_at = clock_timestamp() where tenant_id = $1 and backup_id = $2 and store = $3 and state = 'GOOD'`,
        [scope.tenantId, backupId, store, isGood ? 'GOOD' : 'MISSING'],
      );
    }
    return bad;
  }

  /** Good ones that a store no longer has, or has in another size. Nothing is read; the store is listed. */
  async *lost(): AsyncGenerator<{ readonly store: string; readonly key: string; readonly tenantId: string; readonly backupId: string }, void, undefined> {
    const rows: { store: string; store_key: string; tenant_id: string; backup_id: string; size_bytes: string; has_manifest: boolean }[] = await this.dataSource.query(
      `select c.store, c.store_key, c.tenant_id, c.backup_id, b.size_bytes, b.manifest_sha256 is not null as has_manifest from backup_copy c join backup b on b.id = c.backup_id where c.state = 'GOOD' order by c.store, c.store_key collate "C"`,
    );
    for (const { store, store_key: key, tenant_id: tenantId, backup_id: backupId, size_bytes, has_manifest } of rows) {
      if (!this.stores.has(store)) continue;
      const place = this.stores.get(store);
      const isThere = (await place.stat(key))?.sizeBytes === Number(size_bytes) && (!has_manifest || (await place.stat(manifestKeyOf(key))) !== null);
      if (!isThere) yield { store, key, tenantId, backupId };
    }
  }

  async markMissing({ tenantId }: TenantScope, backupId: string, store: string): Promise<void> {
    await this.dataSource.query(`update backup_copy set state = 'MISSING', next_attempt_at = clock_timestamp() where tenant_id = $1 and backup_id = $2 and store = $3 and state = 'GOOD'`, [tenantId, backupId, store]);
  }

  private async removeFrom(name: string, storeKey: string): Promise<void> {
    const store = this.stores.get(name);
    // What lies there is the archive itself.
    if (!(await this.stores.isApart(name))) return;
    await removeArchive(store, storeKey);
    await requireRemoved(store, storeKey);
  }
}
