import { Field, Float, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import { ByteCount } from '../platform/graphql/scalars.js';
import { FailureModel, toFailureModel } from './failure.model.js';
import { type OperationKind, operationKinds, type OperationState, operationStates } from './operation-handler.js';
import { OperationResult, type OperationResultValue, toOperationResult } from './operation-result.js';
import type { OperationEntity } from './operation.entity.js';
import { whyNotCancelable } from './operations.service.js';

const enumOf = <Name extends string>(names: readonly Name[]) => Object.fromEntries(names.map((name) => [name, name])) as Readonly<Record<Name, Name>>;

export const OperationKinds = enumOf(operationKinds);
export const OperationStates = enumOf(operationStates);
export const LogLevels = enumOf(['INFO', 'WARN', 'ERROR'] as const);
registerEnumType(OperationKinds, { name: 'OperationKind' });
registerEnumType(OperationStates, { name: 'OperationState' });
registerEnumType(LogLevels, { name: 'LogLevel' });

@ObjectType('Step')
export class StepModel {
  @Field(() => String)
  phase!: string;

  @Field(() => OperationStates)
  state!: OperationState;

  @Field(() => Date, { nullable: true })
  startedAt!: Date | null;

  @Field(() => Date, { nullable: true })
  finishedAt!: Date | null;
}

@ObjectType('Progress', { description: 'Bytes and items are those of the running phase, the percent that of the whole operation.' })
export class ProgressModel {
  @Field(() => Float, { nullable: true, description: 'Only grows; null while it is not known, 100 when the operation is COMPLETED.' })
  percent!: number | null;

  @Field(() => ByteCount)
  bytesDone!: number;

  @Field(() => ByteCount, { nullable: true })
  bytesTotal!: number | null;

  @Field(() => Int)
  itemsDone!: number;

  @Field(() => Int, { nullable: true })
  itemsTotal!: number | null;

  @Field(() => String, { nullable: true, description: 'What is being worked on, the name of a collection for example.' })
  current!: string | null;

  @Field(() => Int, { nullable: true, description: 'Milliseconds that are left, by the speed so far.' })
  etaMs!: number | null;
}

@ObjectType('LogLine')
export class LogLineModel {
  @Field(() => Date)
  at!: Date;

  @Field(() => LogLevels)
  level!: 'INFO' | 'WARN' | 'ERROR';

  @Field(() => String)
  message!: string;
}

@ObjectType('Operation', { implements: () => [Node], description: 'Long work: its state is the truth, its revision grows with every change.' })
export class OperationModel implements Node {
  readonly __typename = 'Operation';

  /** For the field resolvers of this and other features; not part of the schema. */
  row!: OperationEntity;

  @Field(() => ID)
  id!: string;

  @Field(() => OperationKinds)
  kind!: OperationKind;

  @Field(() => OperationStates)
  state!: OperationState;

  @Field(() => String, { description: 'The running or last phase; QUEUED before the first.' })
  phase!: string;

  @Field(() => [StepModel])
  steps!: StepModel[];

  @Field(() => Int)
  revision!: number;

  @Field(() => ProgressModel)
  progress!: ProgressModel;

  @Field(() => ActorModel, { nullable: true })
  startedBy!: ActorModel | null;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => Date, { nullable: true })
  startedAt!: Date | null;

  @Field(() => Date, { nullable: true })
  finishedAt!: Date | null;

  @Field(() => FailureModel, { nullable: true })
  failure!: FailureModel | null;

  @Field(() => OperationResult, { nullable: true })
  result!: OperationResultValue | null;

  @Field(() => Boolean, { description: 'Whether operationCancel would be accepted now from somebody with the permission.' })
  cancelable!: boolean;
}

@ObjectType()
export class OperationConnection extends Paginated('Operation', () => OperationModel) {}

const dateOrNull = (text: string | null) => (text === null ? null : new Date(text));

/** GraphQL's Int ends at 2^31. */
const int = (value: number) => Math.min(value, 2 ** 31 - 1);

export function toOperationModel(row: OperationEntity): OperationModel {
  const { percent, bytesDone, bytesTotal, itemsDone, itemsTotal, current, etaMs } = row.progress;
  return {
    __typename: 'Operation',
    row,
    id: toGlobalId('Operation', row.id),
    kind: row.kind,
    state: row.state,
    phase: row.phase,
    steps: row.steps.map(({ phase, state, startedAt, finishedAt }) => ({ phase, state, startedAt: dateOrNull(startedAt), finishedAt: dateOrNull(finishedAt) })),
    revision: row.revision,
    progress: { percent, bytesDone, bytesTotal, itemsDone: int(itemsDone), itemsTotal: itemsTotal === null ? null : int(itemsTotal), current, etaMs: etaMs === null ? null : int(etaMs) },
    startedBy: toActorModel(row.startedBy),
    createdAt: row.createdAt,
    startedAt: row.startedAt,
    finishedAt: row.finishedAt,
    failure: row.failure === null ? null : toFailureModel(row.failure),
    result: toOperationResult(row.result),
    cancelable: whyNotCancelable(row) === null && row.cancelRequestedAt === null,
  };
}
