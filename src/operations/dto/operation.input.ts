import { ArgsType, Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { ArrayMaxSize, IsArray, IsDate, IsEnum, IsNotEmpty, IsOptional, IsString, MaxLength, ValidateNested } from 'class-validator';
import { PageArgs } from '../../platform/graphql/connection.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { ConfirmName } from '../../tenants/confirm-name.js';
import type { OperationKind, OperationState } from '../operation-handler.js';
import { OperationKinds, OperationModel, OperationStates } from '../operation.model.js';

@InputType('OperationFilter')
export class OperationFilterInput {
  @Field(() => [OperationKinds], { nullable: true })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(20)
  @IsEnum(OperationKinds, { each: true })
  kinds?: OperationKind[] | null;

  @Field(() => [OperationStates], { nullable: true })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(20)
  @IsEnum(OperationStates, { each: true })
  states?: OperationState[] | null;

  @Field(() => Date, { nullable: true, description: 'Created then or later.' })
  @IsOptional()
  @IsDate()
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Created before then.' })
  @IsOptional()
  @IsDate()
  to?: Date | null;
}

@ArgsType()
export class OperationListArgs extends PageArgs {
  @Field(() => OperationFilterInput, { nullable: true })
  @IsOptional()
  @ValidateNested()
  @Type(() => OperationFilterInput)
  filter?: OperationFilterInput | null;
}

@InputType()
export class OperationCancelInput {
  @Field(() => ID)
  @IsString()
  operationId!: string;
}

@ObjectType()
export class OperationCancelPayload extends MutationPayload {
  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel | null;
}

@InputType()
export class OperationAbandonInput {
  @Field(() => ID)
  @IsString()
  operationId!: string;

  @ConfirmName()
  confirmName!: string;

  @Field(() => String, { description: "Kept in the audit log and in the operation's log." })
  @IsString()
  @IsNotEmpty()
  @MaxLength(500)
  reason!: string;
}

@ObjectType()
export class OperationAbandonPayload extends MutationPayload {
  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel | null;
}
