import { ArgsType, Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsBoolean, IsDate, IsEnum, IsOptional, IsString, MaxLength, MinDate } from 'class-validator';
import { PageArgs } from '../../platform/graphql/connection.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { Cadence } from '../../policies/policy-enums.js';
import { TenantModel } from '../../tenants/tenant.model.js';
import { ScheduleRequestState } from '../schedule-request.entity.js';
import { ScheduleRequestModel } from '../schedule-request.model.js';

@InputType()
export class ScheduleRequestChangeInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => Cadence)
  @IsEnum(Cadence)
  cadence!: Cadence;

  @Field(() => Date, { nullable: true, description: 'For a change that is to last until then alone.' })
  @IsOptional()
  @IsDate()
  @MinDate(() => new Date(), { message: 'until must be in the future' })
  until?: Date | null;

  @Field(() => String)
  @IsString()
  @MaxLength(2000)
  reason!: string;
}

@InputType()
export class ScheduleRequestDecideInput {
  @Field(() => ID)
  @IsString()
  requestId!: string;

  @Field(() => Boolean)
  @IsBoolean()
  accept!: boolean;

  @Field(() => String, { nullable: true, description: 'For the workspace to read.' })
  @IsOptional()
  @IsString()
  @MaxLength(2000)
  note?: string | null;

  @Field(() => ID, { nullable: true, description: 'Which schedule changes; needed where the workspace has several.' })
  @IsOptional()
  @IsString()
  scheduleId?: string | null;
}

@ObjectType()
export class ScheduleRequestChangePayload extends MutationPayload {
  @Field(() => TenantModel, { nullable: true })
  tenant?: TenantModel;
}

@ObjectType()
export class ScheduleRequestDecidePayload extends MutationPayload {
  @Field(() => ScheduleRequestModel, { nullable: true })
  request?: ScheduleRequestModel;
}

@ArgsType()
export class ScheduleRequestListArgs extends PageArgs {
  @Field(() => ScheduleRequestState, { nullable: true })
  @IsOptional()
  @IsEnum(ScheduleRequestState)
  state?: ScheduleRequestState | null;
}
