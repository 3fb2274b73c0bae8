import { Field, ObjectType } from '@nestjs/graphql';
import { registerOperationResult } from '../operations/operation-result.js';

@ObjectType('BackupResult')
export class BackupResultModel {
  /** Its field resolver loads the backup. */
  readonly backupId!: string;
}

@ObjectType('VerifyResult')
export class VerifyResultModel {
  @Field(() => Boolean)
  ok!: boolean;

  @Field(() => String, { nullable: true, description: 'Why it failed.' })
  code!: string | null;

  @Field(() => String)
  message!: string;

  readonly backupId!: string;
}

registerOperationResult('BackupResult', BackupResultModel);
registerOperationResult('VerifyResult', VerifyResultModel);
