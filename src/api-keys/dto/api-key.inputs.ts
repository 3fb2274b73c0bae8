import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { ArrayMaxSize, ArrayMinSize, IsArray, IsDate, IsEnum, IsOptional, IsString } from 'class-validator';
import { allPermissions, Permission } from '../../access/permission.js';
import { IsDisplayName } from '../../platform/graphql/display-name.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { ApiKeyModel } from '../api-key.model.js';

@InputType()
export class ApiKeyCreateInput {
  @Field(() => ID, { nullable: true, description: 'Left out by the provider alone: then it is good in every workspace.' })
  @IsOptional()
  @IsString()
  tenantId?: string | null;

  @Field(() => String)
  @IsDisplayName()
  name!: string;

  @Field(() => [Permission], { description: 'Of those that you have. APPROVE, MEMBER_MANAGE and RESET_RUN are for people.' })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(allPermissions.length)
  @IsEnum(Permission, { each: true })
  permissions!: Permission[];

  @Field(() => Date, { nullable: true, description: 'A year from now where it is left out; two years at most.' })
  @IsOptional()
  @IsDate()
  expiresAt?: Date | null;
}

@InputType()
export class ApiKeyRevokeInput {
  @Field(() => ID)
  @IsString()
  apiKeyId!: string;
}

@ObjectType({ isAbstract: true })
abstract class ApiKeyPayload extends MutationPayload {
  @Field(() => ApiKeyModel, { nullable: true })
  apiKey?: ApiKeyModel;
}

@ObjectType()
export class ApiKeyCreatePayload extends ApiKeyPayload {
  @Field(() => String, { nullable: true, description: 'Sent as `Authorization: Bearer <key>`. Shown this once.' })
  key?: string;
}

@ObjectType()
export class ApiKeyRevokePayload extends ApiKeyPayload {}
