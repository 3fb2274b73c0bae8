import { Field, ID, InputType, Int, ObjectType } from '@nestjs/graphql';
import { IsInt, IsOptional, IsString, Max, Min } from 'class-validator';
import { IdempotencyKey } from '../operations/idempotency-key.js';
import { registerOperationResult } from '../operations/operation-result.js';
import { OperationModel } from '../operations/operation.model.js';
import { Count, type Int64 } from '../platform/graphql/scalars.js';
import { MutationPayload } from '../platform/graphql/user-error.model.js';

const longestDays = 365;

@ObjectType('DrillResult', { description: 'The backup was restored whole into a scratch database, which is gone again.' })
export class DrillResultModel {
  readonly backupId!: string;

  @Field(() => Int)
  collections!: number;

  @Field(() => Count)
  documents!: Int64;
}

registerOperationResult('DrillResult', DrillResultModel);

@ObjectType('ProofPlan', { description: 'How often the last good backup is verified, and restored for proof.' })
export class ProofPlanModel {
  @Field(() => Int, { nullable: true, description: 'Null: never.' })
  verifyEveryDays!: number | null;

  @Field(() => Int, { nullable: true, description: 'Null: never.' })
  drillEveryDays!: number | null;

  @Field(() => Date, { nullable: true })
  nextVerifyAt!: Date | null;

  @Field(() => Date, { nullable: true })
  nextDrillAt!: Date | null;
}

@InputType()
export class DrillRunInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => ID, { nullable: true, description: 'The last good one where it is left out.' })
  @IsOptional()
  @IsString()
  backupId?: string | null;

  @IdempotencyKey()
  idempotencyKey?: string | null;
}

@InputType()
export class ProofPlanUpdateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => Int, { nullable: true, description: 'Null: never.' })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(longestDays)
  verifyEveryDays?: number | null;

  @Field(() => Int, { nullable: true, description: 'Null: never.' })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(longestDays)
  drillEveryDays?: number | null;
}

@ObjectType()
export class DrillRunPayload extends MutationPayload {
  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel;
}

@ObjectType()
export class ProofPlanUpdatePayload extends MutationPayload {
  @Field(() => ProofPlanModel, { nullable: true })
  proofPlan?: ProofPlanModel;
}
