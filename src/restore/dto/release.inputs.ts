import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsOptional, IsString, Length, MaxLength } from 'class-validator';
import { OperationModel } from '../../operations/operation.model.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';

@InputType()
export class RestoreReleaseOldInput {
  @Field(() => ID, { description: 'The restore that kept the old collections.' })
  @IsString()
  operationId!: string;

  @Field(() => String, { description: "The workspace's name, typed exactly." })
  @IsString()
  @MaxLength(1000)
  confirmName!: string;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsString()
  @Length(1, 200)
  idempotencyKey?: string | null;
}

@ObjectType()
export class RestoreReleaseOldPayload extends MutationPayload {
  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel | null;
}
