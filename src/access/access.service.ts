import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AppError } from '#errors';
import type { Actor, KeyGrants } from '../platform/auth/actor.js';
import type { AddressGate, TenantsByAddress } from '../platform/auth/address-gate.js';
import { BatchedReads } from '../platform/database/batched-reads.js';
import { notFound } from '../platform/graphql/global-id.js';
import { abilityEverywhere, abilityOf, mayEver, mayIn, type Membership, type TenantAbility } from './ability.js';
import { AccessRepository } from './access.repository.js';
import type { ActionState } from './action-state.model.js';
import { type AddressRule, allowsAddress } from './address-rules.js';
import { allPermissions, Permission } from './permission.js';

/** The tenant that a call was allowed to touch: the first argument of every repository method that reads its rows. */
export interface TenantScope {
  readonly tenantId: string;
}

/** Why an action that the actor has the permission for cannot be done now, as a sentence for people; null where it can. */
export type BlockedReason = (permission: Permission) => string | null;

/** A tenant's address rules do not keep the provider from seeing that its backups run; whatever gives out data or changes something needs an address that they allow. */
const seenByProviderFromAnywhere: ReadonlySet<Permission> = new Set([Permission.BACKUP_READ, Permission.AUDIT_READ]);

const ofProvider = abilityEverywhere(allPermissions);

/** What the actor may do in one tenant, and from where. */
interface Standing {
  readonly ability: TenantAbility;
  /** Null: there is no such tenant, or the actor has no role in it. */
  readonly addressRules: readonly AddressRule[] | null;
}

/** Of an actor that is not the provider. */
interface ActorRoles {
  readonly ability: TenantAbility;
  readonly memberships: readonly Membership[];
}

@Injectable()
export class AccessService implements AddressGate {
  /** The fields of one answer ask for the same actor's. */
  private readonly roles = new BatchedReads<Actor, ActorRoles>(async (actors) => new Map(await Promise.all(actors.map(async (actor) => [actor, await this.readRoles(actor)] as const))));

  constructor(private readonly repository: AccessRepository) {}

  /** Read anew on each call: a role that was taken away is gone at once. */
  async abilityFor(actor: Actor): Promise<TenantAbility> {
    return abilityOfEverywhere(actor) ?? (await this.rolesOf(actor)).ability;
  }

  /**
   * Lets the call through if the actor has `permission` in the tenant; null asks only whether the tenant is there for the actor.
   *
   * @throws AppError NOT_FOUND for a tenant that does not exist or that the actor cannot see, FORBIDDEN naming the permission, ADDRESS_REFUSED
   */
  async authorize(actor: Actor, tenantId: string, permission: Permission | null): Promise<TenantScope> {
    const addressRules = await this.permitted(actor, tenantId, permission);
    if (!isFromAllowedAddress(addressRules, actor, permission)) throw addressRefused(actor.address, permission);
    return { tenantId };
  }

  /**
   * For work that begins by itself in somebody's name: the permission is that of now, and no address rule holds, because nobody calls it from anywhere.
   *
   * @throws AppError NOT_FOUND, FORBIDDEN
   */
  async authorizeUnattended(actor: Actor, tenantId: string, permission: Permission): Promise<TenantScope> {
    await this.permitted(actor, tenantId, permission);
    return { tenantId };
  }

  /**
   * For doors that take a link instead of an actor: whoever made the link was allowed to, and whoever uses it must come from an allowed address.
   *
   * @throws AppError ADDRESS_REFUSED
   */
  async requireAddress(scope: TenantScope, address: string, permission: Permission): Promise<void> {
    if (!allowsAddress(await this.addressRules(scope), address, permission)) throw addressRefused(address, permission);
  }

  /** For callers that have checked the permission. @throws AppError NOT_FOUND */
  async addressRules(scope: TenantScope, manager?: EntityManager): Promise<readonly AddressRule[]> {
    const rules = await this.repository.findAddressRules(scope, manager);
    if (rules === null) throw notFound('Tenant');
    return rules;
  }

  /**
   * `authorize` for a row that was found by its own id: a row that does not exist and one of a tenant that the actor cannot see answer alike.
   *
   * @throws AppError NOT_FOUND naming `type`, FORBIDDEN naming the permission
   */
  async authorizeRow<Row extends { readonly tenantId: string }>(actor: Actor, type: string, row: Row | null, permission: Permission | null): Promise<Row> {
    if (row === null) throw notFound(type);
    try {
      await this.authorize(actor, row.tenantId, permission);
    } catch (error) {
      throw error instanceof AppError && error.code === 'NOT_FOUND' ? notFound(type) : error;
    }
    return row;
  }

  /** @throws AppError FORBIDDEN */
  requireProvider(actor: Actor): void {
    if (!actor.isProvider) throw forbiddenToAllButProvider();
  }

  /** For what a person has to do. @throws AppError FORBIDDEN to API keys */
  requirePerson(actor: Actor): void {
    if (actor.kind === 'API_KEY') throw new AppError('FORBIDDEN', 'A person has to do this: an API key may not');
  }

  /** Whether the actor holds the permission in any tenant at all; no check of ownership. */
  async mayEver(actor: Actor, permission: Permission): Promise<boolean> {
    return mayEver(await this.abilityFor(actor), permission);
  }

  /** The tenants that the actor sees from where the call comes from; null means all of them. */
  async visibleTenants(actor: Actor): Promise<readonly string[] | null> {
    return abilityOfEverywhere(actor) !== null ? null : (await this.tenantsByAddress(actor)).open;
  }

  async tenantsByAddress(actor: Actor): Promise<TenantsByAddress> {
    if (abilityOfEverywhere(actor) !== null) return { open: [], closed: [] };
    const { memberships } = await this.rolesOf(actor);
    const isOpen = ({ addressRules }: Membership): boolean => allowsAddress(addressRules, actor.address, null);
    const idsOf = (some: readonly Membership[]): string[] => [...new Set(some.map(({ tenantId }) => tenantId))];
    return { open: idsOf(memberships.filter(isOpen)), closed: idsOf(memberships.filter((one) => !isOpen(one))) };
  }

  /** What the actor may do in the tenant now, of `permissions`, so that a frontend greys out what the server would refuse. */
  async actionsFor(
    actor: Actor,
    tenantId: string,
    permissions: readonly Permission[] = allPermissions,
    blocked: BlockedReason = () => null,
  ): Promise<ActionState[]> {
    const { ability, addressRules } = await this.standingOf(actor, tenantId);
    const reasonFor = (permission: Permission): string | null => {
      if (!mayIn(ability, permission, tenantId)) return `You need the permission ${permission}`;
      return isFromAllowedAddress(addressRules ?? [], actor, permission) ? blocked(permission) : addressRefused(actor.address, permission).message;
    };
    return permissions.map((permission) => {
      const reason = reasonFor(permission);
      return { permission, allowed: reason === null, reason };
    });
  }

  /** Whatever address the call comes from; returns the rules that say which ones may. @throws AppError NOT_FOUND, FORBIDDEN */
  private async permitted(actor: Actor, tenantId: string, permission: Permission | null): Promise<readonly AddressRule[]> {
    const { ability, addressRules } = await this.standingOf(actor, tenantId);
    if (addressRules === null || !mayIn(ability, 'VIEW', tenantId)) throw notFound('Tenant');
    if (permission !== null && !mayIn(ability, permission, tenantId)) throw forbidden(permission);
    return addressRules;
  }

  private async standingOf(actor: Actor, tenantId: string): Promise<Standing> {
    const everywhere = abilityOfEverywhere(actor);
    if (everywhere !== null) return { ability: everywhere, addressRules: await this.repository.findAddressRules({ tenantId }) };
    const { ability, memberships } = await this.rolesOf(actor);
    return { ability, addressRules: memberships.find((one) => one.tenantId === tenantId)?.addressRules ?? null };
  }

  private async rolesOf(actor: Actor): Promise<ActorRoles> {
    return (await this.roles.find(actor)) ?? { ability: abilityOf([]), memberships: [] };
  }

  private async readRoles(actor: Actor): Promise<ActorRoles> {
    const { grants } = actor;
    const memberships = grants?.tenantId == null ? await this.repository.memberships(actor) : await this.repository.membershipOfKey(grants.tenantId, permissionsOf(grants));
    return { ability: abilityOf(memberships), memberships };
  }
}

/** Null for those whose permissions are in single tenants. */
function abilityOfEverywhere({ isProvider, grants }: Actor): TenantAbility | null {
  if (grants !== null) return grants.tenantId === null ? abilityEverywhere(permissionsOf(grants)) : null;
  return isProvider ? ofProvider : null;
}

function permissionsOf({ permissions }: KeyGrants): Permission[] {
  return allPermissions.filter((permission) => permissions.includes(permission));
}

export function forbidden(permission: string): AppError {
  return new AppError('FORBIDDEN', `You need the permission ${permission}`);
}

export function forbiddenToAllButProvider(): AppError {
  return new AppError('FORBIDDEN', 'Only the provider may do this');
}

function addressRefused(address: string, permission: Permission | null): AppError {
  return new AppError('ADDRESS_REFUSED', `The workspace does not allow ${permission === null ? 'its use' : permission} from the address ${address}`);
}

function isFromAllowedAddress(rules: readonly AddressRule[], actor: Actor, permission: Permission | null): boolean {
  if (actor.isProvider && (permission === null || seenByProviderFromAnywhere.has(permission))) return true;
  return allowsAddress(rules, actor.address, permission);
}
