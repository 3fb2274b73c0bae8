import { Args, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { BackupModel } from '../backups/backup.model.js';
import { ObjectLockModel } from '../backups/object-lock.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel } from '../tenants/tenant.model.js';
import { BackupCopyModel, CopyCountsModel, DestinationModel, toBackupCopyModel, toDestinationModel } from './destination.model.js';
import { DestinationsService } from './destinations.service.js';
import {
  DestinationCreateInput, DestinationCreatePayload, DestinationDeleteInput, DestinationDeletePayload, DestinationTestInput, DestinationTestPayload, DestinationUpdateInput, DestinationUpdatePayload,
} from './dto/destination.inputs.js';

@Resolver(() => DestinationModel)
export class DestinationsResolver {
  constructor(private readonly destinations: DestinationsService) {}

  @Access(Permission.STORAGE_MANAGE)
  @Query(() => [String], { description: 'Names of the stores that copies can go to.' })
  stores(): readonly string[] {
    return this.destinations.storeNames;
  }

  @Access(Permission.STORAGE_MANAGE)
  @Mutation(() => DestinationCreatePayload, { description: 'Every backup is copied there from now on, those that there are, too.' })
  async destinationCreate(@CurrentActor() actor: Actor, @Args('input') { tenantId, store }: DestinationCreateInput): Promise<DestinationCreatePayload> {
    return { destination: toDestinationModel(await this.destinations.create(actor, tenantId, store)) };
  }

  @Access(Permission.STORAGE_MANAGE)
  @Mutation(() => DestinationUpdatePayload, { description: 'Moves the copies: made and read back in the other store, then switched, then the old ones deleted.' })
  async destinationUpdate(@CurrentActor() actor: Actor, @Args('input') { destinationId, store }: DestinationUpdateInput): Promise<DestinationUpdatePayload> {
    return { destination: toDestinationModel(await this.destinations.move(actor, destinationId, store)) };
  }

  @Access(Permission.STORAGE_MANAGE)
  @Mutation(() => DestinationDeletePayload, { description: 'Its copies are removed; the backups stay.' })
  async destinationDelete(@CurrentActor() actor: Actor, @Args('input') { destinationId }: DestinationDeleteInput): Promise<DestinationDeletePayload> {
    return { destination: toDestinationModel(await this.destinations.delete(actor, destinationId)) };
  }

  @Access(Permission.STORAGE_MANAGE)
  @Mutation(() => DestinationTestPayload, { description: 'Writes, reads and deletes a file there, and asks the bucket for its object lock where the store is to have one.' })
  async destinationTest(@CurrentActor() actor: Actor, @Args('input') { destinationId }: DestinationTestInput): Promise<DestinationTestPayload> {
    return { destination: toDestinationModel(await this.destinations.test(actor, destinationId)) };
  }

  @ResolveField(() => ObjectLockModel, { nullable: true, description: 'What copies there are locked by, as the configuration of the store says.' })
  objectLock(@Parent() { row }: DestinationModel): ObjectLockModel | null {
    return this.destinations.lockOf(row);
  }

  @ResolveField(() => CopyCountsModel)
  copies(@Parent() { row }: DestinationModel): Promise<CopyCountsModel> {
    return this.destinations.counts(row);
  }
}

@Resolver(() => TenantModel)
export class TenantDestinationsResolver {
  constructor(private readonly service: DestinationsService) {}

  @ResolveField(() => [DestinationModel], { description: 'In the order in which they are read where the main store cannot be.' })
  async destinations(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<DestinationModel[]> {
    return (await this.service.list(actor, uuid)).map(toDestinationModel);
  }
}

@Resolver(() => BackupModel)
export class BackupCopiesResolver {
  constructor(private readonly service: DestinationsService) {}

  @ResolveField(() => [BackupCopyModel], { description: 'In further stores.' })
  async copies(@CurrentActor() actor: Actor, @Parent() { uuid, tenantId }: BackupModel): Promise<BackupCopyModel[]> {
    return (await this.service.copiesOf(actor, tenantId, uuid)).map(toBackupCopyModel);
  }
}
