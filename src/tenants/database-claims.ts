import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import type { EntityManager } from 'typeorm';
import { AppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import { RowsOfEach } from '../platform/database/batched-reads.js';
import type { TenantEntity } from './tenant.entity.js';

/** A database of a server, named as tenants name theirs. */
export interface DatabasePlace {
  readonly deployment: string;
  readonly database: string;
}

/** A former database of a tenant. DROPPING: nobody goes back to it any more. */
export interface KeptDatabase extends DatabasePlace {
  readonly tenantId: string;
  readonly operationId: string;
  readonly purpose: 'KEPT' | 'DROPPING';
  readonly targetCipher: Buffer;
  readonly expiresAt: Date;
  /** By the database's clock. */
  readonly isExpired: boolean;
  readonly keptSince: Date;
}

const keptColumns = `deployment, database, tenant_id as "tenantId", operation_id as "operationId", purpose, target_cipher as "targetCipher", expires_at as "expiresAt", expires_at <= clock_timestamp() as "isExpired", created_at as "keptSince"`;

/** In SQL, of two places for deployments: they are one. Members come and go, so a replica set is known by its name and any host that it still has. */
const areOne = (a: string, b: string): string =>
  `(${a} = ${b} or (split_part(${a}, '/', 1) = split_part(${b}, '/', 1) and string_to_array(split_part(${a}, '/', 2), ',') && string_to_array(split_part(${b}, '/', 2), ',')))`;

/** MongoDB has no two databases whose names differ in the case of ASCII letters alone: the second one could never be written. */
const isName = (a: string, b: string): string => `lower(${a} collate "C") = lower(${b}::text collate "C")`;
const isKeptForGood = `(purpose = 'KEPT' and expires_at = 'infinity')`;

const keptSql = `select ${keptColumns} from database_claim where operation_id = key.id and purpose in ('KEPT', 'DROPPING')`;

/** All SQL of `database_claim`: a database of a server belongs to one tenant, copy or undo at a time. What tenants have now, a trigger writes. */
@Injectable()
export class DatabaseClaims {
  private readonly kept = new RowsOfEach<KeptDatabase>(() => this.manager, keptSql);

  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  /** @param besides a tenant that may have it already @throws AppError TARGET_IN_USE when a tenant, a copy or an undo has it */
  async requireFree({ deployment, database }: DatabasePlace, { manager = this.manager, besides = null }: { readonly manager?: EntityManager; readonly besides?: string | null } = {}): Promise<void> {
    const rows: unknown[] = await manager.query(
      `select 1 from database_claim where ${isName('database', '$2')} and ${areOne('deployment', '$1::text')} and not (tenant_id is not distinct from $3 and (purpose = 'LIVE' or ${isKeptForGood}))`,
      [deployment, database, besides],
    );
    if (rows.length > 0) throw databaseInUse(database);
  }

  /** Whether a tenant has it now, by whatever members the server was known when it was noted. */
  async isLive({ deployment, database }: DatabasePlace): Promise<boolean> {
    const rows: unknown[] = await this.manager.query(`select 1 from database_claim where ${isName('database', '$2')} and purpose = 'LIVE' and ${areOne('deployment', '$1::text')}`, [deployment, database]);
    return rows.length > 0;
  }

  /** For the copy that the operation makes, until its end. @throws AppError TARGET_IN_USE */
  async reserve({ tenantId }: TenantScope, operationId: string, { deployment, database }: DatabasePlace, manager: EntityManager): Promise<void> {
    const rows: unknown[] = await manager.query(
      `insert into database_claim (deployment, database, tenant_id, purpose, operation_id) values ($1, $2, $3, 'COPY', $4) on conflict do nothing returning 1`,
      [deployment, database, tenantId, operationId],
    );
    if (rows.length === 0) throw databaseInUse(database);
  }

  /** Idempotent. */
  async release(operationId: string, manager: EntityManager): Promise<void> {
    await manager.query(`delete from database_claim where operation_id = $1 and purpose = 'COPY'`, [operationId]);
  }

  /** What the tenant had until this transaction, which has given it another one. */
  async keep({ id, targetDeployment, targetDatabase, targetCipher }: TenantEntity, operationId: string, forMs: number, manager: EntityManager): Promise<void> {
    await manager.query(
      `insert into database_claim (deployment, database, tenant_id, purpose, operation_id, target_cipher, expires_at)
       values ($1, $2, $3, 'KEPT', $4, $5, clock_timestamp() + $6 * interval '1 millisecond')`,
      [targetDeployment, targetDatabase, id, operationId, targetCipher, forMs],
    );
  }

  /** The tenant takes it back. False when it is no longer kept. */
  async takeBack({ tenantId }: TenantScope, { deployment, database }: DatabasePlace, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `with gone as (delete from database_claim where tenant_id = $1 and ${areOne('deployment', '$2::text')} and database = $3 and purpose = 'KEPT' returning 1) select * from gone`,
      [tenantId, deployment, database],
    );
    return rows.length > 0;
  }

  async findKept({ tenantId }: TenantScope, operationId: string, manager?: EntityManager): Promise<KeptDatabase | null> {
    const rows = await this.kept.of(operationId, manager);
    return rows.find((row) => row.tenantId === tenantId) ?? null;
  }

  /** From now on for so long; nothing where the operation keeps none. */
  async keepFor(operationId: string, forMs: number, manager: EntityManager): Promise<void> {
    await manager.query(`update database_claim set expires_at = clock_timestamp() + $2 * interval '1 millisecond' where operation_id = $1 and purpose in ('KEPT', 'DROPPING')`, [operationId, forMs]);
  }

  /** The operation was abandoned: what it keeps may be all there is, and the tenant may have it again. */
  async keepForGood(operationId: string, manager: EntityManager): Promise<void> {
    await manager.query(`update database_claim set expires_at = 'infinity' where operation_id = $1 and purpose = 'KEPT'`, [operationId]);
  }

  /** Of tenants without unfinished work, those that are longest past their time first. */
  expired(limit: number): Promise<KeptDatabase[]> {
    return this.manager.query(
      `select ${keptColumns} from database_claim c where purpose in ('KEPT', 'DROPPING') and expires_at <= clock_timestamp()
         and not exists (select 1 from operation o where o.tenant_id = c.tenant_id and o.state in ('QUEUED', 'RUNNING'))
       order by expires_at limit $1`,
      [limit],
    );
  }

  /** From here on it is no way back. False when the operation keeps none. */
  async giveUp({ tenantId }: TenantScope, operationId: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `with changed as (update database_claim set purpose = 'DROPPING' where tenant_id = $1 and operation_id = $2 and purpose in ('KEPT', 'DROPPING') returning 1) select * from changed`,
      [tenantId, operationId],
    );
    return rows.length > 0;
  }

  /** It is gone from its server. False when that was noted before. */
  async forget({ tenantId }: TenantScope, operationId: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `with gone as (delete from database_claim where tenant_id = $1 and operation_id = $2 and purpose = 'DROPPING' returning 1) select * from gone`,
      [tenantId, operationId],
    );
    return rows.length > 0;
  }
}

export function databaseInUse(database: string): AppError {
  return new AppError('TARGET_IN_USE', `The database ${database} of this server is a workspace's, is just being filled, or is kept for an undo`, { field: ['target'] });
}
