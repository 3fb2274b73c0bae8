import { Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { ByteCount } from '../platform/graphql/scalars.js';
import { type HistoryKind, historyKinds, type HistoryRow, type HistoryState, historyStates } from './history-row.js';

export const HistoryKinds = Object.fromEntries(historyKinds.map((kind) => [kind, kind])) as Readonly<Record<HistoryKind, HistoryKind>>;
registerEnumType(HistoryKinds, { name: 'HistoryKind' });

export const HistoryStates = Object.fromEntries(historyStates.map((state) => [state, state])) as Readonly<Record<HistoryState, HistoryState>>;
registerEnumType(HistoryStates, {
  name: 'HistoryState',
  valuesMap: { DELETED: { description: 'A backup that was deleted since; the deletion is an entry of its own.' }, MISSING: { description: 'A backup whose bytes are gone from the store.' } },
});

@ObjectType('HistoryEntry', { description: 'A backup, restore, upload, deletion or other work of a workspace, as a line of its log.' })
export class HistoryEntryModel {
  @Field(() => Date)
  at!: Date;

  @Field(() => Date, { nullable: true })
  finishedAt!: Date | null;

  @Field(() => HistoryKinds)
  kind!: HistoryKind;

  @Field(() => HistoryStates)
  state!: HistoryState;

  @Field(() => String, { nullable: true, description: 'Of the backup or the file that was worked on.' })
  name!: string | null;

  @Field(() => String, { nullable: true })
  label!: string | null;

  @Field(() => String, { nullable: true })
  fileName!: string | null;

  @Field(() => ByteCount, { nullable: true })
  size!: string | null;

  @Field(() => String, { nullable: true })
  notes!: string | null;

  @Field(() => ActorModel, { nullable: true, description: 'Who did it; null: Holdfast itself.' })
  user!: ActorModel | null;

  @Field(() => String, { nullable: true })
  failureCode!: string | null;

  @Field(() => String, { nullable: true })
  failureMessage!: string | null;

  @Field(() => ID, { nullable: true })
  operationId!: string | null;

  @Field(() => ID, { nullable: true })
  backupId!: string | null;
}

@ObjectType()
export class HistoryConnection extends Paginated('HistoryEntry', () => HistoryEntryModel) {}

export function toHistoryEntryModel(row: HistoryRow): HistoryEntryModel {
  const { at, finishedAt, kind, state, name, label, fileName, sizeBytes, notes, actor, failure, operationId, backupId } = row;
  return {
    at,
    finishedAt,
    kind,
    state,
    name,
    label,
    fileName,
    size: sizeBytes,
    notes,
    user: toActorModel(actor),
    failureCode: failure?.code ?? null,
    failureMessage: failure?.message ?? null,
    operationId: operationId === null ? null : toGlobalId('Operation', operationId),
    backupId: backupId === null ? null : toGlobalId('Backup', backupId),
  };
}
