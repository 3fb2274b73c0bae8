import { Args, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { TenantModel } from '../tenants/tenant.model.js';
import {
  NotifierCreateInput, NotifierCreatePayload, NotifierDeleteInput, NotifierDeletePayload, NotifierTestInput, NotifierTestPayload, NotifierUpdateInput, NotifierUpdatePayload,
} from './dto/notifier.inputs.js';
import { AlertDeliveryConnection, NotifierConnection, NotifierModel, toAlertDeliveryModel, toNotifierModel } from './notifier.model.js';
import type { NotifierEntity } from './notifier.entity.js';
import { NotifiersService } from './notifiers.service.js';

const keyOf = (row: { readonly createdAt: Date; readonly id: string }) => ({ at: row.createdAt, id: row.id });

@Resolver(() => NotifierModel)
export class NotifiersResolver {
  constructor(
    private readonly notifiers: NotifiersService,
    registry: NodeRegistry,
  ) {
    registry.register('Notifier', async (actor, uuid) => toNotifierModel(await notifiers.getByUuid(actor, uuid)));
  }

  @Access('provider')
  @Query(() => NotifierConnection, { name: 'notifiers', description: "The provider's own, which are told of every tenant." })
  async ofProvider(@CurrentActor() actor: Actor, @Args() args: PageArgs): Promise<NotifierConnection> {
    const page = pageOf(args);
    return toConnection<NotifierEntity, NotifierModel>(page, await this.notifiers.list(actor, null, page), keyOf, toNotifierModel);
  }

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => NotifierCreatePayload, { description: 'Tells somebody of what happens: by e-mail, in a chat, by a signed request, or to a dead man\'s switch.' })
  async notifierCreate(@CurrentActor() actor: Actor, @Args('input') input: NotifierCreateInput): Promise<NotifierCreatePayload> {
    const { notifier, secret } = await this.notifiers.create(actor, input.tenantId ?? null, input);
    return { notifier: toNotifierModel(notifier), secret };
  }

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => NotifierUpdatePayload, { description: 'Changes what it tells; for another address make another one.' })
  async notifierUpdate(@CurrentActor() actor: Actor, @Args('input') input: NotifierUpdateInput): Promise<NotifierUpdatePayload> {
    return { notifier: toNotifierModel(await this.notifiers.update(actor, input.notifierId, input)) };
  }

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => NotifierDeletePayload)
  async notifierDelete(@CurrentActor() actor: Actor, @Args('input') input: NotifierDeleteInput): Promise<NotifierDeletePayload> {
    return { notifier: toNotifierModel(await this.notifiers.delete(actor, input.notifierId)) };
  }

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => NotifierTestPayload, { description: 'Sends a test at once and says what came of it.' })
  async notifierTest(@CurrentActor() actor: Actor, @Args('input') input: NotifierTestInput): Promise<NotifierTestPayload> {
    const { notifier, delivery } = await this.notifiers.test(actor, input.notifierId);
    return { notifier: toNotifierModel(notifier), delivery: toAlertDeliveryModel(delivery) };
  }

  @ResolveField(() => AlertDeliveryConnection, { description: 'What it sent, newest first.' })
  async deliveries(@CurrentActor() actor: Actor, @Parent() { uuid }: NotifierModel, @Args() args: PageArgs): Promise<AlertDeliveryConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.notifiers.deliveriesOf(actor, uuid, page), keyOf, toAlertDeliveryModel);
  }
}

@Resolver(() => TenantModel)
export class TenantNotifiersResolver {
  constructor(private readonly service: NotifiersService) {}

  @ResolveField(() => NotifierConnection)
  async notifiers(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel, @Args() args: PageArgs): Promise<NotifierConnection> {
    const page = pageOf(args);
    return toConnection<NotifierEntity, NotifierModel>(page, await this.service.list(actor, uuid, page), keyOf, toNotifierModel);
  }
}
