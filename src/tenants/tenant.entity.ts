import type { EngineName } from '#engines';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';

/** A column that the driver reads as text because it may pass 2^53. */
const bigintAsBigint = {
  from: (value: string | null) => (value === null ? null : BigInt(value)),
  to: (value: bigint | null | undefined) => value?.toString() ?? value,
};

/** Never returned by a resolver: it holds the sealed connection string. */
@Entity('tenant')
export class TenantEntity {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('text')
  slug!: string;

  @Column('text')
  name!: string;

  @Column('text')
  environment!: 'SANDBOX' | 'PRODUCTION';

  @Column('text')
  engine!: EngineName;

  @Column('text', { name: 'time_zone' })
  timeZone!: string;

  @Column('bytea', { name: 'target_cipher' })
  targetCipher!: Buffer;

  /** Names the server wherever it is reached from; unique together with `targetDatabase`. */
  @Column('text', { name: 'target_deployment' })
  targetDeployment!: string;

  @Column('text', { name: 'target_database' })
  targetDatabase!: string;

  /** Grows with each change of the target; restore plans bind it. */
  @Column('integer', { name: 'target_revision' })
  targetRevision!: number;

  @Column('jsonb')
  policy!: Record<string, unknown>;

  @Column('bigint', { name: 'quota_bytes', nullable: true, transformer: bigintAsBigint })
  quotaBytes!: bigint | null;

  /** Null: the process's own limit, if it has one. */
  @Column('bigint', { name: 'max_bytes_per_second', nullable: true, transformer: bigintAsBigint })
  maxBytesPerSecond!: bigint | null;

  @Column('timestamptz', { name: 'suspended_at', nullable: true })
  suspendedAt!: Date | null;

  @Column('timestamptz', { name: 'resumed_at', nullable: true })
  resumedAt!: Date | null;

  @Column('timestamptz', { name: 'deletion_asked_at', nullable: true })
  deletionAskedAt!: Date | null;

  @Column('jsonb', { name: 'deletion_asked_by', nullable: true })
  deletionAskedBy!: ActorStamp | null;

  /** Until then it can be taken back. */
  @Column('timestamptz', { name: 'deletion_due_at', nullable: true })
  deletionDueAt!: Date | null;

  /** Its deletion suspended it: taking that back resumes it. */
  @Column('boolean', { name: 'suspended_by_deletion' })
  suspendedByDeletion!: boolean;

  /** From here on its archives go. */
  @Column('timestamptz', { name: 'deletion_begun_at', nullable: true })
  deletionBegunAt!: Date | null;

  /** Nothing is left of it but its history. */
  @Column('timestamptz', { name: 'deleted_at', nullable: true })
  deletedAt!: Date | null;

  @Column('timestamptz', { name: 'maintenance_since', nullable: true })
  maintenanceSince!: Date | null;

  @Column('text', { name: 'maintenance_message', nullable: true })
  maintenanceMessage!: string | null;

  @Column('uuid', { name: 'maintenance_operation_id', nullable: true })
  maintenanceOperationId!: string | null;

  @Column('timestamptz', { name: 'maintenance_acknowledged_at', nullable: true })
  maintenanceAcknowledgedAt!: Date | null;

  /** Grows with each maintenance: the product ends the sessions of an earlier epoch. */
  @Column('integer', { name: 'session_epoch' })
  sessionEpoch!: number;

  /** When the server lost a snapshot half-way through a backup. */
  @Column('timestamptz', { name: 'snapshot_lost_at', nullable: true })
  snapshotLostAt!: Date | null;

  @Column('timestamptz', { name: 'proven_restorable_at', nullable: true })
  provenRestorableAt!: Date | null;

  /** Grows with each change that subscribers see. */
  @Column('integer')
  revision!: number;

  @Column('timestamptz', { name: 'created_at' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'updated_at' })
  updatedAt!: Date;
}
