import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { TenantModel, toTenantModel } from '../tenants/tenant.model.js';
import { AddressRuleModel } from './address-rule.model.js';
import { AddressRulesService } from './address-rules.service.js';
import { AddressRulesLiftInput, AddressRulesLiftPayload, AddressRulesUpdateInput, AddressRulesUpdatePayload } from './dto/address-rules.inputs.js';

@Resolver(() => TenantModel)
export class AddressRulesResolver {
  constructor(private readonly rules: AddressRulesService) {}

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => AddressRulesUpdatePayload, { description: 'Says from which addresses the workspace may be used; it refuses rules that would keep out whoever saves them.' })
  async addressRulesUpdate(@CurrentActor() actor: Actor, @Args('input') input: AddressRulesUpdateInput): Promise<AddressRulesUpdatePayload> {
    return { tenant: toTenantModel(await this.rules.update(actor, fromGlobalId('Tenant', input.tenantId), input.rules)) };
  }

  @Access('provider')
  @Mutation(() => AddressRulesLiftPayload, { description: 'The emergency exit: takes all rules of a workspace away, from any address.' })
  async addressRulesLift(@CurrentActor() actor: Actor, @Args('input') input: AddressRulesLiftInput): Promise<AddressRulesLiftPayload> {
    return { tenant: toTenantModel(await this.rules.lift(actor, fromGlobalId('Tenant', input.tenantId), input.reason)) };
  }

  @ResolveField(() => [AddressRuleModel])
  async addressRules(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<AddressRuleModel[]> {
    return [...(await this.rules.list(actor, uuid))];
  }
}
