import { Field, ID, ObjectType } from '@nestjs/graphql';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Cadence } from '../policies/policy-enums.js';
import { type ScheduleRequestEntity, ScheduleRequestState } from './schedule-request.entity.js';

@ObjectType('ScheduleRequest', { description: "A workspace's wish for another schedule, and what the provider answered." })
export class ScheduleRequestModel {
  /** Of the workspace, for its field resolver. */
  tenantUuid!: string;

  @Field(() => ID)
  id!: string;

  @Field(() => Cadence)
  cadence!: Cadence;

  @Field(() => Date, { nullable: true, description: 'Null: for good.' })
  until!: Date | null;

  @Field(() => String)
  reason!: string;

  @Field(() => ScheduleRequestState)
  state!: ScheduleRequestState;

  @Field(() => String, { nullable: true, description: "The provider's." })
  note!: string | null;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  createdBy!: ActorModel | null;

  @Field(() => Date, { nullable: true })
  decidedAt!: Date | null;

  @Field(() => ActorModel, { nullable: true })
  decidedBy!: ActorModel | null;
}

@ObjectType()
export class ScheduleRequestConnection extends Paginated('ScheduleRequest', () => ScheduleRequestModel) {}

export function toScheduleRequestModel(row: ScheduleRequestEntity): ScheduleRequestModel {
  const { id, tenantId, cadence, until, reason, state, note, createdAt, createdBy, decidedAt, decidedBy } = row;
  return { tenantUuid: tenantId, id: toGlobalId('ScheduleRequest', id), cadence, until, reason, state, note, createdAt, createdBy: toActorModel(createdBy), decidedAt, decidedBy: toActorModel(decidedBy) };
}
