import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { ArchiveObjects } from '../backups/archive-objects.js';
import { isDeletable, isDue, pause } from '../backups/backup-copies.js';
import type { OperationFailure } from '../operations/operation-handler.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { RowsOfEach } from '../platform/database/batched-reads.js';

export interface Destination {
  readonly id: string;
  readonly tenantId: string;
  readonly store: string;
  readonly movingFrom: string | null;
  readonly createdBy: ActorStamp | null;
  readonly createdAt: Date;
  readonly deletedAt: Date | null;
}

export interface CopyCounts {
  readonly good: number;
  readonly waiting: number;
  readonly failed: number;
}

export interface WantedCopy extends ArchiveObjects {
  readonly backupId: string;
  readonly store: string;
}

const columns = 'id, tenant_id as "tenantId", store, moving_from as "movingFrom", created_by as "createdBy", created_at as "createdAt", deleted_at as "deletedAt"';

/** A copy that is to be made: of every usable backup but safety backups, which are gone in days, in every destination that has no good one. */
const wanted = `from destination d join backup b on b.tenant_id = d.tenant_id and b.state = 'COMPLETED' and b.deleted_at is null and b.trigger <> 'SAFETY' and b.sha256 is not null
  left join backup_copy c on c.backup_id = b.id and c.store = d.store and c.store_key = b.store_key
  where d.deleted_at is null and (c.state is null or (c.state in ('PENDING', 'COPYING', 'MISSING', 'FAILED') and ${isDue}))`;

/** Of a destination that is deleted: nothing of it is left. */
const emptied = `not exists (select 1 from backup_copy c where c.tenant_id = d.tenant_id and c.store in (d.store, d.moving_from) and c.state = 'DELETING')`;

/** Every copy is good in the store that the destination moves to. */
const moved = `d.moving_from is not null and d.deleted_at is null and not exists (
  select 1 from backup b where b.tenant_id = d.tenant_id and b.state = 'COMPLETED' and b.deleted_at is null and b.trigger <> 'SAFETY'
    and not exists (select 1 from backup_copy c where c.backup_id = b.id and c.store = d.store and c.store_key = b.store_key and c.state = 'GOOD'))`;

/** All SQL of destinations, and of copies as far as they are made. */
@Injectable()
export class DestinationsRepository {
  private readonly rows = new RowsOfEach<Destination>(() => this.dataSource.manager, `select ${columns} from destination where tenant_id = key.id order by created_at, id`);
  private readonly countRows = new RowsOfEach<CopyCounts>(
    () => this.dataSource.manager,
    `select count(*) filter (where c.state = 'GOOD')::int as good, count(*) filter (where c.state = 'FAILED')::int as failed,
            count(*) filter (where c.state is null or c.state in ('PENDING', 'COPYING', 'MISSING'))::int as waiting
     from destination d join backup b on b.tenant_id = d.tenant_id left join backup_copy c on c.backup_id = b.id and c.store = d.store and c.store_key = b.store_key
     where d.id = key.id and b.state = 'COMPLETED' and b.deleted_at is null and b.trigger <> 'SAFETY'`,
  );

  constructor(private readonly dataSource: DataSource) {}

  async insert({ tenantId }: TenantScope, id: string, store: string, createdBy: ActorStamp, manager: EntityManager): Promise<void> {
    await manager.query('insert into destination (id, tenant_id, store, created_by) values ($1, $2, $3, $4)', [id, tenantId, store, JSON.stringify(createdBy)]);
  }

  async find({ tenantId }: TenantScope, id: string, manager: EntityManager = this.dataSource.manager): Promise<Destination | null> {
    const [row]: Destination[] = await manager.query(`select ${columns} from destination where tenant_id = $1 and id = $2`, [tenantId, id]);
    return row ?? null;
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  async findAnywhere(id: string): Promise<Destination | null> {
    const [row]: Destination[] = await this.dataSource.query(`select ${columns} from destination where id = $1`, [id]);
    return row ?? null;
  }

  /** Read together with those of other tenants, where no transaction is given. */
  async ofTenant({ tenantId }: TenantScope, manager?: EntityManager): Promise<readonly Destination[]> {
    return manager?.query(`select ${columns} from destination where tenant_id = $1 order by created_at, id`, [tenantId]) ?? this.rows.of(tenantId);
  }

  async move({ tenantId }: TenantScope, id: string, from: string, to: string, manager: EntityManager): Promise<void> {
    await manager.query('update destination set store = $4, moving_from = $3 where tenant_id = $1 and id = $2', [tenantId, id, from, to]);
  }

  /** The first phase: nobody reads its copies from the commit on. */
  async markDeleted({ tenantId }: TenantScope, { id, store, movingFrom }: Destination, manager: EntityManager): Promise<void> {
    await manager.query('update destination set deleted_at = clock_timestamp() where tenant_id = $1 and id = $2', [tenantId, id]);
    await manager.query(`update backup_copy set state = 'DELETING', attempts = 0, next_attempt_at = clock_timestamp() where tenant_id = $1 and store = any($2)`, [tenantId, [store, ...(movingFrom === null ? [] : [movingFrom])]]);
  }

  /** Rows of destinations whose copies are gone. */
  async forgetDeleted({ tenantId }: TenantScope): Promise<void> {
    await this.dataSource.query(
      `delete from destination d where d.tenant_id = $1 and d.deleted_at is not null and ${emptied}`,
      [tenantId],
    );
  }

  /** Moves of which every copy is good in the new store: from now on nobody reads the old ones. */
  async endMoves({ tenantId }: TenantScope, manager: EntityManager): Promise<string[]> {
    const ended: { moving_from: string }[] = await manager.query(
      `select d.moving_from from destination d where d.tenant_id = $1 and ${moved} for update`,
      [tenantId],
    );
    for (const { moving_from } of ended) {
      await manager.query(`update backup_copy set state = 'DELETING', attempts = 0, next_attempt_at = clock_timestamp() where tenant_id = $1 and store = $2`, [tenantId, moving_from]);
      await manager.query('update destination set moving_from = null where tenant_id = $1 and moving_from = $2', [tenantId, moving_from]);
    }
    return ended.map(({ moving_from }) => moving_from);
  }

  async counts({ id }: Pick<Destination, 'id'>): Promise<CopyCounts> {
    const [row] = await this.countRows.of(id);
    return row ?? { good: 0, waiting: 0, failed: 0 };
  }

  /** Oldest first. */
  wanted({ tenantId }: TenantScope): Promise<WantedCopy[]> {
    return this.dataSource.query(
      `select b.id as "backupId", d.store, b.store_key as "storeKey", b.size_bytes::float8 as "sizeBytes", b.sha256, b.manifest_sha256 as "manifestSha256" ${wanted} and d.tenant_id = $1 order by b.created_at, b.id, d.created_at`,
      [tenantId],
    );
  }

  /** Tenants with something to copy or to remove, that no unfinished operation is at. */
  async tenantsToServe(limit: number): Promise<string[]> {
    const rows: { tenant_id: string }[] = await this.dataSource.query(
      `select tenant_id from (select d.tenant_id ${wanted} union select tenant_id from backup_copy where ${isDeletable}
         union select d.tenant_id from destination d where d.deleted_at is not null and ${emptied} union select d.tenant_id from destination d where ${moved}) work
       join tenant t on t.id = tenant_id where t.deletion_begun_at is null
         and not exists (select 1 from operation o where o.tenant_id = work.tenant_id and o.kind = 'COPY' and o.state in ('QUEUED', 'RUNNING')) order by 1 limit $1`,
      [limit],
    );
    return rows.map(({ tenant_id }) => tenant_id);
  }

  /** False where the copy is not wanted any more. */
  async begin({ tenantId }: TenantScope, { backupId, store, storeKey }: WantedCopy, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `insert into backup_copy as kept (backup_id, store, tenant_id, state, store_key)
         select b.id, d.store, d.tenant_id, 'COPYING', b.store_key from backup b join destination d on d.tenant_id = b.tenant_id and d.store = $3 and d.deleted_at is null
         where b.tenant_id = $1 and b.id = $2 and b.store_key = $4 and b.state = 'COMPLETED' and b.deleted_at is null
       on conflict (backup_id, store, store_key) do update set state = 'COPYING' where kept.state <> 'DELETING' returning 1`,
      [tenantId, backupId, store, storeKey],
    );
    return rows.length > 0;
  }

  /** False where it is not wanted any more: the bytes are then to be removed. Holds the backup's row, so that its deletion comes before or after. */
  async finish({ tenantId }: TenantScope, { backupId, store, storeKey }: WantedCopy, manager: EntityManager): Promise<boolean> {
    const usable: unknown[] = await manager.query(`select 1 from backup where tenant_id = $1 and id = $2 and store_key = $3 and state = 'COMPLETED' and deleted_at is null for update`, [tenantId, backupId, storeKey]);
    const rows: [unknown[], number] = await manager.query(
      `update backup_copy set state = $5, attempts = 0, failure = null, copied_at = clock_timestamp(), checked_at = clock_timestamp()
       where tenant_id = $1 and backup_id = $2 and store = $3 and store_key = $4 and state = 'COPYING' returning 1`,
      [tenantId, backupId, store, storeKey, usable.length > 0 ? 'GOOD' : 'DELETING'],
    );
    return usable.length > 0 && rows[1] > 0;
  }

  /** Tried again after a pause that doubles from a minute to six hours. Returns how often it has failed. */
  async fail({ tenantId }: TenantScope, { backupId, store, storeKey }: WantedCopy, failure: OperationFailure, manager: EntityManager): Promise<number> {
    const [rows]: [{ attempts: number }[], number] = await manager.query(
      `update backup_copy set state = 'FAILED', attempts = attempts + 1, failure = $4, next_attempt_at = clock_timestamp() + ${pause}
       where tenant_id = $1 and backup_id = $2 and store = $3 and store_key = $5 and state = 'COPYING' returning attempts`,
      [tenantId, backupId, store, JSON.stringify(failure), storeKey],
    );
    return rows[0]?.attempts ?? 0;
  }
}
