import { Field, Int, ObjectType } from '@nestjs/graphql';
import { BackupModel } from '../backups/backup.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { ByteCount, type Int64 } from '../platform/graphql/scalars.js';
import { RetentionReason } from './judgement.js';
import type { Judgement } from './tenant-judge.js';

@ObjectType('BackupRetention')
export class BackupRetentionModel {
  @Field(() => Boolean, { description: 'Nothing keeps it: the next run may delete it.' })
  due!: boolean;

  @Field(() => RetentionReason)
  reason!: RetentionReason;

  @Field(() => String, { description: 'The same as a sentence for people.' })
  text!: string;

  @Field(() => Date, { nullable: true, description: 'Null where nobody can say: it depends on other backups, or on people.' })
  keptUntil!: Date | null;
}

@ObjectType('RetentionPreviewBackup')
export class RetentionPreviewBackupModel {
  @Field(() => BackupModel)
  backup!: BackupModel;

  @Field(() => BackupRetentionModel, { description: 'By the rules of the preview; `backup.retention` is by those that are stored.' })
  retention!: BackupRetentionModel;
}

@ObjectType()
export class RetentionPreviewBackupConnection extends Paginated('RetentionPreviewBackup', () => RetentionPreviewBackupModel) {}

@ObjectType('RetentionPreview', { description: 'What rules would keep and delete. Nothing is changed by looking.' })
export class RetentionPreviewModel {
  @Field(() => Int)
  keptCount!: number;

  @Field(() => Int)
  dueCount!: number;

  @Field(() => ByteCount, { description: 'Of the files that would be deleted.' })
  dueBytes!: Int64;

  @Field(() => Boolean, { description: 'So many would become due at once that they were held back for some days.' })
  heldBack!: boolean;

  /** Not fields: what `backups` pages through. */
  readonly tenantId!: string;
  readonly judgement!: Judgement;
}
