import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { PolicyChangeEntity } from './policy-change.entity.js';
import type { PolicyPreset } from './policy-enums.js';
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

  /** Whether some tenant's archives have to be encrypted, or there is none yet: a new one's have to be. @param lenient presets whose own wish is another */
  async someRequiresEncryption(lenient: readonly PolicyPreset[]): Promise<boolean> {
    const rows: { required: boolean }[] = await this.dataSource.query(
      `select exists (select 1 from tenant where deleted_at is null and coalesce(policy->>'encryption', case when policy->>'preset' = any($1) then 'OFF' else 'REQUIRED' end) = 'REQUIRED')
         or not exists (select 1 from tenant where deleted_at is null) as required`,
      [lenient],
    );
    return rows[0]?.required ?? true;
  }

  changes({ tenantId }: TenantScope, page: Page): Promise<PageOfRows<PolicyChangeEntity>> {
    return findPage(this.dataSource.manager.createQueryBuilder(PolicyChangeEntity, 'change').where('change.tenant_id = :tenantId', { tenantId }), 'at', page);
  }
}
