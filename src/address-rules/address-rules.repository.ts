import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { AddressRule } from '../access/address-rules.js';

@Injectable()
export class AddressRulesRepository {
  async replace({ tenantId }: TenantScope, rules: readonly AddressRule[], manager: EntityManager): Promise<void> {
    await manager.query('update tenant set address_rules = $2::jsonb where id = $1', [tenantId, JSON.stringify(rules)]);
  }
}
