import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { TenantModel, toTenantModel } from '../tenants/tenant.model.js';
import { TenantPolicyUpdateInput, TenantPolicyUpdatePayload } from './dto/policy.inputs.js';
import { PoliciesService } from './policies.service.js';
import { PolicyChangeConnection, TenantPolicyModel, toPolicyChangeModel } from './policy.model.js';

@Resolver(() => TenantModel)
export class PoliciesResolver {
  constructor(private readonly policies: PoliciesService) {}

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => TenantPolicyUpdatePayload)
  async tenantPolicyUpdate(@CurrentActor() actor: Actor, @Args('input') { tenantId, ...changes }: TenantPolicyUpdateInput): Promise<TenantPolicyUpdatePayload> {
    const { tenant, warnings } = await this.policies.update(actor, fromGlobalId('Tenant', tenantId), changes);
    return { tenant: toTenantModel(tenant), warnings: [...warnings] };
  }

  @ResolveField(() => TenantPolicyModel)
  policy(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<TenantPolicyModel> {
    return this.policies.get(actor, uuid);
  }

  @ResolveField(() => PolicyChangeConnection, { description: 'Who changed what of the policy, newest first.' })
  async policyChanges(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel, @Args() args: PageArgs): Promise<PolicyChangeConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.policies.changes(actor, uuid, page), (row) => ({ at: row.at, id: row.id }), toPolicyChangeModel);
  }
}
