import { Field, ObjectType } from '@nestjs/graphql';
import { CollectionStatModel } from '../platform/graphql/collection-stat.model.js';
import { registerOperationResult } from '../operations/operation-result.js';
import { ByteCount, Count, type Int64 } from '../platform/graphql/scalars.js';
import { DiffKind } from '../restore/collection-diff.js';

@ObjectType('ComparedCollection')
export class ComparedCollectionModel {
  @Field(() => String)
  name!: string;

  @Field(() => String, { description: 'collection, view or timeseries.' })
  kind!: string;

  @Field(() => CollectionStatModel, { nullable: true, description: 'In the first backup.' })
  first!: CollectionStatModel | null;

  @Field(() => CollectionStatModel, { nullable: true, description: 'In the other backup.' })
  other!: CollectionStatModel | null;

  @Field(() => DiffKind, { description: 'ADDED: in the other backup alone; MISSING: in the first alone; SAME: the same documents, indexes and options.' })
  change!: DiffKind;

  @Field(() => Boolean, { nullable: true, description: 'Whether the sums over all documents agree; null where one of the archives has none, or not the collection.' })
  sumsEqual!: boolean | null;

  @Field(() => [String])
  indexesChanged!: string[];

  @Field(() => [String])
  optionsChanged!: string[];
}

@ObjectType('DocumentDifferences', { description: 'Documents matched by _id; of a time series, its buckets.' })
export class DocumentDifferencesModel {
  @Field(() => String)
  collection!: string;

  @Field(() => Count, { description: 'In the other backup alone.' })
  added!: Int64;

  @Field(() => Count, { description: 'In the first backup alone.' })
  removed!: Int64;

  @Field(() => Count)
  changed!: Int64;

  @Field(() => Count)
  same!: Int64;

  /** Shown by their resolver to those who may read documents. */
  readonly addedIds!: string[];
  readonly removedIds!: string[];
  readonly changedIds!: string[];
  readonly tenantId!: string;
}

@ObjectType('CompareResult')
export class CompareResultModel {
  @Field(() => [ComparedCollectionModel])
  collections!: ComparedCollectionModel[];

  @Field(() => [String], { description: 'Collections that one of the backups was not taken of.' })
  notCompared!: string[];

  @Field(() => DocumentDifferencesModel, { nullable: true, description: 'Where a collection was named.' })
  documents!: DocumentDifferencesModel | null;

  @Field(() => ByteCount, { description: 'Of both files.' })
  bytesRead!: Int64;

  readonly backupId!: string;
  readonly otherBackupId!: string;
}

registerOperationResult('CompareResult', CompareResultModel);
