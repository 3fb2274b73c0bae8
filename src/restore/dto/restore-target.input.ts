import { Field, InputType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { IsNotEmpty, IsOptional, IsString, MaxLength, ValidateNested } from 'class-validator';
import { TenantCreateInput } from '../../tenants/dto/tenant.input.js';

@InputType()
export class NewDatabaseInput {
  @Field(() => String, { description: "A database on the workspace's server that does not exist yet; for all but the provider its name begins with that of the workspace's database and an underscore." })
  @IsString()
  @IsNotEmpty()
  @MaxLength(255)
  name!: string;
}

@InputType('RestoreTargetInput', { isOneOf: true, description: 'Where to restore to, other than in place: exactly one of the fields. Nothing live is replaced, unless cutover is REPOINT.' })
export class RestoreTargetInput {
  @Field(() => NewDatabaseInput, { nullable: true })
  @IsOptional()
  @ValidateNested()
  @Type(() => NewDatabaseInput)
  newDatabase?: NewDatabaseInput;

  @Field(() => TenantCreateInput, { nullable: true, description: 'A workspace that is made for the copy, on an empty database; for the provider alone.' })
  @IsOptional()
  @ValidateNested()
  @Type(() => TenantCreateInput)
  newTenant?: TenantCreateInput;
}
