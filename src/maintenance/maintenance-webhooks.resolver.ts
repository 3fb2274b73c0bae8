import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { TenantModel, toTenantModel } from '../tenants/tenant.model.js';
import { MaintenanceWebhookUpdateInput, MaintenanceWebhookUpdatePayload } from './dto/maintenance-webhook.input.js';
import { MaintenanceWebhookModel, toMaintenanceWebhookModel, toWebhookDeliveryModel, WebhookDeliveryConnection } from './maintenance-webhook.model.js';
import { MaintenanceWebhooks } from './maintenance-webhooks.js';

@Resolver(() => TenantModel)
export class MaintenanceWebhooksResolver {
  constructor(private readonly webhooks: MaintenanceWebhooks) {}

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => MaintenanceWebhookUpdatePayload, { description: 'Sets or removes the address that is told when maintenance begins and ends.' })
  async maintenanceWebhookUpdate(@CurrentActor() actor: Actor, @Args('input') input: MaintenanceWebhookUpdateInput): Promise<MaintenanceWebhookUpdatePayload> {
    const change = { url: input.url ?? null, required: input.required ?? false, rotateSecret: input.rotateSecret ?? false };
    const { tenant, webhook, secret } = await this.webhooks.update(actor, fromGlobalId('Tenant', input.tenantId), change);
    return { tenant: toTenantModel(tenant), webhook: webhook && toMaintenanceWebhookModel(webhook), secret };
  }

  @ResolveField(() => MaintenanceWebhookModel, { nullable: true })
  async maintenanceWebhook(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel): Promise<MaintenanceWebhookModel | null> {
    const webhook = await this.webhooks.find(actor, tenant.uuid);
    return webhook && toMaintenanceWebhookModel(webhook);
  }

  @ResolveField(() => WebhookDeliveryConnection, { description: 'What the product was sent, newest first.' })
  async webhookDeliveries(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel, @Args() args: PageArgs): Promise<WebhookDeliveryConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.webhooks.deliveries(actor, tenant.uuid, page), (row) => ({ at: row.createdAt, id: row.id }), toWebhookDeliveryModel);
  }
}
