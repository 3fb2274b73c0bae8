import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import type { Actor } from '../platform/auth/actor.js';
import { notFound } from '../platform/graphql/global-id.js';
import { abilityOf, mayEver, mayIn, type TenantAbility } from './ability.js';
import { AccessRepository } from './access.repository.js';
import type { ActionState } from './action-state.model.js';
import { allPermissions, type Permission } from './permission.js';

/** The tenant that a call was allowed to touch: the first argument of every repository method that reads its rows. */
export interface TenantScope {
  readonly tenantId: string;
}

/** Why an action that the actor has the permission for cannot be done now, as a sentence for people; null where it can. */
export type BlockedReason = (permission: Permission) => string | null;

@Injectable()
export class AccessService {
  constructor(private readonly repository: AccessRepository) {}

  /** Read anew on each call: a role that was taken away is gone at once. */
  async abilityFor(actor: Actor): Promise<TenantAbility> {
    return abilityOf(actor.isProvider, actor.isProvider ? [] : await this.repository.memberships(actor));
  }

  /**
   * Lets the call through if the actor has `permission` in the tenant; null asks only whether the tenant is there for the actor.
   *
   * @throws AppError NOT_FOUND for a tenant that does not exist or that the actor cannot see, FORBIDDEN naming the permission
   */
  async authorize(actor: Actor, tenantId: string, permission: Permission | null): Promise<TenantScope> {
    const ability = await this.abilityFor(actor);
    if (!mayIn(ability, 'VIEW', tenantId)) throw notFound('Tenant');
    if (actor.isProvider && !(await this.repository.tenantExists(tenantId))) throw notFound('Tenant');
    if (permission !== null && !mayIn(ability, permission, tenantId)) throw forbidden(permission);
    return { tenantId };
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

  /** Whether the actor holds the permission in any tenant at all; no check of ownership. */
  async mayEver(actor: Actor, permission: Permission): Promise<boolean> {
    return mayEver(await this.abilityFor(actor), permission);
  }

  /** The tenants that the actor sees; null means all of them. */
  async visibleTenants(actor: Actor): Promise<readonly string[] | null> {
    if (actor.isProvider) return null;
    return [...new Set((await this.repository.memberships(actor)).map(({ tenantId }) => tenantId))];
  }

  /** What the actor may do in the tenant now, of `permissions`, so that a frontend greys out what the server would refuse. */
  async actionsFor(
    actor: Actor,
    tenantId: string,
    permissions: readonly Permission[] = allPermissions,
    blocked: BlockedReason = () => null,
  ): Promise<ActionState[]> {
    const ability = await this.abilityFor(actor);
    return permissions.map((permission) => {
      const reason = mayIn(ability, permission, tenantId) ? blocked(permission) : `You need the permission ${permission}`;
      return { permission, allowed: reason === null, reason };
    });
  }
}

export function forbidden(permission: string): AppError {
  return new AppError('FORBIDDEN', `You need the permission ${permission}`);
}

export function forbiddenToAllButProvider(): AppError {
  return new AppError('FORBIDDEN', 'Only the provider may do this');
}
