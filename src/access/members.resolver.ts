import { Args, Mutation, Resolver } from '@nestjs/graphql';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { MemberInviteInput, MemberInvitePayload, MemberRemoveInput, MemberRemovePayload, MemberSetPasswordInput, MemberSetPasswordPayload, MemberSetRoleInput, MemberSetRolePayload } from './dto/member.input.js';
import { MemberModel, toMemberModel } from './member.model.js';
import { MembersService } from './members.service.js';
import { Permission } from './permission.js';

@Resolver(() => MemberModel)
export class MembersResolver {
  constructor(
    private readonly members: MembersService,
    registry: NodeRegistry,
  ) {
    registry.register('Member', async (actor, uuid) => toMemberModel(await members.get(actor, uuid)));
  }

  @Access(Permission.MEMBER_MANAGE)
  @Mutation(() => MemberInvitePayload)
  async memberInvite(@CurrentActor() actor: Actor, @Args('input') input: MemberInviteInput): Promise<MemberInvitePayload> {
    return { member: toMemberModel(await this.members.invite(actor, fromGlobalId('Tenant', input.tenantId), input)) };
  }

  @Access(Permission.MEMBER_MANAGE)
  @Mutation(() => MemberSetRolePayload)
  async memberSetRole(@CurrentActor() actor: Actor, @Args('input') input: MemberSetRoleInput): Promise<MemberSetRolePayload> {
    return { member: toMemberModel(await this.members.setRole(actor, fromGlobalId('Member', input.memberId), input.role)) };
  }

  @Access('provider')
  @Mutation(() => MemberSetPasswordPayload, { description: 'For somebody who has forgotten theirs: every login of the account ends.' })
  async memberSetPassword(@CurrentActor() actor: Actor, @Args('input') input: MemberSetPasswordInput): Promise<MemberSetPasswordPayload> {
    return { member: toMemberModel(await this.members.setPassword(actor, fromGlobalId('Member', input.memberId), input.password)) };
  }

  @Access(Permission.MEMBER_MANAGE)
  @Mutation(() => MemberRemovePayload)
  async memberRemove(@CurrentActor() actor: Actor, @Args('input') input: MemberRemoveInput): Promise<MemberRemovePayload> {
    return { member: toMemberModel(await this.members.remove(actor, fromGlobalId('Member', input.memberId))) };
  }
}
