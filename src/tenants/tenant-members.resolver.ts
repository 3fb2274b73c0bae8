import { Args, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { MemberConnection, toMemberModel } from '../access/member.model.js';
import { MembersService } from '../access/members.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel } from './tenant.model.js';

@Resolver(() => TenantModel)
export class TenantMembersResolver {
  constructor(private readonly service: MembersService) {}

  @ResolveField(() => MemberConnection)
  async members(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel, @Args() args: PageArgs): Promise<MemberConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.service.list(actor, tenant.uuid, page), (row) => ({ at: row.createdAt, id: row.id }), toMemberModel);
  }
}
