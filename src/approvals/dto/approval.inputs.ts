import { Field, ID, InputType, ObjectType, registerEnumType } from '@nestjs/graphql';
import { IsBoolean, IsEnum, IsOptional, IsString, MaxLength } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { ApprovalAction } from '../../policies/policy-enums.js';
import { ApprovalModel } from '../approval.model.js';

export const ApprovalDecision = { APPROVED: 'APPROVED', REJECTED: 'REJECTED' } as const;
export type ApprovalDecision = keyof typeof ApprovalDecision;
registerEnumType(ApprovalDecision, { name: 'ApprovalDecision' });

@InputType({ description: 'What is left out is as the mutation has it by default: the approval is for exactly that.' })
export class ApprovalRequestInput {
  @Field(() => ApprovalAction)
  @IsEnum(ApprovalAction)
  action!: ApprovalAction;

  @Field(() => ID, { description: 'RESTORE: of a restore plan, or of the operation to undo. DELETE_PERMANENTLY and DOWNLOAD: of a backup. RESET: of a reset.' })
  @IsString()
  subjectId!: string;

  @Field(() => String, { nullable: true, description: 'For those who decide.' })
  @IsOptional()
  @IsString()
  @MaxLength(500)
  note?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'RESTORE: as of restoreStart.' })
  @IsOptional()
  @IsBoolean()
  keepOld?: boolean | null;

  @Field(() => Boolean, { nullable: true, description: 'DELETE_PERMANENTLY: as of backupDelete.' })
  @IsOptional()
  @IsBoolean()
  giveUpUndo?: boolean | null;

  @Field(() => Boolean, { nullable: true, description: 'DOWNLOAD: of the variant DECRYPTED.' })
  @IsOptional()
  @IsBoolean()
  decrypted?: boolean | null;
}

@InputType()
export class ApprovalDecideInput {
  @Field(() => ID)
  @IsString()
  approvalId!: string;

  @Field(() => ApprovalDecision)
  @IsEnum(ApprovalDecision)
  decision!: ApprovalDecision;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsString()
  @MaxLength(500)
  note?: string | null;
}

@ObjectType({ isAbstract: true })
abstract class ApprovalPayload extends MutationPayload {
  @Field(() => ApprovalModel, { nullable: true })
  approval?: ApprovalModel;
}

@ObjectType()
export class ApprovalRequestPayload extends ApprovalPayload {}

@ObjectType()
export class ApprovalDecidePayload extends ApprovalPayload {}
