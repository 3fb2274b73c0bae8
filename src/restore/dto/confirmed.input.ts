import { Field, InputType } from '@nestjs/graphql';
import { IsString, MaxLength } from 'class-validator';
import { IdempotencyKey } from '../../operations/idempotency-key.js';

/** What every input has that names a finished restore and confirms it by the workspace's name. */
@InputType({ isAbstract: true })
export abstract class ConfirmedInput {
  @Field(() => String, { description: "The workspace's name, typed exactly." })
  @IsString()
  @MaxLength(1000)
  confirmName!: string;

  @IdempotencyKey()
  idempotencyKey?: string | null;
}
