import { Args, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel, toTenantModel } from '../tenants/tenant.model.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { ScheduleRequestChangeInput, ScheduleRequestChangePayload, ScheduleRequestDecideInput, ScheduleRequestDecidePayload, ScheduleRequestListArgs } from './dto/schedule-request.inputs.js';
import type { ScheduleRequestEntity } from './schedule-request.entity.js';
import { ScheduleRequestConnection, ScheduleRequestModel, toScheduleRequestModel } from './schedule-request.model.js';
import { ScheduleRequests } from './schedule-requests.js';

@Resolver(() => ScheduleRequestModel)
export class ScheduleRequestsResolver {
  constructor(
    private readonly requests: ScheduleRequests,
    private readonly tenants: TenantsService,
  ) {}

  @Access('provider')
  @Query(() => ScheduleRequestConnection, { description: 'Of every workspace, newest first.' })
  async scheduleRequests(@CurrentActor() actor: Actor, @Args() args: ScheduleRequestListArgs): Promise<ScheduleRequestConnection> {
    const page = pageOf(args);
    return connect(page, await this.requests.list(actor, args.state ?? null, page));
  }

  @Access(Permission.SCHEDULE_MANAGE)
  @Mutation(() => ScheduleRequestChangePayload, { description: 'Asks the provider for another schedule.' })
  async scheduleRequestChange(@CurrentActor() actor: Actor, @Args('input') input: ScheduleRequestChangeInput): Promise<ScheduleRequestChangePayload> {
    const { tenantId, cadence, until = null, reason } = input;
    return { tenant: toTenantModel(await this.requests.ask(actor, tenantId, { cadence, until, reason })) };
  }

  @Access('provider')
  @Mutation(() => ScheduleRequestDecidePayload, { description: 'The answer to a wish. Accepting it changes the schedule at once, as a bump where the wish has an end.' })
  async scheduleRequestDecide(@CurrentActor() actor: Actor, @Args('input') input: ScheduleRequestDecideInput): Promise<ScheduleRequestDecidePayload> {
    return { request: toScheduleRequestModel(await this.requests.decide(actor, input)) };
  }

  @ResolveField(() => TenantModel)
  async tenant(@Parent() { tenantUuid }: ScheduleRequestModel): Promise<TenantModel> {
    return toTenantModel(await this.tenants.get({ tenantId: tenantUuid }));
  }
}

@Resolver(() => TenantModel)
export class TenantScheduleRequestsResolver {
  constructor(private readonly requests: ScheduleRequests) {}

  @ResolveField(() => ScheduleRequestConnection, { name: 'scheduleRequests', description: 'Newest first.' })
  async ofTenant(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel, @Args() args: PageArgs): Promise<ScheduleRequestConnection> {
    const page = pageOf(args);
    return connect(page, await this.requests.ofTenant(actor, uuid, page));
  }
}

function connect(page: Page, found: PageOfRows<ScheduleRequestEntity>): ScheduleRequestConnection {
  return toConnection<ScheduleRequestEntity, ScheduleRequestModel>(page, found, (row) => ({ at: row.createdAt, id: row.id }), toScheduleRequestModel);
}
