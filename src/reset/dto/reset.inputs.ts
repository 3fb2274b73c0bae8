import { Field, ID, InputType } from '@nestjs/graphql';
import { Transform } from 'class-transformer';
import { IsDate, IsEnum, IsOptional, IsString, MaxLength } from 'class-validator';
import { IdempotencyKey } from '../../operations/idempotency-key.js';
import { ChannelKind, ResetReason } from '../reset.entity.js';

@InputType()
export class ResetBeginInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => ResetReason)
  @IsEnum(ResetReason)
  reason!: ResetReason;
}

/** What every step after the first names. */
@InputType({ isAbstract: true })
abstract class ResetStepInput {
  @Field(() => ID)
  @IsString()
  resetId!: string;
}

@InputType()
export class ResetSendCodeInput extends ResetStepInput {
  @Field(() => ChannelKind)
  @IsEnum(ChannelKind)
  channel!: ChannelKind;
}

@InputType()
export class ResetVerifyCodeInput extends ResetSendCodeInput {
  @Field(() => String, { description: 'Six digits.' })
  @Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? value.trim() : value))
  @IsString()
  @MaxLength(100)
  code!: string;
}

@InputType()
export class ResetExecuteInput extends ResetStepInput {
  @Field(() => String, { description: 'RESET, in capital letters.' })
  @IsString()
  @MaxLength(100)
  confirmText!: string;

  @Field(() => Date, { nullable: true, description: 'When it begins: the product and the members of the workspace are told at once. Left out: now.' })
  @IsOptional()
  @IsDate()
  startAt?: Date | null;

  @IdempotencyKey()
  idempotencyKey?: string | null;
}

@InputType()
export class ResetCancelInput extends ResetStepInput {}
