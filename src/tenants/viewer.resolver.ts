import { Args, Field, ID, ObjectType, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { AppConfig } from '../config/app-config.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantAdministration } from './tenant-administration.js';
import { TenantConnection, toTenantModel } from './tenant.model.js';

@ObjectType('Viewer', { description: 'Whoever is logged in.' })
export class ViewerModel {
  @Field(() => ID)
  id!: string;

  @Field(() => String, { nullable: true })
  email!: string | null;

  @Field(() => String, { nullable: true })
  name!: string | null;

  @Field(() => String)
  timeZone!: string;

  @Field(() => Boolean)
  isProvider!: boolean;

  @Field(() => Date, { nullable: true, description: 'When the person last proved who they are; null where the token does not say.' })
  loggedInAt!: Date | null;

  @Field(() => String, { description: 'Where the call comes from, as address rules see it.' })
  address!: string;

  @Field(() => String, { nullable: true })
  supportUrl!: string | null;

  @Field(() => String, { nullable: true })
  helpUrl!: string | null;
}

@Resolver(() => ViewerModel)
export class ViewerResolver {
  constructor(
    private readonly administration: TenantAdministration,
    private readonly config: AppConfig,
  ) {}

  @Access('authenticated')
  @Query(() => ViewerModel)
  viewer(@CurrentActor() actor: Actor): ViewerModel {
    const { email, name, timeZone, isProvider, loggedInAt, address } = actor;
    return { id: Buffer.from(`Viewer:${actor.id}`).toString('base64url'), email, name, timeZone, isProvider, loggedInAt, address, supportUrl: this.config.supportUrl, helpUrl: this.config.helpUrl };
  }

  @ResolveField(() => TenantConnection)
  async tenants(@CurrentActor() actor: Actor, @Parent() _viewer: ViewerModel, @Args() args: PageArgs): Promise<TenantConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.administration.list(actor, {}, page), (row) => ({ at: row.createdAt, id: row.id }), toTenantModel);
  }
}
