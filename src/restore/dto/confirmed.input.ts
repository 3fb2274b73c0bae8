import { InputType } from '@nestjs/graphql';
import { IdempotencyKey } from '../../operations/idempotency-key.js';
import { ConfirmName } from '../../tenants/confirm-name.js';

/** What every input has that names a finished restore and confirms it by the workspace's name. */
@InputType({ isAbstract: true })
export abstract class ConfirmedInput {
  @ConfirmName()
  confirmName!: string;

  @IdempotencyKey()
  idempotencyKey?: string | null;
}
