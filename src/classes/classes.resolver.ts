import { Args, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel, toTenantModel } from '../tenants/tenant.model.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { ClassRowModel, ClassRuleModel, CollectionConnection } from './class.model.js';
import { toClassRow, toCollectionConnection } from './class-row.js';
import { ClassesService } from './classes.service.js';
import { ClassPreviewInput, ClassProfileUpdateInput, ClassProfileUpdatePayload, ClassRulesUpdateInput, ClassRulesUpdatePayload } from './dto/class.inputs.js';

@Resolver(() => ClassRuleModel)
export class ClassesResolver {
  constructor(
    private readonly classes: ClassesService,
    private readonly tenants: TenantsService,
  ) {}

  @Access('authenticated')
  @Query(() => [ClassRuleModel], { description: 'The rules for every tenant, in their order.' })
  async classProfile(): Promise<ClassRuleModel[]> {
    return [...(await this.classes.profile())];
  }

  @Access(Permission.TENANT_MANAGE)
  @Query(() => [ClassRowModel], { description: 'What these rules would make of each live collection, by name; nothing is saved.' })
  async classPreview(@CurrentActor() actor: Actor, @Args('input') input: ClassPreviewInput): Promise<ClassRowModel[]> {
    return (await this.classes.preview(actor, input.tenantId, input.rules)).map(toClassRow);
  }

  @Access('provider')
  @Mutation(() => ClassProfileUpdatePayload, { description: 'Replaces the rules for every tenant.' })
  async classProfileUpdate(@CurrentActor() actor: Actor, @Args('input') input: ClassProfileUpdateInput): Promise<ClassProfileUpdatePayload> {
    return { profile: [...(await this.classes.updateProfile(actor, input.rules))] };
  }

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => ClassRulesUpdatePayload, { description: "Replaces the tenant's own rules, which come before the provider's." })
  async classRulesUpdate(@CurrentActor() actor: Actor, @Args('input') input: ClassRulesUpdateInput): Promise<ClassRulesUpdatePayload> {
    return { tenant: toTenantModel(await this.tenants.get(await this.classes.updateRules(actor, input.tenantId, input.rules))) };
  }
}

@Resolver(() => TenantModel)
export class TenantClassesResolver {
  constructor(private readonly classes: ClassesService) {}

  @ResolveField(() => [ClassRuleModel], { description: "The tenant's own rules, which come before the provider's." })
  async classRules(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<ClassRuleModel[]> {
    return [...(await this.classes.rulesOf(actor, uuid))];
  }

  @ResolveField(() => CollectionConnection, { description: 'The collections as they are live, in the order of their names.' })
  async collections(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel, @Args() args: PageArgs): Promise<CollectionConnection> {
    return toCollectionConnection(await this.classes.collections(actor, uuid), args);
  }
}
