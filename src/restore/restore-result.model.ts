import { Field, ObjectType } from '@nestjs/graphql';
import { registerOperationResult } from '../operations/operation-result.js';
import { ByteCount, Count, type Int64 } from '../platform/graphql/scalars.js';

@ObjectType('RestoredCollection', { description: 'Numbers of documents.' })
export class RestoredCollectionModel {
  @Field(() => String)
  name!: string;

  @Field(() => Count, { description: 'Of the archive; by a MERGE those that were not live.' })
  inserted!: Int64;

  @Field(() => Count, { description: 'Overwritten one by one; a REPLACE overwrites none.' })
  replaced!: Int64;

  @Field(() => Count, { description: "Live ones that differ from the archive's and stayed." })
  kept!: Int64;

  @Field(() => Count, { description: 'The same in the archive, byte for byte; a REPLACE compares none.' })
  equal!: Int64;

  @Field(() => Count, { description: 'Of the archive, left out by a MERGE since a unique key is taken or the collection refuses them.' })
  clashes!: Int64;

  @Field(() => Count, { description: 'Live ones that are in the safety backup alone now.' })
  dropped!: Int64;
}

@ObjectType('RestoreResult')
export class RestoreResultModel {
  @Field(() => Boolean)
  dryRun!: boolean;

  @Field(() => ByteCount, { description: 'Of the archive.' })
  bytesRead!: Int64;

  @Field(() => [RestoredCollectionModel])
  collections!: RestoredCollectionModel[];

  @Field(() => String, { nullable: true, description: 'The new database that holds the copy; null for a restore in place.' })
  database!: string | null;

  /** Its resolver loads it. */
  readonly newTenantId?: string | null;

  @Field(() => [String])
  warnings!: string[];
}

/** What only a MERGE counts. */
export const noneMerged = { replaced: 0, kept: 0, equal: 0, clashes: 0 } as const;

registerOperationResult('RestoreResult', RestoreResultModel);
