import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { ArrayMaxSize, IsArray, IsEnum, IsNotEmpty, IsOptional, IsString, MaxLength, ValidateNested } from 'class-validator';
import { Permission } from '../../access/permission.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { TenantModel } from '../../tenants/tenant.model.js';

@InputType()
export class AddressRuleInput {
  @Field(() => String, { description: 'An address or a range: 203.0.113.7, 10.0.0.0/8, 2001:db8::/32.' })
  @IsString()
  @MaxLength(64)
  range!: string;

  @Field(() => Permission, { nullable: true, description: 'Left out: for whatever is done in the workspace.' })
  @IsOptional()
  @IsEnum(Permission)
  permission?: Permission | null;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  note?: string | null;
}

@InputType()
export class AddressRulesUpdateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => [AddressRuleInput], { description: 'Replaces all rules; an empty list allows every address.' })
  @IsArray()
  @ArrayMaxSize(200)
  @ValidateNested({ each: true })
  @Type(() => AddressRuleInput)
  rules!: AddressRuleInput[];
}

@InputType()
export class AddressRulesLiftInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => String, { description: 'Kept in the audit log.' })
  @IsString()
  @IsNotEmpty()
  @MaxLength(500)
  reason!: string;
}

@ObjectType({ isAbstract: true })
abstract class AddressRulesPayload extends MutationPayload {
  @Field(() => TenantModel, { nullable: true })
  tenant?: TenantModel;
}

@ObjectType()
export class AddressRulesUpdatePayload extends AddressRulesPayload {}

@ObjectType()
export class AddressRulesLiftPayload extends AddressRulesPayload {}
