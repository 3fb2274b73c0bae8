import { Field, ObjectType } from '@nestjs/graphql';
import { registerOperationResult } from '../operations/operation-result.js';
import { ByteCount, Count, type Int64 } from '../platform/graphql/scalars.js';

@ObjectType('RestoredCollection', { description: 'Numbers of documents.' })
export class RestoredCollectionModel {
  @Field(() => String)
  name!: string;

  @Field(() => Count, { description: 'Of the archive.' })
  inserted!: Int64;

  @Field(() => Count, { description: 'Overwritten one by one; a REPLACE overwrites none.' })
  replaced!: Int64;

  @Field(() => Count, { description: 'Live ones that stayed.' })
  kept!: Int64;

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

registerOperationResult('RestoreResult', RestoreResultModel);
