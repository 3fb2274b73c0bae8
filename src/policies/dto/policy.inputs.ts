import { Field, ID, InputType, Int, ObjectType, type ReturnTypeFunc } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { ArrayMaxSize, IsArray, IsBoolean, IsEnum, IsInt, IsOptional, IsString, Matches, Max, MaxLength, Min, ValidateNested } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { TenantModel } from '../../tenants/tenant.model.js';
import { ApprovalAction, Cadence, CatchUp, EncryptionPolicy, PolicyPreset, ResetCodes, SchedulingPolicy, UploadFormat } from '../policy-enums.js';
import { RetentionRuleInput } from '../retention-rule.js';

function Optional(type: ReturnTypeFunc, ...rules: PropertyDecorator[]): PropertyDecorator {
  return (target, name) => {
    for (const decorate of [Field(type, { nullable: true }), IsOptional(), ...rules]) decorate(target, name);
  };
}

const listOf = (values: object): PropertyDecorator[] => [IsArray(), ArrayMaxSize(Object.keys(values).length), IsEnum(values, { each: true })];

@InputType()
export class DefaultScheduleInput {
  @Field(() => Boolean)
  @IsBoolean()
  active!: boolean;

  @Field(() => Cadence)
  @IsEnum(Cadence)
  cadence!: Cadence;

  @Field(() => String, { description: 'HH:MM in the zone of the workspace.' })
  @Matches(/^([01]\d|2[0-3]):[0-5]\d$/, { message: 'atTime must be a time of day, HH:MM' })
  atTime!: string;
}

@InputType({ description: 'What is left out stays as it is. Members may set autoDownload, catchUp, retention, manualRetention, exportsInHistory, completedLabel and pageSize, the provider all.' })
export class TenantPolicyUpdateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => PolicyPreset, { nullable: true, description: 'Replaces all that was set before; null takes the preset away.' })
  @IsOptional()
  @IsEnum(PolicyPreset)
  preset?: PolicyPreset | null;

  @Optional(() => EncryptionPolicy, IsEnum(EncryptionPolicy))
  encryption?: EncryptionPolicy | null;

  @Optional(() => Boolean, IsBoolean())
  allowDownload?: boolean | null;

  @Optional(() => Boolean, IsBoolean())
  autoDownload?: boolean | null;

  @Optional(() => Boolean, IsBoolean())
  selfServiceDelete?: boolean | null;

  @Optional(() => [UploadFormat], ...listOf(UploadFormat))
  uploadFormats?: UploadFormat[] | null;

  @Optional(() => Boolean, IsBoolean())
  partialBackups?: boolean | null;

  @Optional(() => Boolean, IsBoolean())
  partialRestores?: boolean | null;

  @Optional(() => SchedulingPolicy, IsEnum(SchedulingPolicy))
  scheduling?: SchedulingPolicy | null;

  @Optional(() => Int, IsInt(), Min(1), Max(100))
  maxSchedules?: number | null;

  @Optional(() => [Cadence], ...listOf(Cadence))
  sandboxCadences?: Cadence[] | null;

  @Optional(() => [Cadence], ...listOf(Cadence))
  productionCadences?: Cadence[] | null;

  @Optional(() => CatchUp, IsEnum(CatchUp))
  catchUp?: CatchUp | null;

  @Optional(() => DefaultScheduleInput, ValidateNested(), Type(() => DefaultScheduleInput))
  defaultSchedule?: DefaultScheduleInput | null;

  @Optional(() => RetentionRuleInput, ValidateNested(), Type(() => RetentionRuleInput))
  retention?: RetentionRuleInput | null;

  @Optional(() => RetentionRuleInput, ValidateNested(), Type(() => RetentionRuleInput))
  manualRetention?: RetentionRuleInput | null;

  @Optional(() => ResetCodes, IsEnum(ResetCodes))
  resetCodes?: ResetCodes | null;

  @Optional(() => Boolean, IsBoolean())
  endSessions?: boolean | null;

  @Optional(() => String, IsString(), MaxLength(60))
  fileNameTemplate?: string | null;

  @Optional(() => Boolean, IsBoolean())
  exportsInHistory?: boolean | null;

  @Optional(() => String, IsString(), MaxLength(40))
  completedLabel?: string | null;

  @Optional(() => Int, IsInt(), Min(1), Max(100))
  pageSize?: number | null;

  @Optional(() => Int, IsInt(), Min(0), Max(1440))
  stepUpMinutes?: number | null;

  @Optional(() => [ApprovalAction], ...listOf(ApprovalAction))
  approvals?: ApprovalAction[] | null;
}

@ObjectType()
export class TenantPolicyUpdatePayload extends MutationPayload {
  @Field(() => TenantModel, { nullable: true })
  tenant?: TenantModel;

  @Field(() => [String], { nullable: true, description: 'What follows from the change and may not be meant.' })
  warnings?: string[];
}
