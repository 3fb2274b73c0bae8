import { Field, ObjectType } from '@nestjs/graphql';
import { type AppError, errorCatalogue, type ErrorCode } from '#errors';

@ObjectType({ description: 'Something that the user caused and can mend.' })
export class UserError {
  @Field(() => String)
  code!: ErrorCode;

  @Field(() => String)
  message!: string;

  @Field(() => [String], { nullable: true, description: 'Path of the input field at fault.' })
  field!: string[] | null;

  @Field(() => String, { nullable: true })
  hint!: string | null;
}

export function toUserError(error: AppError): UserError {
  return { code: error.code, message: error.message, field: error.field.length > 0 ? [...error.field] : null, hint: error.hint };
}

/** A FORBIDDEN stays a top-level error even where a mutation throws it; what a person can mend does not. */
export function isForUser(code: ErrorCode): boolean {
  return errorCatalogue[code].audience === 'user';
}

/**
 * The answer of every mutation. A payload adds its entity, which is nullable because `userErrors` may stand in its place:
 * `@ObjectType() class TenantCreatePayload extends MutationPayload { @Field(() => TenantModel, { nullable: true }) tenant?: TenantModel }`
 *
 * A resolver returns the entity alone, `{ tenant }`, or throws; `UserErrorInterceptor` fills in `userErrors`.
 */
@ObjectType({ isAbstract: true })
export abstract class MutationPayload {
  @Field(() => [UserError])
  userErrors?: UserError[];
}
