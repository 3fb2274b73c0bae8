import { Field, InputType, ObjectType } from '@nestjs/graphql';
import { IsOptional, IsString, MaxLength } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { maxPasswordLength } from '../passwords.js';

const maxEmailLength = 320;

@InputType()
export class LoginInput {
  @Field(() => String)
  @IsString()
  @MaxLength(maxEmailLength)
  email!: string;

  @Field(() => String)
  @IsString()
  @MaxLength(maxPasswordLength)
  password!: string;
}

@InputType()
export class PasswordChangeInput {
  @Field(() => String)
  @IsString()
  @MaxLength(maxPasswordLength)
  currentPassword!: string;

  @Field(() => String)
  @IsString()
  @MaxLength(maxPasswordLength)
  newPassword!: string;
}

/** GraphQL has no empty input type. */
@InputType()
export class TokenRefreshInput {
  @Field(() => String, { nullable: true, description: 'Free for the client; not read.' })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  clientMutationId?: string | null;
}

@InputType()
export class LogoutInput extends TokenRefreshInput {}

@ObjectType({ isAbstract: true })
abstract class TokenPayload extends MutationPayload {
  @Field(() => String, { nullable: true })
  accessToken?: string;

  @Field(() => Date, { nullable: true })
  expiresAt?: Date;
}

@ObjectType()
export class LoginPayload extends TokenPayload {}

@ObjectType()
export class TokenRefreshPayload extends TokenPayload {}

@ObjectType({ description: 'Every other login of the account has ended; this token replaces the one that was sent.' })
export class PasswordChangePayload extends TokenPayload {}

@ObjectType()
export class LogoutPayload extends MutationPayload {}
