import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository } from 'typeorm';
import type { QueryDeepPartialEntity } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { EntitiesById } from '../platform/database/batched-reads.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { containing } from '../platform/database/text-search.js';
import type { SealedSecret } from '../platform/stored-secrets/stored-secrets.js';
import { TenantEntity } from './tenant.entity.js';
import { TenantStatus } from './tenant.model.js';

export interface TenantFilterValues {
  readonly text?: string | null | undefined;
  readonly status?: TenantStatus | null | undefined;
}

export type NewTenant = Pick<
  TenantEntity,
  'id' | 'slug' | 'name' | 'environment' | 'engine' | 'timeZone' | 'targetCipher' | 'targetDeployment' | 'targetDatabase'
>;

export type TenantPatch = QueryDeepPartialEntity<Omit<TenantEntity, 'policy'>>;

const statusConditions: Readonly<Record<TenantStatus, string>> = {
  [TenantStatus.SUSPENDED]: 'tenant.suspended_at is not null and tenant.deletion_asked_at is null',
  [TenantStatus.MAINTENANCE]: 'tenant.suspended_at is null and tenant.maintenance_since is not null',
  [TenantStatus.ACTIVE]: 'tenant.suspended_at is null and tenant.maintenance_since is null',
  [TenantStatus.DELETING]: 'tenant.deletion_asked_at is not null and tenant.deleted_at is null',
  [TenantStatus.DELETED]: 'tenant.deleted_at is not null',
};

@Injectable()
export class TenantsRepository {
  private readonly byId = new EntitiesById(() => this.rows.manager, TenantEntity);

  constructor(@InjectRepository(TenantEntity) private readonly rows: Repository<TenantEntity>) {}

  findById(id: string, manager?: EntityManager): Promise<TenantEntity | null> {
    return manager === undefined ? this.byId.find(id) : manager.findOneBy(TenantEntity, { id });
  }

  findBySlug(slug: string): Promise<TenantEntity | null> {
    return this.rows.findOneBy({ slug });
  }

  /** Locks the row until the transaction ends: whoever starts work in the tenant and whoever changes its target wait for each other. */
  lockById(manager: EntityManager, id: string): Promise<TenantEntity | null> {
    return manager.findOne(TenantEntity, { where: { id }, lock: { mode: 'pessimistic_write' } });
  }

  /** Deleted ones only by their status. @param visible ids of the tenants to look among; null: all */
  list(visible: readonly string[] | null, filter: TenantFilterValues, page: Page): Promise<PageOfRows<TenantEntity>> {
    const query = this.rows.createQueryBuilder('tenant').where('true');
    if (visible !== null) query.andWhere('tenant.id = any(:visible)', { visible });
    if (filter.text != null && filter.text !== '') {
      query.andWhere('(tenant.name ilike :text or tenant.slug ilike :text)', { text: containing(filter.text.normalize('NFC')) });
    }
    query.andWhere(filter.status == null ? 'tenant.deleted_at is null' : `(${statusConditions[filter.status]})`);
    return findPage(query, 'createdAt', page);
  }

  async insert(tenant: NewTenant, manager: EntityManager): Promise<void> {
    await manager.insert(TenantEntity, tenant);
  }

  /** Changes the row and grows its revision. */
  async update(scope: TenantScope, patch: TenantPatch, manager: EntityManager): Promise<void> {
    await manager.update(TenantEntity, { id: scope.tenantId }, { ...patch, revision: () => 'revision + 1', updatedAt: () => 'now()' });
  }

  /** The sealed connections of all tenants that are there. */
  sealed(after: string | null, limit: number): Promise<SealedSecret[]> {
    return this.rows.manager.query('select id as owner, target_cipher as sealed from tenant where deleted_at is null and ($1::uuid is null or id > $1) order by id limit $2', [after, limit]);
  }

  async now(manager = this.rows.manager): Promise<Date> {
    const [row]: { now: Date }[] = await manager.query('select clock_timestamp() as now');
    return row?.now ?? new Date();
  }

  /** A day at most, so that each archive goes soon after its own lock. */
  async delayRemoval({ tenantId }: TenantScope, until: Date | null): Promise<void> {
    await this.rows.manager.query(
      `update tenant set removal_after = greatest(least($2::timestamptz, clock_timestamp() + interval '1 day'), clock_timestamp() + interval '1 minute') where id = $1`, [tenantId, until]);
  }

  /** Whose time to take their deletion back is over, and whom no lock keeps. */
  async deletionsDue(limit: number, mayBegin: boolean): Promise<string[]> {
    const rows: { id: string }[] = await this.rows.manager.query(
      `select id from tenant where deletion_due_at <= clock_timestamp() and deleted_at is null and ($2 or deletion_begun_at is not null)
         and (removal_after is null or removal_after <= clock_timestamp() or removal_after > clock_timestamp() + interval '2 days') order by random() limit $1`,
      [limit, mayBegin],
    );
    return rows.map(({ id }) => id);
  }

  /** The tenant's own, an abandoned one whose worker may still be at it too, or the one that is just filling its database. */
  async findUnfinishedOperation(tenantId: string, manager: EntityManager): Promise<string | null> {
    const [row]: { id: string }[] = await manager.query(
      `select id from operation where (tenant_id = $1 or id = (select maintenance_operation_id from tenant where id = $1))
         and (state in ('QUEUED', 'RUNNING') or (state = 'FAILED' and lease_until > clock_timestamp()))
       order by exclusive desc limit 1`,
      [tenantId],
    );
    return row?.id ?? null;
  }

  /** The newest operation that was abandoned during the maintenance that is on. */
  async findAbandoned(tenantId: string, manager: EntityManager): Promise<string | null> {
    const [row]: { id: string }[] = await manager.query(
      `select o.id from operation o join tenant t on t.id = o.tenant_id
       where t.id = $1 and o.state = 'FAILED' and o.failure->>'code' = 'ABANDONED' and o.finished_at >= t.maintenance_since order by o.finished_at desc limit 1`,
      [tenantId],
    );
    return row?.id ?? null;
  }
}
