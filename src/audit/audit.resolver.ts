import { Args, Query, Resolver } from '@nestjs/graphql';
import { Access } from '../platform/auth/access.decorator.js';
import { pageOf, toConnection } from '../platform/graphql/connection.js';
import { AuditEventArgs, AuditEventConnection, AuditEventModel, toAuditEventModel } from './audit-event.model.js';
import { AuditService } from './audit.service.js';

@Resolver(() => AuditEventModel)
export class AuditResolver {
  constructor(private readonly audit: AuditService) {}

  @Access('provider')
  @Query(() => AuditEventConnection, { description: 'What was done and refused that concerns no tenant, logins above all; newest first.' })
  async auditEvents(@Args() args: AuditEventArgs): Promise<AuditEventConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.audit.list({ tenantId: null }, args.filter ?? {}, page), (row) => ({ at: row.at, id: row.id }), toAuditEventModel);
  }
}
