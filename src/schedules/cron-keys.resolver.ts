import { Args, Field, Mutation, ObjectType, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel } from '../tenants/tenant.model.js';
import { CronKeys } from './cron-keys.js';
import { CronKeyRotateInput, CronKeyRotatePayload } from './dto/schedule.inputs.js';

@ObjectType('CronKey', { description: 'Lets an outer cron ask for backups: POST /cron/<slug>.' })
export class CronKeyModel {
  @Field(() => String, { description: 'Its last characters.' })
  masked!: string;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => Date, { nullable: true })
  usedAt!: Date | null;
}

@Resolver(() => TenantModel)
export class CronKeysResolver {
  constructor(private readonly keys: CronKeys) {}

  @Access(Permission.SCHEDULE_MANAGE)
  @Mutation(() => CronKeyRotatePayload, { description: 'Makes a new key. Every integration that uses the old one fails from then on.' })
  async cronKeyRotate(@CurrentActor() actor: Actor, @Args('input') input: CronKeyRotateInput): Promise<CronKeyRotatePayload> {
    return { cronKey: await this.keys.rotate(actor, input.tenantId) };
  }

  @ResolveField(() => CronKeyModel, { nullable: true })
  cronKey(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<CronKeyModel | null> {
    return this.keys.find(actor, uuid);
  }
}
