import { Field, ObjectType } from '@nestjs/graphql';
import { OperationModel } from '../../operations/operation.model.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { BackupModel } from '../backup.model.js';

@ObjectType({ isAbstract: true })
abstract class BackupPayload extends MutationPayload {
  @Field(() => BackupModel, { nullable: true })
  backup?: BackupModel | null;
}

@ObjectType({ isAbstract: true })
abstract class StartedBackupPayload extends BackupPayload {
  @Field(() => OperationModel, { nullable: true })
  operation?: OperationModel | null;
}

@ObjectType()
export class BackupCreatePayload extends StartedBackupPayload {}

@ObjectType()
export class BackupVerifyPayload extends StartedBackupPayload {}

@ObjectType()
export class BackupUpdatePayload extends BackupPayload {}

@ObjectType()
export class BackupPinPayload extends BackupPayload {}

@ObjectType()
export class BackupUnpinPayload extends BackupPayload {}

@ObjectType()
export class BackupHoldPayload extends BackupPayload {}

@ObjectType()
export class BackupReleasePayload extends BackupPayload {}

@ObjectType()
export class BackupDeletePayload extends BackupPayload {}
