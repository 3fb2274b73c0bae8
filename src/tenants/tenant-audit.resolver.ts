import { Args, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditEventArgs, AuditEventConnection, toAuditEventModel } from '../audit/audit-event.model.js';
import { AuditService } from '../audit/audit.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel } from './tenant.model.js';

@Resolver(() => TenantModel)
export class TenantAuditResolver {
  constructor(
    private readonly audit: AuditService,
    private readonly access: AccessService,
  ) {}

  @ResolveField(() => AuditEventConnection, { description: 'What was done and refused in the tenant, newest first.' })
  async auditEvents(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel, @Args() args: AuditEventArgs): Promise<AuditEventConnection> {
    const scope = await this.access.authorize(actor, tenant.uuid, Permission.AUDIT_READ);
    const page = pageOf(args);
    return toConnection(page, await this.audit.list(scope, args.filter ?? {}, page), (row) => ({ at: row.at, id: row.id }), toAuditEventModel);
  }
}
