import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { ArchiveFacts } from '../backups/archive-inspection.js';
import type { ErrorCode } from '#errors';
import type { ActorStamp } from '../platform/auth/actor.js';
import { UploadEntity, type UploadProtocol, type UploadPurpose } from './upload.entity.js';

export interface NewUpload {
  readonly id: string;
  readonly purpose: UploadPurpose;
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly tokenHash: Buffer;
  readonly storeKey: string;
  readonly sourceTenantId: string | null;
  readonly protocol: UploadProtocol;
  readonly createdBy: ActorStamp;
}

export interface UploadLoad {
  /** Of uploads that are not refused and have become no backup yet. */
  readonly bytes: number;
  readonly inLastHour: number;
  /** Until the oldest of the last hour no longer counts. */
  readonly retryAfterMs: number;
}

/** All SQL of the `upload` table; times are the database's. */
@Injectable()
export class UploadsRepository {
  constructor(private readonly dataSource: DataSource) {}

  async insert(scope: TenantScope, upload: NewUpload, keptForSeconds: number, manager: EntityManager): Promise<void> {
    const { id, purpose, fileName, sizeBytes, sha256, tokenHash, storeKey, sourceTenantId, protocol, createdBy } = upload;
    await manager.query(
      `insert into upload (id, tenant_id, purpose, state, file_name, size_bytes, sha256, token_hash, store_key, source_tenant_id, protocol, created_by, expires_at)
       values ($1, $2, $3, 'OPEN', $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp() + $12 * interval '1 second')`,
      [id, scope.tenantId, purpose, fileName, sizeBytes, sha256, tokenHash, storeKey, sourceTenantId, protocol, JSON.stringify(createdBy), keptForSeconds],
    );
  }

  /** From now on; null when it has expired meanwhile. */
  async keep(scope: TenantScope, id: string, keptForSeconds: number): Promise<UploadEntity | null> {
    const rows: [unknown[], number] = await this.dataSource.query(
      `update upload set expires_at = clock_timestamp() + $3 * interval '1 second' where tenant_id = $1 and id = $2 and expires_at > clock_timestamp() returning id`,
      [scope.tenantId, id, keptForSeconds],
    );
    return rows[1] > 0 ? this.find(scope, id) : null;
  }

  /** Of whichever tenant. */
  async knowsKey(storeKey: string): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query('select 1 from upload where store_key = $1', [storeKey]);
    return rows.length > 0;
  }

  find(scope: TenantScope, id: string, manager: EntityManager = this.dataSource.manager): Promise<UploadEntity | null> {
    return manager.findOneBy(UploadEntity, { tenantId: scope.tenantId, id });
  }

  listAll(scope: TenantScope): Promise<UploadEntity[]> {
    return this.dataSource.manager.findBy(UploadEntity, { tenantId: scope.tenantId });
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  findAnywhere(id: string): Promise<UploadEntity | null> {
    return this.dataSource.manager.findOneBy(UploadEntity, { id });
  }

  /** The token stands for the permission: whoever has it was given it. */
  async findByToken(tokenHash: Buffer): Promise<{ readonly upload: UploadEntity; readonly isExpired: boolean } | null> {
    const upload = await this.dataSource.manager.findOneBy(UploadEntity, { tokenHash });
    if (upload === null) return null;
    const alive: unknown[] = await this.dataSource.query('select 1 from upload where id = $1 and expires_at > clock_timestamp()', [upload.id]);
    return { upload, isExpired: alive.length === 0 };
  }

  /** Held until the transaction ends: what a restore is about to read is not removed. */
  lock(scope: TenantScope, id: string, manager: EntityManager): Promise<UploadEntity | null> {
    return manager.findOne(UploadEntity, { where: { tenantId: scope.tenantId, id }, lock: { mode: 'pessimistic_write' } });
  }

  async loadOf(scope: TenantScope, manager: EntityManager): Promise<UploadLoad> {
    const [row]: { bytes: string; recent: string; wait: number | null }[] = await manager.query(
      `select coalesce(sum(size_bytes) filter (where state <> 'REFUSED' and backup_id is null), 0) as bytes,
              count(*) filter (where created_at > now() - interval '1 hour') as recent,
              extract(epoch from min(created_at) filter (where created_at > now() - interval '1 hour') + interval '1 hour' - now())::float as wait
       from upload where tenant_id = $1`,
      [scope.tenantId],
    );
    return { bytes: Number(row?.bytes ?? 0), inLastHour: Number(row?.recent ?? 0), retryAfterMs: Math.ceil((row?.wait ?? 0) * 1000) };
  }

  /** Of all tenants: bytes that are announced and may still arrive. */
  async announcedBytes(manager: EntityManager): Promise<number> {
    const [row]: { bytes: string }[] = await manager.query(`select coalesce(sum(size_bytes), 0) as bytes from upload where state = 'OPEN' and expires_at > now()`);
    return Number(row?.bytes ?? 0);
  }

  /** One writer at a time, whichever process it is in; false while another one is at work. */
  async takeLease(id: string, writer: string, leaseMs: number): Promise<boolean> {
    const rows: [unknown[], number] = await this.dataSource.query(
      `update upload set writer = $2, writer_until = clock_timestamp() + $3 * interval '1 millisecond'
       where id = $1 and state = 'OPEN' and (writer is null or writer = $2 or writer_until < clock_timestamp()) returning id`,
      [id, writer, leaseMs],
    );
    return rows[1] > 0;
  }

  async endLease(id: string, writer: string): Promise<void> {
    await this.dataSource.query('update upload set writer = null, writer_until = null where id = $1 and writer = $2', [id, writer]);
  }

  /** False when the lease was lost meanwhile. */
  async complete(id: string, writer: string, facts: ArchiveFacts, keptForSeconds: number, backupId: string | null, manager: EntityManager): Promise<boolean> {
    const rows: [unknown[], number] = await manager.query(
      `update upload set state = 'COMPLETED', archive = $3, backup_id = $4, writer = null, writer_until = null,
         expires_at = clock_timestamp() + $5 * interval '1 second'
       where id = $1 and state = 'OPEN' and writer = $2 returning id`,
      [id, writer, JSON.stringify(facts), backupId, keptForSeconds],
    );
    return rows[1] > 0;
  }

  async importAgain(id: string, backupId: string, manager: EntityManager): Promise<void> {
    await manager.query('update upload set backup_id = $2 where id = $1', [id, backupId]);
  }

  /** False when the lease was lost meanwhile: whoever has it judges. */
  async refuse(id: string, writer: string, failure: { readonly code: ErrorCode; readonly message: string }, manager: EntityManager): Promise<boolean> {
    const rows: [unknown[], number] = await manager.query(
      `update upload set state = 'REFUSED', failure = $3, writer = null, writer_until = null where id = $1 and state = 'OPEN' and writer = $2 returning id`,
      [id, writer, JSON.stringify(failure)],
    );
    return rows[1] > 0;
  }

  /** One that nobody needs any more, locked against every other process; null when there is none. Any of them, so that one that the store does not let go keeps no other. */
  async lockExpired(manager: EntityManager): Promise<UploadEntity | null> {
    const rows: { id: string }[] = await manager.query(
      `select id from upload u where expires_at < clock_timestamp() and (writer_until is null or writer_until < clock_timestamp())
         and not exists (select 1 from backup b where b.id = u.backup_id and b.state in ('QUEUED', 'RUNNING'))
         and not exists (select 1 from restore_plan p join operation o on o.plan_id = p.id where p.upload_id = u.id and o.state in ('QUEUED', 'RUNNING'))
         and not exists (select 1 from restore_plan p join announcement a on a.subject_id = p.id where p.upload_id = u.id and a.state = 'PENDING')
       order by random() limit 1 for update skip locked`,
    );
    const [row] = rows;
    return row === undefined ? null : manager.findOneBy(UploadEntity, { id: row.id });
  }

  /** It expires once more at this time, in a day where none is known: until then nobody can delete its bytes. */
  async comeAgain({ tenantId }: TenantScope, id: string, at: Date | null, manager: EntityManager): Promise<void> {
    await manager.query(
      `update upload set expires_at = greatest(coalesce($3, clock_timestamp() + interval '1 day'), clock_timestamp() + interval '1 minute') where tenant_id = $1 and id = $2`, [tenantId, id, at]);
  }

  async delete(scope: TenantScope, id: string, manager: EntityManager = this.dataSource.manager): Promise<void> {
    await manager.query('delete from upload where tenant_id = $1 and id = $2', [scope.tenantId, id]);
  }
}
