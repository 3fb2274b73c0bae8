import { Field, ObjectType } from '@nestjs/graphql';
import { AnnouncementModel } from '../../announcements/announcement.model.js';
import { OperationModel } from '../../operations/operation.model.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { RestorePlanModel } from '../restore-plan.model.js';

@ObjectType()
export class RestorePlanCreatePayload extends MutationPayload {
  @Field(() => RestorePlanModel, { nullable: true })
  plan?: RestorePlanModel | null;
}

/** What starts an operation and makes nothing else. */
@ObjectType({ isAbstract: true })
abstract class StartedPayload extends MutationPayload {
  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel | null;
}

@ObjectType()
export class RestoreStartPayload extends StartedPayload {
  @Field(() => AnnouncementModel, { nullable: true, description: 'Where it begins later; the operation is null then.' })
  announcement?: AnnouncementModel | null;
}

@ObjectType()
export class RestoreUndoPayload extends StartedPayload {}

@ObjectType()
export class RestoreReleaseOldPayload extends StartedPayload {}
