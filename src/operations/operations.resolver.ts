import { Args, ID, Mutation, Parent, Query, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { ReadOnce } from '../platform/database/read-once.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { mapIterator } from '../platform/graphql/map-iterator.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { TenantModel, toTenantModel } from '../tenants/tenant.model.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { OperationAbandonInput, OperationAbandonPayload, OperationCancelInput, OperationCancelPayload } from './dto/operation.input.js';
import { OperationAbandonment } from './operation-abandonment.js';
import { OperationAccess } from './operation-access.js';
import type { OperationEntity } from './operation.entity.js';
import { LogLineModel, OperationModel, toOperationModel } from './operation.model.js';
import { OperationsRepository } from './operations.repository.js';

const shownLogLines = 500;

@Resolver(() => OperationModel)
export class OperationsResolver {
  private readonly models = new ReadOnce((row: OperationEntity) => Promise.resolve(toOperationModel(row)));
  private readonly tenantRows = new ReadOnce((row: OperationEntity) => this.tenants.get({ tenantId: row.tenantId }));
  private readonly logs = new ReadOnce((row: OperationEntity) => this.repository.log(row.id, shownLogLines));

  constructor(
    private readonly operations: OperationAccess,
    private readonly abandonment: OperationAbandonment,
    private readonly repository: OperationsRepository,
    private readonly tenants: TenantsService,
    registry: NodeRegistry,
  ) {
    registry.register('Operation', async (actor, uuid) => toOperationModel(await operations.get(actor, uuid)));
  }

  @Access('authenticated')
  @Query(() => OperationModel, { nullable: true })
  async operation(@CurrentActor() actor: Actor, @Args('id', { type: () => ID }) id: string): Promise<OperationModel> {
    return toOperationModel(await this.operations.get(actor, fromGlobalId('Operation', id)));
  }

  @Access('authenticated')
  @Mutation(() => OperationCancelPayload, { description: 'Needs the permission that starting the operation needed.' })
  async operationCancel(@CurrentActor() actor: Actor, @Args('input') input: OperationCancelInput): Promise<OperationCancelPayload> {
    return { operation: toOperationModel(await this.operations.cancel(actor, fromGlobalId('Operation', input.operationId))) };
  }

  @Access('provider')
  @Mutation(() => OperationAbandonPayload, {
    description: 'Gives up, half done, work past its commit point that can never end: it is FAILED with ABANDONED. Nothing in the database is touched, and the workspace stays in maintenance.',
  })
  async operationAbandon(@CurrentActor() actor: Actor, @Args('input') input: OperationAbandonInput): Promise<OperationAbandonPayload> {
    return { operation: toOperationModel(await this.abandonment.abandon(actor, fromGlobalId('Operation', input.operationId), input)) };
  }

  @Access('authenticated')
  @Subscription(() => OperationModel, {
    resolve: (operation: OperationModel) => operation,
    description: 'The operation now, then at most four times a second as it changes, less often where hundreds watch it; completes after its final state.',
  })
  async operationUpdated(@CurrentActor() actor: Actor, @Args('id', { type: () => ID }) id: string): Promise<AsyncIterableIterator<OperationModel>> {
    return mapIterator(await this.operations.watch(actor, fromGlobalId('Operation', id)), (row) => this.models.of(row));
  }

  @Access('authenticated')
  @Subscription(() => OperationModel, {
    resolve: (operation: OperationModel) => operation,
    description: 'The unfinished operations of a tenant, or else its newest, then every change of any of its operations.',
  })
  async tenantActivity(@CurrentActor() actor: Actor, @Args('tenantId', { type: () => ID }) tenantId: string): Promise<AsyncIterableIterator<OperationModel>> {
    return mapIterator(await this.operations.watchTenant(actor, fromGlobalId('Tenant', tenantId)), (row) => this.models.of(row));
  }

  @ResolveField(() => TenantModel)
  async tenant(@Parent() { row }: OperationModel): Promise<TenantModel> {
    return toTenantModel(await this.tenantRows.of(row));
  }

  @ResolveField(() => [LogLineModel], { description: `The newest ${shownLogLines} lines, oldest first.` })
  log(@Parent() { row }: OperationModel): Promise<LogLineModel[]> {
    return this.logs.of(row);
  }
}
