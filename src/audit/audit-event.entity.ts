import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';

export const auditOutcomes = ['OK', 'REFUSED', 'FAILED'] as const;
export type AuditOutcome = (typeof auditOutcomes)[number];

/** The database refuses to change or delete a row of this table. */
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
}
