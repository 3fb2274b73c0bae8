import { ArgsType, Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { IsEnum, IsNotEmpty, IsOptional, IsString, IsTimeZone, Matches, MaxLength, ValidateNested } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { ByteCount } from '../../platform/graphql/scalars.js';
import { PageArgs } from '../../platform/graphql/connection.js';
import { Engine, Environment, TenantModel, TenantStatus } from '../tenant.model.js';
import { IsDisplayName } from '../../platform/graphql/display-name.js';

const slugPattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const slugMessage = 'slug must be 1 to 63 lower-case letters, digits and hyphens, with neither end a hyphen';

@InputType()
export class TargetInput {
  @Field(() => Engine)
  @IsEnum(Engine)
  engine!: Engine;

  @Field(() => String, { description: 'Connection string with credentials; it is kept encrypted and never shown again.' })
  @IsString()
  @IsNotEmpty()
  @MaxLength(4096)
  uri!: string;

  @Field(() => String)
  @IsString()
  @IsNotEmpty()
  @MaxLength(255)
  database!: string;
}

@InputType({ description: 'URI and database change together: a database on another server is another database.' })
export class TargetChangeInput {
  @Field(() => String)
  @IsString()
  @IsNotEmpty()
  @MaxLength(4096)
  uri!: string;

  @Field(() => String)
  @IsString()
  @IsNotEmpty()
  @MaxLength(255)
  database!: string;
}

@InputType()
export class TenantCreateInput {
  @Field(() => String, { description: 'Names the tenant in addresses; it does not change.' })
  @Matches(slugPattern, { message: slugMessage })
  slug!: string;

  @Field(() => String)
  @IsDisplayName()
  name!: string;

  @Field(() => Environment)
  @IsEnum(Environment)
  environment!: Environment;

  @Field(() => String, { description: 'IANA time zone, such as Europe/Berlin.' })
  @IsTimeZone()
  timeZone!: string;

  @Field(() => TargetInput)
  @ValidateNested()
  @Type(() => TargetInput)
  target!: TargetInput;
}

@InputType()
export class TenantUpdateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsDisplayName()
  name?: string | null;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsTimeZone()
  timeZone?: string | null;

  @Field(() => ByteCount, { nullable: true, description: 'For the provider alone: what the backups of the workspace may take up, safety backups apart. 0: without limit.' })
  @IsOptional()
  quotaBytes?: bigint | null;

  @Field(() => ByteCount, { nullable: true, description: "For the provider alone: what backups read of the workspace's database, and restores write, in a second, from the next operation on; 65,536 at least. 0: what the installation allows." })
  @IsOptional()
  maxBytesPerSecond?: bigint | null;

  @Field(() => TargetChangeInput, { nullable: true, description: 'For the provider alone, and not while an operation runs.' })
  @IsOptional()
  @ValidateNested()
  @Type(() => TargetChangeInput)
  target?: TargetChangeInput | null;
}

@InputType()
export class TenantSuspendInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;
}

@InputType()
export class TenantResumeInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;
}

@InputType()
export class MaintenanceAcknowledgeInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;
}

@InputType()
export class MaintenanceEndInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;
}

@ObjectType({ isAbstract: true })
abstract class TenantPayload extends MutationPayload {
  @Field(() => TenantModel, { nullable: true })
  tenant?: TenantModel;
}

@ObjectType()
export class TenantCreatePayload extends TenantPayload {}

@ObjectType()
export class TenantUpdatePayload extends TenantPayload {}

@ObjectType()
export class TenantSuspendPayload extends TenantPayload {}

@ObjectType()
export class TenantResumePayload extends TenantPayload {}

@ObjectType()
export class MaintenanceAcknowledgePayload extends TenantPayload {}

@ObjectType()
export class MaintenanceEndPayload extends TenantPayload {}

@InputType()
export class TenantFilter {
  @Field(() => String, { nullable: true, description: 'Part of the name or the slug.' })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  text?: string | null;

  @Field(() => TenantStatus, { nullable: true })
  @IsOptional()
  @IsEnum(TenantStatus)
  status?: TenantStatus | null;
}

@ArgsType()
export class TenantListArgs extends PageArgs {
  @Field(() => TenantFilter, { nullable: true })
  @IsOptional()
  @ValidateNested()
  @Type(() => TenantFilter)
  filter?: TenantFilter | null;
}
