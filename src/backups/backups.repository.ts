import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import { type EntityManager, In, type QueryDeepPartialEntity, type SelectQueryBuilder } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { OperationFailure } from '../operations/operation-handler.js';
import { EntitiesById, RowsOfEach, TenantEntitiesById } from '../platform/database/batched-reads.js';
import { containing } from '../platform/database/text-search.js';
import { BackupEntity, type BackupState, type BackupTrigger } from './backup.entity.js';
import type { StoredBackup } from './stored-backup.js';

export interface BackupFilter {
  readonly states?: readonly BackupState[] | null;
  readonly labels?: readonly string[] | null;
  readonly triggers?: readonly BackupTrigger[] | null;
  readonly text?: string | null;
  readonly from?: Date | null;
  readonly to?: Date | null;
}

export interface StorageTotals {
  readonly usedBytes: number;
  readonly safetyBytes: number;
  readonly backups: number;
}

interface IdRow {
  readonly id: string;
}

interface TotalsRow {
  readonly used: string;
  readonly safety: string;
  readonly backups: string;
}

type StoredRow = Omit<StoredBackup, 'sizeBytes'> & { readonly sizeBytes: string };

interface UndoableRow extends IdRow {
  readonly expires_at: Date;
}

const lastGoodSql =
  `select b.id from backup b
   where b.tenant_id = key.id and b.state = 'COMPLETED' and b.deleted_at is null and b.collections is null and coalesce((b.verification->>'ok')::boolean, true)
   order by (b.trigger in ('SAFETY', 'IMPORT')), b.finished_at desc, b.id desc limit 1`;

const inUseSql =
  `select b.id from backup b join operation o on o.backup_id = b.id or o.input_outline->>'otherBackupId' = b.id::text or o.id = b.operation_id
   where o.tenant_id = key.id and b.tenant_id = key.id and o.state in ('QUEUED', 'RUNNING')`;

/** Of restores that begin at a time that people were told of; their plans are used up. @param tenant a place for the tenant's id */
const announcedOf = (tenant: string): string =>
  `select p.backup_id as id from announcement a join restore_plan p on p.id = a.subject_id where a.tenant_id = ${tenant} and p.tenant_id = ${tenant} and a.state = 'PENDING' and p.backup_id is not null`;

const askedForSql =
  `select p.backup_id as id from restore_plan p where p.tenant_id = key.id and p.backup_id is not null and p.used_at is null and p.expires_at > clock_timestamp()
   union ${announcedOf('key.id')}
   union select d.backup_id from download d where d.tenant_id = key.id and d.expires_at > clock_timestamp() - interval '1 hour'`;

const storedSql =
  `select b.id, b.trigger, b.scope, b.schedule_id as "scheduleId", b.label, b.created_at as "createdAt", coalesce(b.finished_at, b.created_at) as at, coalesce(b.size_bytes, 0) as "sizeBytes",
     b.collections is null as "isWhole", not coalesce((b.verification->>'ok')::boolean, true) as "isDamaged", b.operation_id is null as "isRegistered", b.pinned, b.held, b.expires_at as "expiresAt"
   from backup b where b.tenant_id = key.id and b.state = 'COMPLETED' and b.deleted_at is null`;

const undoableSql =
  `select b.id, b.expires_at from backup b join operation o on o.id = b.operation_id and o.journal_outline->>'finalSafetyId' = b.id::text
   where b.tenant_id = key.id and b.trigger = 'SAFETY' and b.state = 'COMPLETED' and b.deleted_at is null and b.expires_at > clock_timestamp() and o.state = 'COMPLETED'`;

/** No lock of a store keeps its bytes, as far as is known. */
const isDeletable = '(backup.locked_until is null or backup.locked_until <= clock_timestamp())';

/** All SQL of the `backup` table. Every method but `findAnywhere` is bound to one tenant. */
@Injectable()
export class BackupsRepository {
  private readonly byId = new EntitiesById(() => this.manager, BackupEntity);
  private readonly ofTenants = new TenantEntitiesById(() => this.manager, BackupEntity);
  private readonly lastGoods = new RowsOfEach<IdRow>(() => this.manager, lastGoodSql);
  private readonly totals = new RowsOfEach<TotalsRow>(
    () => this.manager,
    `select coalesce(sum(size_bytes) filter (where trigger <> 'SAFETY'), 0) as used,
            coalesce(sum(size_bytes) filter (where trigger = 'SAFETY'), 0) as safety,
            count(*) as backups
     from backup where tenant_id = key.id and state = 'COMPLETED'`,
  );
  private readonly safeties = new RowsOfEach<IdRow & TenantScope>(
    () => this.manager,
    `select b.id, b.tenant_id as "tenantId" from backup b join operation o on o.id = b.operation_id where b.operation_id = key.id and b.trigger = 'SAFETY' and b.state <> 'DELETED'
     order by (o.journal_outline->>'finalSafetyId' = b.id::text) is true desc, (b.state = 'COMPLETED') desc, b.created_at desc limit 1`,
  );
  private readonly used = new RowsOfEach<IdRow>(() => this.manager, inUseSql);
  private readonly asked = new RowsOfEach<IdRow>(() => this.manager, askedForSql);
  private readonly storedRows = new RowsOfEach<StoredRow>(() => this.manager, storedSql);
  private readonly lasting = new RowsOfEach<UndoableRow & TenantScope>(
    () => this.manager,
    `select b.id, b.tenant_id as "tenantId", b.expires_at from backup b where b.id = key.id and b.state = 'COMPLETED' and b.deleted_at is null and b.expires_at > clock_timestamp()`,
  );
  private readonly undoables = new RowsOfEach<UndoableRow>(() => this.manager, undoableSql);

  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  async insert(row: QueryDeepPartialEntity<BackupEntity>, manager = this.manager): Promise<void> {
    await manager.insert(BackupEntity, row);
  }

  find(scope: TenantScope, id: string, manager?: EntityManager): Promise<BackupEntity | null> {
    return manager === undefined ? this.ofTenants.find(scope.tenantId, id) : manager.findOneBy(BackupEntity, { tenantId: scope.tenantId, id });
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  findAnywhere(id: string): Promise<BackupEntity | null> {
    return this.byId.find(id);
  }

  /** Held until the transaction ends, so that no restore starts on a backup that is being deleted, nor the other way round. */
  lock(scope: TenantScope, id: string, manager: EntityManager): Promise<BackupEntity | null> {
    return manager.findOne(BackupEntity, { where: { tenantId: scope.tenantId, id }, lock: { mode: 'pessimistic_write' } });
  }

  /** Changes the row if it is in one of `states`; false when it is not. */
  async update(scope: TenantScope, id: string, states: readonly BackupState[], patch: QueryDeepPartialEntity<BackupEntity>, manager = this.manager): Promise<boolean> {
    const result = await manager
      .createQueryBuilder()
      .update(BackupEntity)
      .set(patch)
      .where('tenant_id = :tenantId and id = :id and state = any(:states)', { tenantId: scope.tenantId, id, states })
      .execute();
    return (result.affected ?? 0) > 0;
  }

  filtered(scope: TenantScope, filter: BackupFilter): SelectQueryBuilder<BackupEntity> {
    const query = this.manager.createQueryBuilder(BackupEntity, 'backup').where('backup.tenant_id = :tenantId', { tenantId: scope.tenantId });
    if (filter.states && filter.states.length > 0) query.andWhere('backup.state = any(:states)', { states: filter.states });
    else query.andWhere(`backup.state <> 'DELETED'`);
    if (filter.labels && filter.labels.length > 0) query.andWhere('backup.label = any(:labels)', { labels: filter.labels });
    if (filter.triggers && filter.triggers.length > 0) query.andWhere('backup.trigger = any(:triggers)', { triggers: filter.triggers });
    if (filter.from) query.andWhere('backup.created_at >= :from', { from: filter.from });
    if (filter.to) query.andWhere('backup.created_at < :to', { to: filter.to });
    const text = filter.text?.trim();
    if (text) {
      const pattern = containing(text);
      query.andWhere('(backup.name ilike :pattern or backup.description ilike :pattern or backup.notes ilike :pattern or backup.file_name ilike :pattern)', { pattern });
    }
    return query;
  }

  /** The newest usable one of a whole database that somebody or a schedule took; a safety backup or an imported one only where there is no other. */
  async lastGood(scope: TenantScope, manager?: EntityManager): Promise<BackupEntity | null> {
    const id = await this.lastGoodId(scope, manager);
    return id === null ? null : this.find(scope, id, manager);
  }

  async lastGoodId({ tenantId }: TenantScope, manager?: EntityManager): Promise<string | null> {
    const [row] = await this.lastGoods.of(tenantId, manager);
    return row?.id ?? null;
  }

  /** Sizes of the last completed ones of the same scope and codec before this one, newest first, that somebody or a schedule took. */
  async sizesBefore(scope: TenantScope, backup: BackupEntity, limit: number, manager = this.manager): Promise<number[]> {
    const rows: { size_bytes: string }[] = await manager.query(
      `select size_bytes from backup
       where tenant_id = $1 and id <> $2 and scope = $3 and codec = $4 and trigger in ('MANUAL', 'SCHEDULE', 'CRON') and created_at <= $5
         and finished_at is not null and size_bytes is not null and state in ('COMPLETED', 'DELETED')
       order by created_at desc limit $6`,
      [scope.tenantId, backup.id, backup.scope, backup.codec, backup.createdAt, limit],
    );
    return rows.map((row) => Number(row.size_bytes));
  }

  /** The safety backup that undo of this operation reads; before that is known, the last one that was not replaced. */
  async safetyOf(scope: TenantScope, operationId: string): Promise<BackupEntity | null> {
    const [row] = await this.safeties.of(operationId);
    return row === undefined || row.tenantId !== scope.tenantId ? null : this.find(scope, row.id);
  }

  /** Another safety backup of the operation than `besidesId`, whatever its state. */
  safetyBesides(scope: TenantScope, operationId: string, besidesId: string): Promise<BackupEntity | null> {
    return this.manager
      .createQueryBuilder(BackupEntity, 'backup')
      .where(`backup.tenant_id = :tenantId and backup.operation_id = :operationId and backup.trigger = 'SAFETY' and backup.id <> :besidesId`, { tenantId: scope.tenantId, operationId, besidesId })
      .orderBy(`(backup.state = 'COMPLETED')`, 'DESC')
      .addOrderBy('backup.created_at', 'DESC')
      .limit(1)
      .getOne();
  }

  /** Whether some backup's bytes lie there. */
  async isStoredAt(storeKey: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query(`select 1 from backup where store_key = $1 and state <> 'DELETED'`, [storeKey]);
    return rows.length > 0;
  }

  async isBeingWrittenAt(storeKey: string): Promise<boolean> {
    const rows: unknown[] = await this.manager.query(
      `select 1 from backup where store_key = $1 and state in ('QUEUED', 'RUNNING') union all select 1 from discarded_archive where store_key = $1`,
      [storeKey],
    );
    return rows.length > 0;
  }

  unfinishedOf(scope: TenantScope, operationId: string): Promise<BackupEntity[]> {
    return this.manager
      .createQueryBuilder(BackupEntity, 'backup')
      .where(`backup.tenant_id = :tenantId and backup.operation_id = :operationId and backup.state in ('QUEUED', 'RUNNING')`, { tenantId: scope.tenantId, operationId })
      .getMany();
  }

  /** Deletions that a crash, a store or a lock interrupted between their two phases. */
  halfDeleted(): Promise<BackupEntity[]> {
    return this.manager
      .createQueryBuilder(BackupEntity, 'backup')
      .where(`backup.deleted_at < now() - interval '1 minute' and backup.state <> 'DELETED' and ${isDeletable}`)
      .orderBy('backup.deleted_at')
      .limit(100)
      .getMany();
  }

  /** One that came to nothing and whose bytes are still there, held until the transaction ends; any of them, so that one that the store does not let go keeps no other. */
  lockLeftOver(manager: EntityManager): Promise<BackupEntity | null> {
    return manager
      .createQueryBuilder(BackupEntity, 'backup')
      .where(`backup.bytes_left and backup.state in ('FAILED', 'CANCELED') and ${isDeletable}`)
      .orderBy('random()')
      .limit(1)
      .setLock('pessimistic_write')
      .setOnLocked('skip_locked')
      .getOne();
  }

  /** Ids of unfinished operations that read or write this backup. */
  async operationsOn(backupId: string, manager = this.manager): Promise<string[]> {
    const rows: { id: string }[] = await manager.query(
      `select o.id from operation o
       where o.state in ('QUEUED', 'RUNNING')
         and (o.backup_id = $1 or o.input_outline->>'otherBackupId' = $1::text or o.id = (select operation_id from backup where id = $1))`,
      [backupId],
    );
    return rows.map((row) => row.id);
  }

  async inUse(scope: TenantScope, manager?: EntityManager): Promise<ReadonlySet<string>> {
    const rows = await this.used.of(scope.tenantId, manager);
    return new Set(rows.map(({ id }) => id));
  }

  /** What somebody is about to read: by a plan that can still be used, or by a download that is open or was a short while ago. */
  async askedFor(scope: TenantScope, manager?: EntityManager): Promise<ReadonlySet<string>> {
    const rows = await this.asked.of(scope.tenantId, manager);
    return new Set(rows.map(({ id }) => id));
  }

  /** Whether a restore is announced that will read it. */
  async isAnnounced(scope: TenantScope, id: string, manager: EntityManager): Promise<boolean> {
    const rows: readonly IdRow[] = await manager.query(announcedOf('$1'), [scope.tenantId]);
    return rows.some((row) => row.id === id);
  }

  async stored(scope: TenantScope, manager?: EntityManager): Promise<StoredBackup[]> {
    const rows = await this.storedRows.of(scope.tenantId, manager);
    return rows.map((row) => ({ ...row, sizeBytes: Number(row.sizeBytes) }));
  }

  findAll(scope: TenantScope, ids: readonly string[]): Promise<BackupEntity[]> {
    return this.manager.findBy(BackupEntity, { tenantId: scope.tenantId, id: In([...ids]) });
  }

  /** Safety backups by which a completed operation can still be undone, and until when. */
  async undoable(scope: TenantScope, manager?: EntityManager): Promise<ReadonlyMap<string, Date>> {
    const rows = await this.undoables.of(scope.tenantId, manager);
    return new Map(rows.map((row) => [row.id, row.expires_at]));
  }

  /** Until when a usable backup is kept, by the database's clock; null when that is over, and of one without an end. */
  async lastsUntil({ tenantId }: TenantScope, id: string): Promise<Date | null> {
    return (await this.lasting.of(id)).find((row) => row.tenantId === tenantId)?.expires_at ?? null;
  }

  async isExpired(scope: TenantScope, id: string, manager = this.manager): Promise<boolean> {
    const rows: unknown[] = await manager.query('select 1 from backup where tenant_id = $1 and id = $2 and expires_at <= clock_timestamp()', [scope.tenantId, id]);
    return rows.length > 0;
  }

  /** @param which of its safety backups: the one that undo reads, or every one that is COMPLETED */
  async expireAfterEnd(scope: TenantScope, operationId: string, afterMs: number, manager: EntityManager, which: 'FINAL' | 'EVERY' = 'FINAL'): Promise<void> {
    await manager.query(
      `update backup b set expires_at = o.finished_at + $3 * interval '1 millisecond' from operation o
       where o.id = $2 and o.tenant_id = $1 and b.operation_id = o.id and (b.id::text = o.journal_outline->>'finalSafetyId' or ($4 and b.trigger = 'SAFETY' and b.state = 'COMPLETED'))`,
      [scope.tenantId, operationId, afterMs, which === 'EVERY'],
    );
  }

  async giveUpUnfinished(scope: TenantScope, operationId: string, failure: OperationFailure, manager: EntityManager): Promise<void> {
    await manager.query(
      `update backup set state = 'FAILED', failure = $3, finished_at = clock_timestamp(), bytes_left = true
       where tenant_id = $1 and operation_id = $2 and trigger = 'SAFETY' and state in ('QUEUED', 'RUNNING')`,
      [scope.tenantId, operationId, JSON.stringify(failure)],
    );
  }

  async storageTotals(scope: TenantScope): Promise<StorageTotals> {
    const [row] = await this.totals.of(scope.tenantId);
    return { usedBytes: Number(row?.used ?? 0), safetyBytes: Number(row?.safety ?? 0), backups: Number(row?.backups ?? 0) };
  }
}
