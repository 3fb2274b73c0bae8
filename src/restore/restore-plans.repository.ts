import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import type { EntityManager, QueryDeepPartialEntity } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { TenantEntitiesById } from '../platform/database/batched-reads.js';
import { RestorePlanEntity } from './restore-plan.entity.js';

@Injectable()
export class RestorePlansRepository {
  private readonly ofTenants = new TenantEntitiesById(() => this.manager, RestorePlanEntity);

  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  async insert(row: QueryDeepPartialEntity<RestorePlanEntity>, manager = this.manager): Promise<void> {
    await manager.insert(RestorePlanEntity, row);
  }

  find(scope: TenantScope, id: string, manager?: EntityManager): Promise<RestorePlanEntity | null> {
    return manager === undefined ? this.ofTenants.find(scope.tenantId, id) : manager.findOneBy(RestorePlanEntity, { tenantId: scope.tenantId, id });
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  findAnywhere(id: string): Promise<RestorePlanEntity | null> {
    return this.manager.findOneBy(RestorePlanEntity, { id });
  }

  /** Held until the transaction ends: of two starts of one plan the second one sees the first one's mark. */
  lock(scope: TenantScope, id: string, manager: EntityManager): Promise<RestorePlanEntity | null> {
    return manager.findOne(RestorePlanEntity, { where: { tenantId: scope.tenantId, id }, lock: { mode: 'pessimistic_write' } });
  }

  /** By the database's clock. */
  async isExpired(scope: TenantScope, id: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query('select 1 from restore_plan where tenant_id = $1 and id = $2 and expires_at > now()', [scope.tenantId, id]);
    return rows.length === 0;
  }

  /** `operationId` is null until announced work begins. */
  async markUsed(scope: TenantScope, id: string, operationId: string | null, manager: EntityManager): Promise<void> {
    await manager.query('update restore_plan set used_at = now(), operation_id = $3 where tenant_id = $1 and id = $2', [scope.tenantId, id, operationId]);
  }
}
