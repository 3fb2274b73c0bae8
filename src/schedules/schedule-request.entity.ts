import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';
import type { Cadence } from '../policies/policy-enums.js';

export const ScheduleRequestState = { OPEN: 'OPEN', ACCEPTED: 'ACCEPTED', DECLINED: 'DECLINED' } as const;
export type ScheduleRequestState = keyof typeof ScheduleRequestState;
registerEnumType(ScheduleRequestState, { name: 'ScheduleRequestState' });

/** A workspace's wish for another schedule, and what the provider answered. */
@Entity('schedule_request')
export class ScheduleRequestEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('text') cadence!: Cadence;
  @Column('timestamptz', { nullable: true }) until!: Date | null;
  @Column('text') reason!: string;
  @Column('text') state!: ScheduleRequestState;
  @Column('text', { nullable: true }) note!: string | null;
  @Column('jsonb', { name: 'created_by', nullable: true }) createdBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('jsonb', { name: 'decided_by', nullable: true }) decidedBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'decided_at', nullable: true }) decidedAt!: Date | null;
}
