import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { Transform } from 'class-transformer';
import { IsEmail, IsEnum, IsOptional, IsString, Matches, MaxLength } from 'class-validator';
import { IsDisplayName } from '../../platform/graphql/display-name.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { MemberModel } from '../member.model.js';
import { maxPasswordLength } from '../passwords.js';
import { MemberRole } from '../role.js';

@InputType()
export class MemberInviteInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => String)
  @Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? value.normalize('NFC') : value))
  @IsEmail()
  @MaxLength(320)
  email!: string;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsDisplayName()
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'With the country, such as +4930123456.' })
  @IsOptional()
  @Matches(/^\+[1-9]\d{6,14}$/, { message: 'phone must begin with + and the country code, digits alone' })
  phone?: string | null;

  @Field(() => MemberRole)
  @IsEnum(MemberRole)
  role!: MemberRole;

  @Field(() => String, { nullable: true, description: 'Makes an account of Holdfast for the person; leave it out where a host product logs its users in.' })
  @IsOptional()
  @IsString()
  @MaxLength(maxPasswordLength)
  password?: string | null;
}

@InputType()
export class MemberSetRoleInput {
  @Field(() => ID)
  @IsString()
  memberId!: string;

  @Field(() => MemberRole)
  @IsEnum(MemberRole)
  role!: MemberRole;
}

@InputType()
export class MemberRemoveInput {
  @Field(() => ID)
  @IsString()
  memberId!: string;
}

@InputType()
export class MemberSetPasswordInput {
  @Field(() => ID)
  @IsString()
  memberId!: string;

  @Field(() => String)
  @IsString()
  @MaxLength(maxPasswordLength)
  password!: string;
}

@ObjectType({ isAbstract: true })
abstract class MemberPayload extends MutationPayload {
  @Field(() => MemberModel, { nullable: true })
  member?: MemberModel;
}

@ObjectType()
export class MemberInvitePayload extends MemberPayload {}

@ObjectType()
export class MemberSetRolePayload extends MemberPayload {}

@ObjectType()
export class MemberSetPasswordPayload extends MemberPayload {}

@ObjectType({ description: 'The member as it was.' })
export class MemberRemovePayload extends MemberPayload {}
