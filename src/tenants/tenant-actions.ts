import { Injectable } from '@nestjs/common';
import { AccessService } from '../access/access.service.js';
import type { ActionState } from '../access/action-state.model.js';
import { allPermissions, Permission } from '../access/permission.js';
import type { Actor } from '../platform/auth/actor.js';
import type { TenantEntity } from './tenant.entity.js';
import { whyClosed } from './tenants.service.js';

/** Why the permission cannot be used in the tenant now, as a sentence for people; null where it can. */
export type ActionBlocker = (tenant: TenantEntity, permission: Permission, actor: Actor) => Promise<string | null> | string | null;

/** What nobody does in a workspace that is suspended, and what its own people do not. */
const closedToAll: ReadonlySet<Permission> = new Set([Permission.BACKUP_CREATE, Permission.RESTORE_RUN, Permission.RESET_RUN]);
const closedToMembers: ReadonlySet<Permission> = new Set([Permission.BACKUP_DOWNLOAD, Permission.BACKUP_DELETE, Permission.BACKUP_PIN, Permission.STORAGE_MANAGE, Permission.APPROVE]);

/** `Tenant.actions`: features register why the server would refuse what they do. */
@Injectable()
export class TenantActions {
  private readonly blockers: ActionBlocker[] = [
    (tenant, permission, actor) => (closedToAll.has(permission) || (closedToMembers.has(permission) && !actor.isProvider) ? whyClosed(tenant) : null),
  ];

  constructor(private readonly access: AccessService) {}

  register(blocker: ActionBlocker): void {
    this.blockers.push(blocker);
  }

  /** A permission that the actor lacks is named before anything else. */
  async of(actor: Actor, tenant: TenantEntity): Promise<ActionState[]> {
    const reasons = new Map<Permission, string>();
    for (const permission of allPermissions) {
      for (const blocker of this.blockers) {
        const reason = await blocker(tenant, permission, actor);
        if (reason === null) continue;
        reasons.set(permission, reason);
        break;
      }
    }
    return this.access.actionsFor(actor, tenant.id, allPermissions, (permission) => reasons.get(permission) ?? null);
  }
}
