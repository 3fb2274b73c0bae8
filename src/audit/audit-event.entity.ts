import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';

export type AuditOutcome = 'OK' | 'REFUSED' | 'FAILED';

/** The database refuses to change a row of this table, and to delete one before its time. */
@Entity('audit_event')
export class AuditEventEntity {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('uuid', { name: 'tenant_id', nullable: true })
  tenantId!: string | null;

  @Column('timestamptz')
  at!: Date;

  @Column('text')
  action!: string;

  @Column('text')
  outcome!: AuditOutcome;

  @Column('jsonb', { nullable: true })
  actor!: ActorStamp | null;

  @Column('text', { nullable: true })
  address!: string | null;

  @Column('text', { name: 'subject_type', nullable: true })
  subjectType!: string | null;

  @Column('text', { name: 'subject_id', nullable: true })
  subjectId!: string | null;

  @Column('jsonb')
  detail!: Record<string, string | number | boolean | null>;

  /** Its place in the chain, from 1. The database sets this and the hash when the transaction is committed. */
  @Column({ type: 'bigint', insert: false, update: false, transformer: { from: Number, to: (value: number) => value } })
  sequence!: number;

  /** SHA-256 over this event and the hash of the one before it. */
  @Column({ type: 'bytea', insert: false, update: false })
  hash!: Buffer;
}
