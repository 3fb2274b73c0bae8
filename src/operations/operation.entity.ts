import { Column, Entity, PrimaryColumn, type ValueTransformer } from 'typeorm';
import type { JsonObject, OperationFailure, OperationKind, OperationState } from './operation-handler.js';

export interface OperationStep {
  readonly phase: string;
  readonly state: OperationState;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

export interface OperationProgress {
  readonly percent: number | null;
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  readonly itemsDone: number;
  readonly itemsTotal: number | null;
  readonly current: string | null;
  readonly etaMs: number | null;
}

// PostgreSQL's bigint arrives as text; a token counts take-overs and stays far below 2^53.
const wholeNumber: ValueTransformer = { from: (value: string) => Number(value), to: (value: number) => value };

/** What people and lists see of an operation. Written by `OperationsRepository` and, under a lease, by `LeasedOperationRepository`; by nothing else. */
@Entity('operation')
export class OperationEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('text') kind!: OperationKind;
  @Column('text') state!: OperationState;
  @Column('boolean') exclusive!: boolean;
  @Column('text') phase!: string;
  @Column('jsonb') steps!: readonly OperationStep[];
  @Column('jsonb') progress!: OperationProgress;
  @Column('integer') revision!: number;
  /** Without what grows with the collections of the database, which `WholeOperationEntity` has. */
  @Column('jsonb', { name: 'input_outline' }) inputOutline!: JsonObject;
  @Column('jsonb', { name: 'journal_outline' }) journalOutline!: JsonObject;
  @Column('boolean') committed!: boolean;
  @Column('timestamptz', { name: 'cancel_requested_at', nullable: true }) cancelRequestedAt!: Date | null;
  @Column('timestamptz') deadline!: Date;
  @Column('text', { name: 'lease_owner', nullable: true }) leaseOwner!: string | null;
  @Column('timestamptz', { name: 'lease_until', nullable: true }) leaseUntil!: Date | null;
  @Column('bigint', { name: 'fencing_token', transformer: wholeNumber }) fencingToken!: number;
  @Column('integer') recoveries!: number;
  @Column('jsonb', { nullable: true }) failure!: OperationFailure | null;
  @Column('jsonb', { nullable: true }) result!: JsonObject | null;
  @Column('jsonb', { name: 'started_by', nullable: true }) startedBy!: JsonObject | null;
  @Column('uuid', { name: 'backup_id', nullable: true }) backupId!: string | null;
  @Column('uuid', { name: 'plan_id', nullable: true }) planId!: string | null;
  /** Of the request that started it, in the form of the W3C header. */
  @Column('text', { name: 'trace_parent', nullable: true }) traceParent!: string | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'started_at', nullable: true }) startedAt!: Date | null;
  @Column('timestamptz', { name: 'finished_at', nullable: true }) finishedAt!: Date | null;
  @Column('timestamptz', { name: 'settled_at', nullable: true }) settledAt!: Date | null;
}

/** With all that its work is given and leaves: megabytes with thousands of collections, so for those alone who do the work or build on it. */
@Entity('operation')
export class WholeOperationEntity extends OperationEntity {
  @Column('jsonb') input!: JsonObject;
  @Column('jsonb') journal!: JsonObject;
}

export type FinalState = 'COMPLETED' | 'FAILED' | 'CANCELED';

export function isFinal(state: OperationState): state is FinalState {
  return state !== 'QUEUED' && state !== 'RUNNING';
}
