import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsOptional, IsString, Length } from 'class-validator';
import { IdempotencyKey } from '../../operations/idempotency-key.js';
import { OperationModel } from '../../operations/operation.model.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';

@InputType()
export class BackupCompareInput {
  @Field(() => ID, { description: 'The backup to start from, usually the older one.' })
  @IsString()
  backupId!: string;

  @Field(() => ID, { description: 'The backup to compare it with; of the same workspace.' })
  @IsString()
  otherBackupId!: string;

  @Field(() => String, { nullable: true, description: 'Compare the documents of this collection one by one, too; needs BACKUP_DOWNLOAD, because ids of documents are told.' })
  @IsOptional()
  @IsString()
  @Length(1, 1000)
  collection?: string | null;

  @IdempotencyKey()
  idempotencyKey?: string | null;
}

@ObjectType()
export class BackupComparePayload extends MutationPayload {
  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel | null;
}
