import { Field, ID, ObjectType } from '@nestjs/graphql';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { FailureModel, toFailureModel } from '../operations/failure.model.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import { ByteCount, Count, type Int64 } from '../platform/graphql/scalars.js';
import { type BackupEntity, BackupScope, BackupState, BackupTrigger, Codec, Consistency, isUsable } from './backup.entity.js';
import { CollectionStatModel } from '../platform/graphql/collection-stat.model.js';
import { VerificationModel } from './verification.model.js';

@ObjectType('BackupDeletion', { description: 'First the backup is not usable any more, then the bytes go, from every store.' })
export class BackupDeletionModel {
  @Field(() => Date)
  begunAt!: Date;

  @Field(() => Date, { nullable: true, description: 'A store lets nobody delete the bytes before; then they go by themselves.' })
  lockedUntil!: Date | null;

  @Field(() => FailureModel, { nullable: true, description: 'Why the bytes are still there.' })
  failure!: FailureModel | null;
}

@ObjectType('Backup', { implements: () => [Node] })
export class BackupModel implements Node {
  readonly __typename = 'Backup';

  @Field(() => ID)
  id!: string;

  @Field(() => String)
  name!: string;

  @Field(() => String, { nullable: true })
  description!: string | null;

  @Field(() => String, { nullable: true })
  notes!: string | null;

  @Field(() => String, { description: "manual, safety, imported, cron or the schedule's cadence." })
  label!: string;

  @Field(() => BackupTrigger)
  trigger!: BackupTrigger;

  @Field(() => BackupScope)
  scope!: BackupScope;

  @Field(() => BackupState)
  state!: BackupState;

  @Field(() => Boolean, { description: 'COMPLETED, its bytes in place.' })
  usable!: boolean;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  createdBy!: ActorModel | null;

  @Field(() => Date, { nullable: true })
  finishedAt!: Date | null;

  @Field(() => ByteCount, { nullable: true, description: 'Of the stored file.' })
  size!: Int64 | null;

  @Field(() => ByteCount, { nullable: true, description: 'Before compression.' })
  rawSize!: Int64 | null;

  @Field(() => Count, { nullable: true })
  documents!: Int64 | null;

  @Field(() => String, { nullable: true })
  fileName!: string | null;

  @Field(() => Boolean)
  encrypted!: boolean;

  @Field(() => String, { nullable: true })
  keyId!: string | null;

  @Field(() => Codec)
  codec!: Codec;

  @Field(() => Consistency, { nullable: true })
  consistency!: Consistency | null;

  @Field(() => [String], { nullable: true, description: 'Of a backup of these collections alone; a restore of it touches no others. Null: of the whole database.' })
  collections!: string[] | null;

  @Field(() => [CollectionStatModel])
  contents!: CollectionStatModel[];

  @Field(() => Boolean)
  pinned!: boolean;

  @Field(() => Boolean)
  held!: boolean;

  @Field(() => Date, { nullable: true })
  expiresAt!: Date | null;

  @Field(() => BackupDeletionModel, { nullable: true, description: 'Null where nobody and no rule has deleted it.' })
  deletion!: BackupDeletionModel | null;

  @Field(() => VerificationModel, { nullable: true })
  verification!: VerificationModel | null;

  @Field(() => FailureModel, { nullable: true })
  failure!: FailureModel | null;

  /** The row's own ids, for field resolvers; not a field. */
  readonly uuid!: string;
  readonly tenantId!: string;
}

export function toBackupModel(row: BackupEntity): BackupModel {
  return {
    __typename: 'Backup',
    id: toGlobalId('Backup', row.id),
    uuid: row.id,
    tenantId: row.tenantId,
    name: row.name,
    description: row.description,
    notes: row.notes,
    label: row.label,
    trigger: row.trigger,
    scope: row.scope,
    state: row.state,
    usable: isUsable(row),
    createdAt: row.createdAt,
    createdBy: toActorModel(row.createdBy),
    finishedAt: row.finishedAt,
    size: row.sizeBytes,
    rawSize: row.rawSizeBytes,
    documents: row.documents,
    fileName: row.fileName,
    encrypted: row.encrypted,
    keyId: row.keyId,
    codec: row.codec,
    consistency: row.consistency,
    collections: row.collections && [...row.collections],
    contents: row.contents.map((content) => ({ ...content })),
    pinned: row.pinned,
    held: row.held,
    expiresAt: row.expiresAt,
    deletion: row.deletedAt && { begunAt: row.deletedAt, lockedUntil: row.lockedUntil, failure: row.removalFailure && toFailureModel(row.removalFailure) },
    verification: row.verification && { ...row.verification, at: new Date(row.verification.at) },
    failure: row.failure && toFailureModel(row.failure),
  };
}
