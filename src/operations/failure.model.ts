import { Field, ObjectType } from '@nestjs/graphql';
import { errorCatalogue } from '#errors';
import type { OperationFailure } from './operation-handler.js';

@ObjectType('Failure', { description: 'Why something failed and what can be done about it.' })
export class FailureModel {
  @Field(() => String)
  code!: string;

  @Field(() => String)
  message!: string;

  @Field(() => [String])
  hints!: string[];

  @Field(() => Boolean, { description: 'Whether the same request may succeed later without anybody changing anything.' })
  retryable!: boolean;
}

export function toFailureModel({ code, message, retryable }: OperationFailure): FailureModel {
  return { code, message, hints: [errorCatalogue[code].hint], retryable };
}
