import { Field, ID, InputType, Int, ObjectType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { ArrayMaxSize, IsArray, IsBoolean, IsEnum, IsInt, IsOptional, IsString, Matches, Max, MaxLength, Min, ValidateNested } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { TenantModel } from '../../tenants/tenant.model.js';
import { ClassRuleModel } from '../class.model.js';
import { DataClass } from '../data-class.js';

const mostRules = 500;

const largestCounter = 2_147_483_647;

@InputType()
export class CounterRuleInput {
  @Field(() => String, { description: 'A top-level field that holds a number.' })
  @IsString()
  @MaxLength(255)
  @Matches(/^[^\0$.][^\0.]*$/, { message: 'field must be the name of a top-level field' })
  field!: string;

  @Field(() => Int)
  @IsInt()
  @Min(0)
  @Max(largestCounter)
  resetTo!: number;
}

@InputType()
export class ClassRuleInput {
  @Field(() => String, { description: "A collection's name; `*` stands for any characters, case does not count." })
  @IsString()
  @MaxLength(255)
  @Matches(/^[^\0$]+$/, { message: 'pattern must be the name of a collection, in which * stands for any characters' })
  pattern!: string;

  @Field(() => DataClass)
  @IsEnum(DataClass)
  dataClass!: DataClass;

  @Field(() => Boolean)
  @IsBoolean()
  resettable!: boolean;

  @Field(() => CounterRuleInput, { nullable: true, description: 'For what a reset does not wipe: let its counters start anew.' })
  @IsOptional()
  @ValidateNested()
  @Type(() => CounterRuleInput)
  counter?: CounterRuleInput | null;
}

@InputType()
export class ClassProfileUpdateInput {
  @Field(() => [ClassRuleInput], { description: 'All of them, in their order; what is not in the list is gone.' })
  @IsArray()
  @ArrayMaxSize(mostRules)
  @ValidateNested({ each: true })
  @Type(() => ClassRuleInput)
  rules!: ClassRuleInput[];
}

@InputType()
export class ClassRulesUpdateInput extends ClassProfileUpdateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;
}

@InputType({ description: 'What rules of the tenant would decide, before they are saved.' })
export class ClassPreviewInput extends ClassRulesUpdateInput {}

@ObjectType()
export class ClassProfileUpdatePayload extends MutationPayload {
  @Field(() => [ClassRuleModel], { nullable: true })
  profile?: ClassRuleModel[];
}

@ObjectType()
export class ClassRulesUpdatePayload extends MutationPayload {
  @Field(() => TenantModel, { nullable: true })
  tenant?: TenantModel;
}
