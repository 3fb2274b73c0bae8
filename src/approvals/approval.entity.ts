import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';
import type { ApprovalAction } from '../policies/policy-enums.js';

/** As it is stored; what has expired is told by the time. */
export type StoredApprovalState = 'REQUESTED' | 'APPROVED' | 'REJECTED' | 'USED';

@Entity('approval')
export class ApprovalEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('text') action!: ApprovalAction;
  @Column('text', { name: 'subject_type' }) subjectType!: string;
  @Column('uuid', { name: 'subject_id' }) subjectId!: string;
  @Column('text') summary!: string;
  @Column('bytea', { name: 'bound_hash' }) boundHash!: Buffer;
  @Column('text', { nullable: true }) note!: string | null;
  @Column('text') state!: StoredApprovalState;
  @Column('jsonb', { name: 'requested_by' }) requestedBy!: ActorStamp;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
  @Column('jsonb', { name: 'decided_by', nullable: true }) decidedBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'decided_at', nullable: true }) decidedAt!: Date | null;
  @Column('text', { name: 'decision_note', nullable: true }) decisionNote!: string | null;
  @Column('timestamptz', { name: 'used_at', nullable: true }) usedAt!: Date | null;
}
