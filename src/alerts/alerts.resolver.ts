import { Args, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel } from '../tenants/tenant.model.js';
import type { AlertEntity } from './alert.entity.js';
import { AlertConnection, AlertModel, toAlertModel } from './alert.model.js';
import { AlertsService } from './alerts.service.js';

@Resolver(() => AlertModel)
export class AlertsResolver {
  constructor(private readonly alerts: AlertsService) {}

  @Access('provider')
  @Query(() => AlertConnection, { description: 'Of every tenant and of the installation, newest first.', name: 'alerts' })
  async all(@Args() args: PageArgs): Promise<AlertConnection> {
    const page = pageOf(args);
    return connect(page, await this.alerts.listAll(page));
  }
}

@Resolver(() => TenantModel)
export class TenantAlertsResolver {
  constructor(
    private readonly access: AccessService,
    private readonly alerts: AlertsService,
  ) {}

  @ResolveField(() => AlertConnection, { name: 'alerts', description: 'Newest first.' })
  async ofTenant(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel, @Args() args: PageArgs): Promise<AlertConnection> {
    const scope = await this.access.authorize(actor, uuid, Permission.BACKUP_READ);
    const page = pageOf(args);
    return connect(page, await this.alerts.list(scope, page));
  }
}

function connect(page: Page, found: PageOfRows<AlertEntity>): AlertConnection {
  return toConnection(page, found, (row) => ({ at: row.createdAt, id: row.id }), toAlertModel);
}
