import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsString } from 'class-validator';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { MutationPayload } from '../platform/graphql/user-error.model.js';
import { AnnouncedWork, type AnnouncementEntity, AnnouncementState } from './announcement.entity.js';

@ObjectType('AnnouncementFailure')
export class AnnouncementFailureModel {
  @Field(() => String)
  code!: string;

  @Field(() => String)
  message!: string;
}

@ObjectType('Announcement', { description: 'Work that begins at a time of which the people of the workspace were told.' })
export class AnnouncementModel {
  @Field(() => ID)
  id!: string;

  @Field(() => AnnouncedWork)
  work!: AnnouncedWork;

  @Field(() => AnnouncementState)
  state!: AnnouncementState;

  @Field(() => Date)
  startAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  announcedBy!: ActorModel | null;

  @Field(() => ID, { nullable: true, description: 'Of the operation that was started.' })
  operationId!: string | null;

  @Field(() => AnnouncementFailureModel, { nullable: true })
  failure!: AnnouncementFailureModel | null;

  @Field(() => Date)
  createdAt!: Date;
}

@InputType()
export class AnnouncementCancelInput {
  @Field(() => ID)
  @IsString()
  announcementId!: string;
}

@ObjectType()
export class AnnouncementCancelPayload extends MutationPayload {
  @Field(() => AnnouncementModel, { nullable: true })
  announcement?: AnnouncementModel | null;
}

export function toAnnouncementModel({ id, work, state, startAt, actor, operationId, failure, createdAt }: AnnouncementEntity): AnnouncementModel {
  return {
    id: toGlobalId('Announcement', id), work, state, startAt, announcedBy: toActorModel({ ...actor }), operationId: operationId === null ? null : toGlobalId('Operation', operationId), failure, createdAt,
  };
}
