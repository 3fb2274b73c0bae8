import { Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import type { BackupCopy } from '../backups/backup-copies.js';
import { FailureModel, toFailureModel } from '../operations/failure.model.js';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import type { Destination } from './destinations.repository.js';

export const CopyState = { PENDING: 'PENDING', COPYING: 'COPYING', GOOD: 'GOOD', FAILED: 'FAILED', MISSING: 'MISSING', DELETING: 'DELETING' } as const;
export type CopyState = keyof typeof CopyState;
registerEnumType(CopyState, { name: 'CopyState' });

@ObjectType('CopyCounts', { description: 'Of the backups that can be used, safety backups apart.' })
export class CopyCountsModel {
  @Field(() => Int)
  good!: number;

  @Field(() => Int)
  waiting!: number;

  @Field(() => Int)
  failed!: number;
}

@ObjectType('Destination', { description: 'A further store that every backup of the workspace is copied to.' })
export class DestinationModel {
  /** For field resolvers; not part of the schema. */
  row!: Destination;

  @Field(() => ID)
  id!: string;

  @Field(() => String)
  store!: string;

  @Field(() => String, { nullable: true, description: 'Copies are moved from there; until all are good in the new store both are read.' })
  movingFrom!: string | null;

  @Field(() => Boolean, { description: 'Its copies are being removed.' })
  deleting!: boolean;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  createdBy!: ActorModel | null;
}

@ObjectType('BackupCopy', { description: 'The same file in a further store.' })
export class BackupCopyModel {
  @Field(() => String)
  store!: string;

  @Field(() => CopyState)
  state!: CopyState;

  @Field(() => Int, { description: 'How often it has failed since it was last good.' })
  attempts!: number;

  @Field(() => FailureModel, { nullable: true })
  failure!: FailureModel | null;

  @Field(() => Date, { nullable: true })
  copiedAt!: Date | null;

  @Field(() => Date, { nullable: true, description: 'When it was last read whole.' })
  checkedAt!: Date | null;

  @Field(() => Date, { nullable: true, description: 'It is to be deleted, and its store lets nobody do that before.' })
  lockedUntil!: Date | null;
}

export function toDestinationModel(row: Destination): DestinationModel {
  return { row, id: toGlobalId('Destination', row.id), store: row.store, movingFrom: row.movingFrom, deleting: row.deletedAt !== null, createdAt: row.createdAt, createdBy: toActorModel(row.createdBy) };
}

export function toBackupCopyModel({ store, state, attempts, failure, copiedAt, checkedAt, lockedUntil }: BackupCopy): BackupCopyModel {
  return { store, state, attempts, failure: failure && toFailureModel(failure), copiedAt, checkedAt, lockedUntil };
}
