import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { BackupScope } from '../backups/backup.entity.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import type { Cadence } from '../policies/policy-enums.js';
import type { RetentionRule } from '../policies/retention-rule.js';
import type { Recurrence } from './occurrences.js';

/** Another cadence for a while; it falls back by itself. */
export interface Bump {
  readonly cadence: Cadence;
  /** ISO 8601. */
  readonly until: string;
}

@Entity('schedule')
export class ScheduleEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('text') name!: string;
  @Column('text', { nullable: true }) description!: string | null;
  @Column('boolean') active!: boolean;
  @Column('text') cadence!: Cadence;
  @Column('text', { name: 'at_time', nullable: true }) atTime!: string | null;
  @Column('text', { name: 'time_zone' }) timeZone!: string;
  @Column('text', { nullable: true }) cron!: string | null;
  @Column('text') scope!: BackupScope;
  /** Null: the policy's. */
  @Column('jsonb', { nullable: true }) retention!: RetentionRule | null;
  @Column('jsonb', { nullable: true }) bump!: Bump | null;
  @Column('timestamptz') anchor!: Date;
  /** Nominal, as people see it. */
  @Column('timestamptz', { name: 'next_run_at', nullable: true }) nextRunAt!: Date | null;
  /** When it is really started. */
  @Column('timestamptz', { name: 'due_at', nullable: true }) dueAt!: Date | null;
  @Column('timestamptz', { name: 'last_due_at', nullable: true }) lastDueAt!: Date | null;
  @Column('jsonb', { name: 'created_by', nullable: true }) createdBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
}

/** What says how its backups are labelled and how long they are kept: a tenant's schedules are looked at with every list of backups. */
export type ScheduleOutline = Pick<ScheduleEntity, 'id' | 'name' | 'cadence' | 'bump' | 'retention'>;

/** As it is at a moment: with its bump, while that lasts. */
export function cadenceAt({ cadence, bump }: Pick<ScheduleEntity, 'cadence' | 'bump'>, at: Date): Cadence {
  return bump !== null && at < new Date(bump.until) ? bump.cadence : cadence;
}

export function recurrenceAt(schedule: ScheduleEntity, at: Date): Recurrence {
  const { atTime, timeZone, cron, anchor } = schedule;
  return { cadence: cadenceAt(schedule, at), atTime, timeZone, cron, anchor };
}
