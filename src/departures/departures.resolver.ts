import { Args, Field, Int, Mutation, ObjectType, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel, toTenantModel } from '../tenants/tenant.model.js';
import { TenantDeleteInput, TenantDeletePayload, TenantUndeleteInput, TenantUndeletePayload } from './dto/departure.inputs.js';
import { TenantDepartures } from './tenant-departures.js';

@ObjectType('TenantDeletion', { description: 'The end of a workspace that was asked for.' })
export class TenantDeletionModel {
  @Field(() => Date)
  askedAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  askedBy!: ActorModel | null;

  @Field(() => Date, { description: 'Until then tenantUndelete takes it back; then the archives go.' })
  dueAt!: Date;

  @Field(() => Int, { description: 'Nothing is removed while it is not 0.' })
  heldBackups!: number;

  @Field(() => Date, { nullable: true, description: 'Since when the archives are being removed.' })
  begunAt!: Date | null;

  @Field(() => Date, { nullable: true, description: 'When only the history was left.' })
  deletedAt!: Date | null;

  @Field(() => Date, { nullable: true, description: 'A store lets nobody delete some of the archives before; the rest of the deletion waits for them.' })
  lockedUntil!: Date | null;
}

@Resolver(() => TenantModel)
export class DeparturesResolver {
  constructor(private readonly departures: TenantDepartures) {}

  @Access('provider')
  @Mutation(() => TenantDeletePayload, { description: "Closes the workspace at once and removes its archives after the days of grace. Its own database is not touched." })
  async tenantDelete(@CurrentActor() actor: Actor, @Args('input') { tenantId, confirmName }: TenantDeleteInput): Promise<TenantDeletePayload> {
    return { tenant: toTenantModel(await this.departures.begin(actor, tenantId, confirmName)) };
  }

  @Access('provider')
  @Mutation(() => TenantUndeletePayload, { description: 'Takes tenantDelete back, as long as no archive is gone.' })
  async tenantUndelete(@CurrentActor() actor: Actor, @Args('input') { tenantId }: TenantUndeleteInput): Promise<TenantUndeletePayload> {
    return { tenant: toTenantModel(await this.departures.takeBack(actor, tenantId)) };
  }

  @ResolveField(() => TenantDeletionModel, { nullable: true, description: 'Null where nobody has asked for it.' })
  async deletion(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<TenantDeletionModel | null> {
    const found = await this.departures.of(actor, uuid);
    return found && { ...found, askedBy: toActorModel(found.askedBy) };
  }
}
