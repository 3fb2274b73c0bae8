import { Field, ID, ObjectType } from '@nestjs/graphql';
import { BackupScope } from '../backups/backup.entity.js';
import { Cadence } from '../policies/policy-enums.js';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import { labelOf } from './occurrences.js';
import { cadenceAt, type ScheduleEntity } from './schedule.entity.js';

@ObjectType('ScheduleBump', { description: 'Another cadence for a while; it falls back by itself.' })
export class ScheduleBumpModel {
  @Field(() => Cadence)
  cadence!: Cadence;

  @Field(() => Date)
  until!: Date;
}

@ObjectType('Schedule', { implements: () => [Node], description: 'Backups that are taken by themselves.' })
export class ScheduleModel implements Node {
  readonly __typename = 'Schedule';

  /** For field resolvers; not part of the schema. */
  row!: ScheduleEntity;

  @Field(() => ID)
  id!: string;

  @Field(() => String)
  name!: string;

  @Field(() => String, { nullable: true })
  description!: string | null;

  @Field(() => Boolean)
  active!: boolean;

  @Field(() => Cadence)
  cadence!: Cadence;

  @Field(() => String, { nullable: true, description: 'HH:MM on the clock of its time zone; null for CRON.' })
  atTime!: string | null;

  @Field(() => String, { description: 'IANA time zone.' })
  timeZone!: string;

  @Field(() => String, { nullable: true })
  cron!: string | null;

  @Field(() => String, { description: 'What its backups are labelled now.' })
  label!: string;

  @Field(() => BackupScope)
  scope!: BackupScope;

  @Field(() => ScheduleBumpModel, { nullable: true })
  bump!: ScheduleBumpModel | null;

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  createdBy!: ActorModel | null;
}

@ObjectType()
export class ScheduleConnection extends Paginated('Schedule', () => ScheduleModel) {}

export function toScheduleModel(row: ScheduleEntity): ScheduleModel {
  const { id, name, description, active, cadence, atTime, timeZone, cron, scope, bump, createdAt } = row;
  const now = new Date();
  const lasting = bump !== null && now < new Date(bump.until) ? { cadence: bump.cadence, until: new Date(bump.until) } : null;
  return {
    __typename: 'Schedule', row, id: toGlobalId('Schedule', id), name, description, active, cadence, atTime, timeZone, cron, label: labelOf(cadenceAt(row, now), name), scope, bump: lasting, createdAt, createdBy: toActorModel(row.createdBy),
  };
}
