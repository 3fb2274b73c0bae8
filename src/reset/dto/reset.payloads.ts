import { Field, ObjectType } from '@nestjs/graphql';
import { OperationModel } from '../../operations/operation.model.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { ResetModel } from '../reset.model.js';

@ObjectType({ isAbstract: true })
abstract class ResetPayload extends MutationPayload {
  @Field(() => ResetModel, { nullable: true })
  reset?: ResetModel | null;
}

@ObjectType()
export class ResetBeginPayload extends ResetPayload {}

@ObjectType()
export class ResetSendCodePayload extends ResetPayload {}

@ObjectType()
export class ResetVerifyCodePayload extends ResetPayload {}

@ObjectType()
export class ResetCancelPayload extends ResetPayload {}

@ObjectType()
export class ResetExecutePayload extends ResetPayload {
  @Field(() => OperationModel, { nullable: true, description: 'Null where it has a start time: the reset is CONFIRMED then.' })
  operation?: OperationModel | null;
}
