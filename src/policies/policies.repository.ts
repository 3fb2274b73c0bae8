import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { PolicyChangeEntity } from './policy-change.entity.js';
import type { StoredPolicy } from './tenant-policy.js';

export interface PolicyChange {
  readonly key: string;
  readonly oldValue: unknown;
  readonly newValue: unknown;
}

@Injectable()
export class PoliciesRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** The caller holds the tenant's row. */
  async replace({ tenantId }: TenantScope, policy: StoredPolicy, manager: EntityManager): Promise<void> {
    await manager.query('update tenant set policy = $2::jsonb where id = $1', [tenantId, JSON.stringify(policy)]);
  }

  async insertChanges({ tenantId }: TenantScope, changes: readonly PolicyChange[], by: ActorStamp, manager: EntityManager): Promise<void> {
    for (const { key, oldValue, newValue } of changes) {
      await manager.query('insert into policy_change (id, tenant_id, by, key, old_value, new_value) values ($1, $2, $3::jsonb, $4, $5::jsonb, $6::jsonb)', [
        randomUUID(), tenantId, JSON.stringify(by), key, JSON.stringify(oldValue), JSON.stringify(newValue),
      ]);
    }
  }

  changes({ tenantId }: TenantScope, page: Page): Promise<PageOfRows<PolicyChangeEntity>> {
    return findPage(this.dataSource.manager.createQueryBuilder(PolicyChangeEntity, 'change').where('change.tenant_id = :tenantId', { tenantId }), 'at', page);
  }
}
