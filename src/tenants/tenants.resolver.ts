import { Args, ID, Mutation, Parent, Query, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { AppError } from '#errors';
import { ActionState } from '../access/action-state.model.js';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { mapIterator } from '../platform/graphql/map-iterator.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import {
  MaintenanceAcknowledgeInput,
  MaintenanceAcknowledgePayload,
  MaintenanceEndInput,
  MaintenanceEndPayload,
  TenantCreateInput,
  TenantCreatePayload,
  TenantListArgs,
  TenantResumeInput,
  TenantResumePayload,
  TenantSuspendInput,
  TenantSuspendPayload,
  TenantUpdateInput,
  TenantUpdatePayload,
} from './dto/tenant.input.js';
import { TenantActions } from './tenant-actions.js';
import { TenantAdministration } from './tenant-administration.js';
import { TenantDatabases } from './tenant-databases.js';
import { DatabaseInfoModel, TenantConnection, TenantModel, toTenantModel } from './tenant.model.js';


@Resolver(() => TenantModel)
export class TenantsResolver {
  constructor(
    private readonly tenants: TenantAdministration,
    private readonly databases: TenantDatabases,
    private readonly tenantActions: TenantActions,
    registry: NodeRegistry,
  ) {
    registry.register('Tenant', async (actor, uuid) => toTenantModel(await tenants.get(actor, uuid)));
  }

  @Access('authenticated')
  @Query(() => TenantConnection, { name: 'tenants', description: 'The tenants that the actor can see, newest first.' })
  async list(@CurrentActor() actor: Actor, @Args() args: TenantListArgs): Promise<TenantConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.tenants.list(actor, args.filter ?? {}, page), (row) => ({ at: row.createdAt, id: row.id }), toTenantModel);
  }

  @Access('authenticated')
  @Query(() => TenantModel, { nullable: true, description: 'One tenant, by its id or by its slug.' })
  async tenant(
    @CurrentActor() actor: Actor,
    @Args('id', { type: () => ID, nullable: true }) id?: string | null,
    @Args('slug', { type: () => String, nullable: true }) slug?: string | null,
  ): Promise<TenantModel> {
    if (id != null && slug == null) return toTenantModel(await this.tenants.get(actor, fromGlobalId('Tenant', id)));
    if (slug != null && id == null) return toTenantModel(await this.tenants.getBySlug(actor, slug));
    throw new AppError('BAD_USER_INPUT', 'Give either id or slug');
  }

  @Access('authenticated')
  @Subscription(() => TenantModel, { resolve: (tenant: TenantModel) => tenant, description: 'The tenant now, and at each change of its maintenance, session epoch or suspension.' })
  async tenantUpdated(@CurrentActor() actor: Actor, @Args('id', { type: () => ID }) id: string): Promise<AsyncIterableIterator<TenantModel>> {
    return mapIterator(await this.tenants.updates(actor, fromGlobalId('Tenant', id)), toTenantModel);
  }

  @Access('provider')
  @Mutation(() => TenantCreatePayload)
  async tenantCreate(@CurrentActor() actor: Actor, @Args('input') input: TenantCreateInput): Promise<TenantCreatePayload> {
    return { tenant: toTenantModel(await this.tenants.create(actor, input)) };
  }

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => TenantUpdatePayload)
  async tenantUpdate(@CurrentActor() actor: Actor, @Args('input') input: TenantUpdateInput): Promise<TenantUpdatePayload> {
    return { tenant: toTenantModel(await this.tenants.update(actor, fromGlobalId('Tenant', input.tenantId), input)) };
  }

  @Access('provider')
  @Mutation(() => TenantSuspendPayload)
  async tenantSuspend(@CurrentActor() actor: Actor, @Args('input') input: TenantSuspendInput): Promise<TenantSuspendPayload> {
    return { tenant: toTenantModel(await this.tenants.suspend(actor, fromGlobalId('Tenant', input.tenantId))) };
  }

  @Access('provider')
  @Mutation(() => TenantResumePayload)
  async tenantResume(@CurrentActor() actor: Actor, @Args('input') input: TenantResumeInput): Promise<TenantResumePayload> {
    return { tenant: toTenantModel(await this.tenants.resume(actor, fromGlobalId('Tenant', input.tenantId))) };
  }

  @Access(Permission.RESTORE_RUN)
  @Mutation(() => MaintenanceAcknowledgePayload, { description: "The product says that its users are out." })
  async maintenanceAcknowledge(@CurrentActor() actor: Actor, @Args('input') input: MaintenanceAcknowledgeInput): Promise<MaintenanceAcknowledgePayload> {
    return { tenant: toTenantModel(await this.tenants.acknowledgeMaintenance(actor, fromGlobalId('Tenant', input.tenantId))) };
  }

  @Access(Permission.TENANT_MANAGE)
  @Mutation(() => MaintenanceEndPayload, { description: 'Ends a maintenance that no operation needs any more.' })
  async maintenanceEnd(@CurrentActor() actor: Actor, @Args('input') input: MaintenanceEndInput): Promise<MaintenanceEndPayload> {
    return { tenant: toTenantModel(await this.tenants.endMaintenance(actor, fromGlobalId('Tenant', input.tenantId))) };
  }

  @ResolveField(() => DatabaseInfoModel)
  async database(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel): Promise<DatabaseInfoModel> {
    return this.databases.describe(await this.tenants.get(actor, tenant.uuid));
  }

  @ResolveField(() => [ActionState], { description: 'What the actor may do in the tenant now, and why not.' })
  async actions(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel): Promise<ActionState[]> {
    return this.tenantActions.of(actor, await this.tenants.get(actor, tenant.uuid));
  }
}
