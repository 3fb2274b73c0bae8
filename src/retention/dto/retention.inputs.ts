import { ArgsType, Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { IsBoolean, IsOptional, IsString, ValidateNested } from 'class-validator';
import { PageArgs } from '../../platform/graphql/connection.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { RetentionRuleInput } from '../../policies/retention-rule.js';
import { TenantModel } from '../../tenants/tenant.model.js';

@InputType({ description: 'A rule that is left out is as it is stored.' })
export class RetentionPreviewInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => ID, { nullable: true, description: '`rule` is of this schedule; left out, of the policy.' })
  @IsOptional()
  @IsString()
  scheduleId?: string | null;

  @Field(() => RetentionRuleInput, { nullable: true })
  @IsOptional()
  @ValidateNested()
  @Type(() => RetentionRuleInput)
  rule?: RetentionRuleInput | null;

  @Field(() => RetentionRuleInput, { nullable: true, description: 'Of backups that people take.' })
  @IsOptional()
  @ValidateNested()
  @Type(() => RetentionRuleInput)
  manualRule?: RetentionRuleInput | null;
}

@ArgsType()
export class RetentionPreviewArgs extends PageArgs {
  @Field(() => Boolean, { nullable: true, description: 'True: those that would be deleted alone; false: the others.' })
  @IsOptional()
  @IsBoolean()
  due?: boolean | null;
}

@InputType()
export class RetentionConfirmInput {
  @Field(() => ID, { nullable: true, description: 'What is held back of this workspace may go; null: the time is right.' })
  @IsOptional()
  @IsString()
  tenantId?: string | null;
}

@ObjectType()
export class RetentionConfirmPayload extends MutationPayload {
  @Field(() => TenantModel, { nullable: true, description: 'Null where the time was confirmed.' })
  tenant?: TenantModel | null;

  @Field(() => Boolean, { nullable: true, description: 'False where nothing was held back.' })
  confirmed?: boolean;
}
