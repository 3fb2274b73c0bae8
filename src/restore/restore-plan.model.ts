import { Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { CollectionStatModel } from '../platform/graphql/collection-stat.model.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import { ByteCount, Count, type Int64 } from '../platform/graphql/scalars.js';
import { DiffKind } from './collection-diff.js';
import { MergeConflict } from './restore-choice.js';
import { Cutover, RestoreMode, type RestorePlanEntity } from './restore-plan.entity.js';
import type { SourceRef } from './restore-source.js';

registerEnumType(DiffKind, {
  name: 'DiffKind',
  valuesMap: {
    ADDED: { description: 'In the archive alone: the restore adds it.' },
    MISSING: { description: 'Not in the archive: the restore removes it.' },
    CHANGED: { description: 'In both, and different.' },
    SAME: { description: 'In both, and the same as far as counts, sizes, indexes and options tell.' },
  },
});

export const SourceKind = { BACKUP: 'BACKUP', UPLOAD: 'UPLOAD' } as const;
export type SourceKind = keyof typeof SourceKind;
registerEnumType(SourceKind, { name: 'SourceKind' });

@ObjectType('RestoreSource')
export class RestoreSourceModel {
  @Field(() => SourceKind)
  kind!: SourceKind;

  @Field(() => String)
  fileName!: string;

  @Field(() => Date, { nullable: true })
  createdAt!: Date | null;

  @Field(() => Boolean)
  encrypted!: boolean;

  @Field(() => String, { nullable: true })
  keyId!: string | null;

  @Field(() => ByteCount)
  size!: Int64;

  readonly backupUuid!: string | null;
}

@ObjectType('PlanCheck', { description: 'A failed check that is blocking stops restoreStart.' })
export class PlanCheckModel {
  @Field(() => String)
  key!: string;

  @Field(() => Boolean)
  ok!: boolean;

  @Field(() => Boolean)
  blocking!: boolean;

  @Field(() => String)
  message!: string;

  @Field(() => String, { nullable: true })
  hint!: string | null;
}

@ObjectType('CollectionDiff')
export class CollectionDiffModel {
  @Field(() => String)
  name!: string;

  @Field(() => String)
  kind!: string;

  @Field(() => CollectionStatModel, { nullable: true })
  live!: CollectionStatModel | null;

  @Field(() => CollectionStatModel, { nullable: true })
  archive!: CollectionStatModel | null;

  @Field(() => DiffKind)
  change!: DiffKind;

  @Field(() => [String])
  indexesChanged!: string[];

  @Field(() => [String])
  optionsChanged!: string[];
}

@ObjectType('Estimate', { description: 'A guess from sizes; the run itself tells more.' })
export class EstimateModel {
  @Field(() => Int)
  durationMs!: number;

  @Field(() => Int, { description: 'How long the workspace is in maintenance, the wait for the product included.' })
  downtimeMs!: number;

  @Field(() => Int, { description: "How much of it is the longest wait for the product's word that its users are out; it is shorter when that comes sooner." })
  acknowledgementMs!: number;

  @Field(() => ByteCount, { description: 'Bytes to be staged.' })
  bytes!: Int64;
}

@ObjectType('ExpiringCollection', { description: 'A collection of the archive that deletes documents by age: by a TTL index or by its own option.' })
export class ExpiringCollectionModel {
  @Field(() => String)
  name!: string;

  @Field(() => Count, { nullable: true, description: 'How many documents of the archive are past their time already: they expire within minutes of the restore. Null where that was not counted (ask with fullRead) or cannot be told from the documents alone (time series, partial indexes).' })
  documents!: Int64 | null;
}

@ObjectType('RestorePlan', { implements: () => [Node] })
export class RestorePlanModel implements Node {
  readonly __typename = 'RestorePlan';

  @Field(() => ID)
  id!: string;

  @Field(() => RestoreSourceModel)
  source!: RestoreSourceModel;

  @Field(() => RestoreMode)
  mode!: RestoreMode;

  @Field(() => Cutover)
  cutover!: Cutover;

  @Field(() => [String], { nullable: true, description: 'The restore touches these collections alone; null: the whole database.' })
  collections!: string[] | null;

  @Field(() => MergeConflict, { nullable: true, description: 'Of a MERGE.' })
  conflict!: MergeConflict | null;

  @Field(() => Boolean, { description: 'A MERGE leaves out documents whose unique keys are taken; otherwise it is refused if there are any.' })
  skipClashes!: boolean;

  @Field(() => String, { nullable: true, description: 'The new database that is restored into; null: in place.' })
  newDatabase!: string | null;

  @Field(() => [PlanCheckModel])
  checks!: PlanCheckModel[];

  @Field(() => [CollectionDiffModel])
  changes!: CollectionDiffModel[];

  @Field(() => Date, { nullable: true, description: 'What was written after this time is not in the archive.' })
  dataLossSince!: Date | null;

  @Field(() => [ExpiringCollectionModel], { nullable: true, description: "Null when the archive's definitions could not be read." })
  expiring!: ExpiringCollectionModel[] | null;

  @Field(() => EstimateModel, { nullable: true })
  estimate!: EstimateModel | null;

  @Field(() => String, { description: 'What restoreStart wants to have typed.' })
  confirmName!: string;

  @Field(() => Date)
  expiresAt!: Date;

  readonly tenantId!: string;
}

export function toRestorePlanModel(row: RestorePlanEntity): RestorePlanModel {
  return {
    __typename: 'RestorePlan',
    id: toGlobalId('RestorePlan', row.id),
    tenantId: row.tenantId,
    source: toSourceModel(row.bound.source),
    mode: row.mode,
    cutover: row.bound.repoint === undefined ? 'SWAP' : 'REPOINT',
    collections: row.bound.choice.collections && [...row.bound.choice.collections],
    conflict: row.bound.choice.merge?.conflict ?? null,
    skipClashes: row.bound.choice.merge?.skipClashes ?? false,
    newDatabase: (row.bound.copy ?? row.bound.repoint)?.database ?? null,
    checks: row.checks.map((check) => ({ ...check })),
    changes: row.changes.map((change) => ({
      ...change,
      live: change.live && { ...change.live },
      archive: change.archive && { ...change.archive },
      indexesChanged: [...change.indexesChanged],
      optionsChanged: [...change.optionsChanged],
    })),
    dataLossSince: row.dataLossSince,
    expiring: row.expiring && row.expiring.map((one) => ({ ...one })),
    estimate: row.estimate && { ...row.estimate, acknowledgementMs: row.estimate.acknowledgementMs ?? 0 },
    confirmName: row.bound.tenantName,
    expiresAt: row.expiresAt,
  };
}

function toSourceModel(source: SourceRef): RestoreSourceModel {
  return {
    kind: source.kind,
    fileName: source.fileName,
    createdAt: source.createdAt === null ? null : new Date(source.createdAt),
    encrypted: source.keyId !== null,
    keyId: source.keyId,
    size: source.sizeBytes,
    backupUuid: source.kind === 'BACKUP' ? source.backupId : null,
  };
}
