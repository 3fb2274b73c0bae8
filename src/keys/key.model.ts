import { Field, ID, InputType, Int, ObjectType } from '@nestjs/graphql';
import { IsString } from 'class-validator';
import { IdempotencyKey } from '../operations/idempotency-key.js';
import { registerOperationResult } from '../operations/operation-result.js';
import { OperationModel } from '../operations/operation.model.js';
import { ByteCount, Count, type Int64 } from '../platform/graphql/scalars.js';
import { MutationPayload } from '../platform/graphql/user-error.model.js';

@ObjectType('EncryptionKey', { description: 'A key of the server, or one that archives need; never the key itself.' })
export class EncryptionKeyModel {
  @Field(() => String)
  keyId!: string;

  @Field(() => Boolean, { description: 'New archives are encrypted with it.' })
  isCurrent!: boolean;

  @Field(() => Boolean, { description: 'Whether the server has it.' })
  isAvailable!: boolean;

  @Field(() => Count, { description: 'Archives that only it opens. As long as there are any it must be kept.' })
  archives!: Int64;

  @Field(() => ByteCount)
  bytes!: Int64;

  @Field(() => Count, { description: 'Tenants with such archives.' })
  tenants!: Int64;
}

@ObjectType('ReencryptResult')
export class ReencryptResultModel {
  @Field(() => String, { description: 'The key that the archives have now.' })
  keyId!: string;

  @Field(() => Int)
  reencrypted!: number;

  @Field(() => Int, { description: 'Left as they are, because something was reading them: start it again.' })
  inUse!: number;

  @Field(() => Int, { nullable: true, description: 'Backups that are still not encrypted: imports of the public tools, and all of a workspace whose policy says OFF. Null: not counted then.' })
  plain!: number | null;
}

registerOperationResult('ReencryptResult', ReencryptResultModel);

@InputType()
export class KeyReencryptInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @IdempotencyKey()
  idempotencyKey?: string | null;
}

@ObjectType()
export class KeyReencryptPayload extends MutationPayload {
  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel;
}
