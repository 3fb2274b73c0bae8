import { AbilityBuilder, createMongoAbility, type ForcedSubject, type MongoAbility, subject } from '@casl/ability';
import type { AddressRule } from './address-rules.js';
import type { Permission } from './permission.js';

interface TenantFields {
  readonly id: string;
}

type TenantSubject = 'Tenant' | (TenantFields & ForcedSubject<'Tenant'>);

/** `VIEW`: the tenant exists for the actor at all. */
export type TenantAction = Permission | 'VIEW';
export type TenantAbility = MongoAbility<[TenantAction, TenantSubject]>;

export interface Membership {
  readonly tenantId: string;
  readonly permissions: readonly Permission[];
  readonly addressRules: readonly AddressRule[];
}

/** The rules of an actor. Every rule of a member carries a tenant's id: a rule without one would mean all tenants. */
export function abilityOf(memberships: readonly Membership[]): TenantAbility {
  const { can, build } = new AbilityBuilder<TenantAbility>(createMongoAbility);
  for (const { tenantId, permissions } of memberships) {
    if (tenantId === '') throw new Error('A membership without a tenant');
    can(['VIEW', ...permissions], 'Tenant', { id: tenantId });
  }
  return build();
}

/** In every tenant: the provider's, and those of the provider's API keys. */
export function abilityEverywhere(permissions: readonly Permission[]): TenantAbility {
  const { can, build } = new AbilityBuilder<TenantAbility>(createMongoAbility);
  can(['VIEW', ...permissions], 'Tenant');
  return build();
}

/** Always asks about one tenant: CASL answers a question about the type with true if any rule matches. */
export function mayIn(ability: TenantAbility, action: TenantAction, tenantId: string): boolean {
  return ability.can(action, subject('Tenant', { id: tenantId }));
}

/** Whether the actor holds the permission in any tenant, for the guard in front of a resolver. */
export function mayEver(ability: TenantAbility, action: TenantAction): boolean {
  return ability.can(action, 'Tenant');
}
