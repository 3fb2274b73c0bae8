import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { IsBoolean, IsDate, IsEnum, IsOptional, IsString, IsTimeZone, Matches, MaxLength, MinDate, ValidateNested } from 'class-validator';
import { BackupModel } from '../../backups/backup.model.js';
import { BackupScope } from '../../backups/backup.entity.js';
import { OperationModel } from '../../operations/operation.model.js';
import { IsDisplayName } from '../../platform/graphql/display-name.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { Cadence } from '../../policies/policy-enums.js';
import { RetentionRuleInput } from '../../policies/retention-rule.js';
import { ScheduleModel } from '../schedule.model.js';

const timePattern = /^([01]\d|2[0-3]):[0-5]\d$/;
const timeMessage = 'atTime must be a time from 00:00 to 23:59';

@InputType({ isAbstract: true })
abstract class ScheduleFields {
  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsString()
  @MaxLength(2000)
  description?: string | null;

  @Field(() => String, { nullable: true, description: "HH:MM; the policy's where it is left out." })
  @IsOptional()
  @Matches(timePattern, { message: timeMessage })
  atTime?: string | null;

  @Field(() => String, { nullable: true, description: "IANA; the workspace's where it is left out." })
  @IsOptional()
  @IsTimeZone()
  timeZone?: string | null;

  @Field(() => String, { nullable: true, description: 'CRON: minute, hour, day of month, month, day of week.' })
  @IsOptional()
  @IsString()
  @MaxLength(100)
  cron?: string | null;

  @Field(() => BackupScope, { nullable: true })
  @IsOptional()
  @IsEnum(BackupScope)
  scope?: BackupScope | null;

  @Field(() => RetentionRuleInput, { nullable: true, description: "The policy's where it is left out." })
  @IsOptional()
  @ValidateNested()
  @Type(() => RetentionRuleInput)
  retention?: RetentionRuleInput | null;
}

@InputType()
export class ScheduleCreateInput extends ScheduleFields {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => String)
  @IsDisplayName()
  name!: string;

  @Field(() => Cadence)
  @IsEnum(Cadence)
  cadence!: Cadence;
}

@InputType({ description: 'For the provider: another cadence until a date.' })
export class ScheduleBumpInput {
  @Field(() => Cadence)
  @IsEnum(Cadence)
  cadence!: Cadence;

  @Field(() => Date)
  @IsDate()
  @MinDate(() => new Date(), { message: 'until must be in the future' })
  until!: Date;
}

@InputType()
export class ScheduleUpdateInput extends ScheduleFields {
  @Field(() => ID)
  @IsString()
  scheduleId!: string;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsDisplayName()
  name?: string | null;

  @Field(() => Cadence, { nullable: true })
  @IsOptional()
  @IsEnum(Cadence)
  cadence?: Cadence | null;

  @Field(() => ScheduleBumpInput, { nullable: true, description: 'Null ends it; left out it stays.' })
  @IsOptional()
  @ValidateNested()
  @Type(() => ScheduleBumpInput)
  bump?: ScheduleBumpInput | null;
}

@InputType()
export class ScheduleDeleteInput {
  @Field(() => ID)
  @IsString()
  scheduleId!: string;
}

@InputType()
export class ScheduleRunNowInput extends ScheduleDeleteInput {}

@InputType()
export class ScheduleSetActiveInput extends ScheduleDeleteInput {
  @Field(() => Boolean)
  @IsBoolean()
  active!: boolean;

  @Field(() => Boolean, { nullable: true, description: 'Needed to disable it: the person has confirmed.' })
  @IsOptional()
  @IsBoolean()
  confirm?: boolean | null;
}

@InputType()
export class CronKeyRotateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;
}

@ObjectType({ isAbstract: true })
abstract class SchedulePayload extends MutationPayload {
  @Field(() => ScheduleModel, { nullable: true })
  schedule?: ScheduleModel;
}

@ObjectType()
export class ScheduleCreatePayload extends SchedulePayload {}

@ObjectType()
export class ScheduleUpdatePayload extends SchedulePayload {}

@ObjectType()
export class ScheduleSetActivePayload extends SchedulePayload {}

@ObjectType()
export class ScheduleDeletePayload extends SchedulePayload {}

@ObjectType()
export class ScheduleRunNowPayload extends MutationPayload {
  @Field(() => BackupModel, { nullable: true })
  backup?: BackupModel | null;

  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel;
}

@ObjectType()
export class CronKeyRotatePayload extends MutationPayload {
  @Field(() => String, { nullable: true, description: 'The new key: shown this once. Whatever uses the old one is refused from now on.' })
  cronKey?: string;
}
