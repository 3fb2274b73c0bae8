import { Field, ID, Int, ObjectType } from '@nestjs/graphql';
import { ClassRowModel } from '../classes/class.model.js';
import { registerOperationResult } from '../operations/operation-result.js';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import { Count, type Int64 } from '../platform/graphql/scalars.js';
import { ChannelKind, confirmText, openStates, type ResetEntity, ResetReason, ResetState } from './reset.entity.js';

@ObjectType('ResetCounter', { description: 'A collection whose counters start anew.' })
export class ResetCounterModel {
  @Field(() => String)
  name!: string;

  @Field(() => String)
  field!: string;

  @Field(() => Int)
  resetTo!: number;

  @Field(() => Count)
  documents!: Int64;
}

@ObjectType('ChecklistItem', { description: 'What people see to before a reset.' })
export class ChecklistItemModel {
  @Field(() => String)
  key!: string;

  @Field(() => String)
  text!: string;

  @Field(() => Boolean, { description: 'Only where Holdfast itself knows that it is done.' })
  checked!: boolean;

  @Field(() => String, { nullable: true })
  hint!: string | null;
}

@ObjectType('ResetChannel')
export class ResetChannelModel {
  @Field(() => ChannelKind)
  kind!: ChannelKind;

  @Field(() => String, { nullable: true, description: 'Of the person who began the reset; null: not known.' })
  maskedAddress!: string | null;

  @Field(() => Boolean, { description: 'Whether the policy asks for this channel.' })
  required!: boolean;

  @Field(() => Date, { nullable: true })
  sentAt!: Date | null;

  @Field(() => Date, { nullable: true, description: 'When another code may be sent; null: now.' })
  resendAt!: Date | null;

  @Field(() => Date, { nullable: true, description: 'Of the newest code.' })
  expiresAt!: Date | null;

  @Field(() => Int, { description: 'Of the whole reset: the channels share them.' })
  attemptsLeft!: number;

  @Field(() => Date, { nullable: true })
  verifiedAt!: Date | null;

  @Field(() => String, { nullable: true, description: 'Why the channel cannot be used, or why the last code was not delivered.' })
  error!: string | null;
}

@ObjectType('Reset', { implements: () => [Node], description: 'A reset on its way: a reloaded page finds its step again.' })
export class ResetModel implements Node {
  readonly __typename = 'Reset';

  /** For the field resolvers; not part of the schema. */
  row!: ResetEntity;

  @Field(() => ID)
  id!: string;

  @Field(() => ResetState)
  state!: ResetState;

  @Field(() => ResetReason)
  reason!: ResetReason;

  @Field(() => [ClassRowModel], { description: 'Emptied; indexes, options and validators stay.' })
  wiped!: ClassRowModel[];

  @Field(() => [ClassRowModel], { description: 'Left as they are, byte for byte.' })
  preserved!: ClassRowModel[];

  @Field(() => [ClassRowModel], { description: 'No rule says what they hold: left as they are.' })
  undecided!: ClassRowModel[];

  @Field(() => [ResetCounterModel])
  counters!: ResetCounterModel[];

  @Field(() => String, { description: 'What has to be typed.' })
  confirmText!: string;

  @Field(() => ActorModel, { nullable: true })
  begunBy!: ActorModel | null;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => Date, { description: 'It has to be confirmed before.' })
  expiresAt!: Date;
}

@ObjectType('WipedCollection')
export class WipedCollectionModel {
  @Field(() => String)
  name!: string;

  @Field(() => Count, { description: 'That are in the safety backup alone now.' })
  documents!: Int64;
}

@ObjectType('CounterReset')
export class CounterResetModel {
  @Field(() => String)
  name!: string;

  @Field(() => String)
  field!: string;

  @Field(() => Int)
  resetTo!: number;
}

@ObjectType('ResetResult')
export class ResetResultModel {
  @Field(() => String, { description: 'For people.' })
  message!: string;

  @Field(() => [WipedCollectionModel])
  wiped!: WipedCollectionModel[];

  @Field(() => [CounterResetModel])
  counters!: CounterResetModel[];

  @Field(() => [String])
  warnings!: string[];
}

registerOperationResult('ResetResult', ResetResultModel);

export function toResetModel(row: ResetEntity): ResetModel {
  const { wiped, preserved, undecided, counters } = row.lists;
  const isOver = openStates.includes(row.state) && row.expiresAt.getTime() <= Date.now();
  return {
    __typename: 'Reset',
    row,
    id: toGlobalId('Reset', row.id),
    state: isOver ? 'EXPIRED' : row.state,
    reason: row.reason,
    wiped: [...wiped],
    preserved: [...preserved],
    undecided: [...undecided],
    counters: counters.map((counter) => ({ ...counter })),
    confirmText,
    begunBy: toActorModel(row.begunBy),
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
  };
}
