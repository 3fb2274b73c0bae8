import { applyDecorators } from '@nestjs/common';
import { Field } from '@nestjs/graphql';
import { IsOptional, IsString, Length } from 'class-validator';

/** Characters. */
export const maxIdempotencyKeyLength = 200;

/** A field of an input that starts an operation: sent again with the same key, the input is answered with the same operation. */
export function IdempotencyKey(): PropertyDecorator {
  return applyDecorators(Field(() => String, { nullable: true }), IsOptional(), IsString(), Length(1, maxIdempotencyKeyLength));
}
