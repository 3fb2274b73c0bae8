import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { type AddressRule, allowsAddress, normalRange } from '../access/address-rules.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { EventBus } from '../platform/events/event-bus.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { AddressRulesRepository } from './address-rules.repository.js';

export interface AskedRule {
  readonly range: string;
  readonly permission?: Permission | null | undefined;
  readonly note?: string | null | undefined;
}

@Injectable()
export class AddressRulesService {
  constructor(
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly bus: EventBus,
    private readonly rules: AddressRulesRepository,
    private readonly tenants: TenantsService,
  ) {}

  async list(actor: Actor, tenantId: string): Promise<readonly AddressRule[]> {
    return this.access.addressRules(await this.access.authorize(actor, tenantId, Permission.AUDIT_READ));
  }

  /**
   * Replaces them all.
   *
   * @throws AppError ADDRESS_RANGE_INVALID, ADDRESS_RULES_LOCKOUT
   */
  async update(actor: Actor, tenantId: string, asked: readonly AskedRule[]): Promise<TenantEntity> {
    const scope = await this.access.authorize(actor, tenantId, Permission.TENANT_MANAGE);
    const rules = asked.map(toRule);
    if (!allowsAddress(rules, actor.address, Permission.TENANT_MANAGE)) {
      await this.audit.record({ action: 'address-rules.changed', outcome: 'REFUSED', tenantId, actor, detail: { code: 'ADDRESS_RULES_LOCKOUT', rules: printed(rules) } });
      throw new AppError('ADDRESS_RULES_LOCKOUT', `Your own address, ${actor.address}, could no longer change these rules`, { field: ['rules'] });
    }
    return this.replace(scope, rules, (manager, former) => this.audit.record({ action: 'address-rules.changed', tenantId, actor, detail: { rules: printed(rules), formerRules: printed(former) } }, manager));
  }

  /** The emergency exit: for the provider, from any address. */
  async lift(actor: Actor, tenantId: string, reason: string): Promise<TenantEntity> {
    this.access.requireProvider(actor);
    const scope = await this.access.authorize(actor, tenantId, null);
    return this.replace(scope, [], (manager, former) => this.audit.record({ action: 'address-rules.lifted', tenantId, actor, detail: { reason, formerRules: printed(former) } }, manager));
  }

  private replace(scope: TenantScope, rules: readonly AddressRule[], record: (manager: EntityManager, former: readonly AddressRule[]) => Promise<void>): Promise<TenantEntity> {
    return this.tenants.change(scope, async (before, manager) => {
      const former = await this.access.addressRules(scope, manager);
      await this.rules.replace(scope, rules, manager);
      await record(manager, former);
      await this.bus.publish({ topic: 'address-rules', id: scope.tenantId, tenantId: scope.tenantId, revision: before.revision + 1 }, manager);
      return {};
    });
  }
}

function toRule({ range: text, permission = null, note }: AskedRule, index: number): AddressRule {
  const normal = normalRange(text);
  const field = ['rules', String(index), 'range'];
  if (normal === null) throw new AppError('ADDRESS_RANGE_INVALID', `${text} is neither an address nor a range`, { field });
  if ('network' in normal) throw new AppError('ADDRESS_RANGE_INVALID', `${text} names an address inside of the range ${normal.network}`, { field });
  return { range: normal.range, permission, note: note?.trim() || null };
}

function printed(rules: readonly AddressRule[]): string {
  return rules.map(({ range, permission }) => (permission === null ? range : `${range} for ${permission}`)).join(', ');
}
