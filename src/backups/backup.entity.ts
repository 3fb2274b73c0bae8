import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn, type ValueTransformer } from 'typeorm';
import type { OperationFailure } from '../operations/operation-handler.js';
import type { ActorStamp } from '../platform/auth/actor.js';

export const BackupState = { QUEUED: 'QUEUED', RUNNING: 'RUNNING', COMPLETED: 'COMPLETED', FAILED: 'FAILED', CANCELED: 'CANCELED', DELETED: 'DELETED', MISSING: 'MISSING' } as const;
export type BackupState = keyof typeof BackupState;
registerEnumType(BackupState, { name: 'BackupState' });

export const BackupTrigger = { MANUAL: 'MANUAL', SCHEDULE: 'SCHEDULE', CRON: 'CRON', SAFETY: 'SAFETY', IMPORT: 'IMPORT' } as const;
export type BackupTrigger = keyof typeof BackupTrigger;
registerEnumType(BackupTrigger, { name: 'BackupTrigger' });

export const BackupScope = { ALL: 'ALL', TRANSACTIONS: 'TRANSACTIONS', MASTER: 'MASTER' } as const;
export type BackupScope = keyof typeof BackupScope;
registerEnumType(BackupScope, { name: 'BackupScope' });

export const Codec = { NONE: 'NONE', GZIP: 'GZIP', ZSTD: 'ZSTD' } as const;
export type Codec = keyof typeof Codec;
registerEnumType(Codec, { name: 'Codec' });

export const Consistency = { SNAPSHOT: 'SNAPSHOT', FUZZY: 'FUZZY' } as const;
export type Consistency = keyof typeof Consistency;
registerEnumType(Consistency, { name: 'Consistency' });


/** One namespace of the archive, as the manifest counts it. */
export interface ContentRow {
  readonly name: string;
  readonly kind: 'collection' | 'view' | 'timeseries';
  readonly documents: number;
  readonly bytes: number;
  readonly indexes: number;
}

/** What the last READ_BACK or VERIFY of the stored file found. */
export interface VerificationRow {
  readonly at: string;
  readonly ok: boolean;
  readonly code: string | null;
  readonly message: string;
  /** Of the file that was read; absent where it was not whole, and in older rows. */
  readonly sha256?: string;
}

// PostgreSQL's bigint arrives as text; all of ours stay below 2^53.
const int64: ValueTransformer = {
  from: (value: string | null) => (value === null ? null : Number(value)),
  to: (value: number | null) => value,
};

@Entity('backup')
export class BackupEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('uuid', { name: 'operation_id', nullable: true }) operationId!: string | null;
  /** Of the schedule that it was taken by, which may be gone. */
  @Column('uuid', { name: 'schedule_id', nullable: true }) scheduleId!: string | null;
  @Column('text') name!: string;
  @Column('text', { nullable: true }) description!: string | null;
  @Column('text', { nullable: true }) notes!: string | null;
  @Column('text') label!: string;
  @Column('text') trigger!: BackupTrigger;
  @Column('text') scope!: BackupScope;
  @Column('text') codec!: Codec;
  @Column('text') state!: BackupState;
  @Column('text', { name: 'store_key', nullable: true }) storeKey!: string | null;
  @Column('text', { name: 'file_name', nullable: true }) fileName!: string | null;
  @Column('boolean') encrypted!: boolean;
  @Column('text', { name: 'key_id', nullable: true }) keyId!: string | null;
  @Column('bytea', { nullable: true }) salt!: Buffer | null;
  @Column('text', { nullable: true }) sha256!: string | null;
  /** Of the manifest beside an archive of ours that is not encrypted. */
  @Column('text', { name: 'manifest_sha256', nullable: true }) manifestSha256!: string | null;
  @Column('bigint', { name: 'size_bytes', nullable: true, transformer: int64 }) sizeBytes!: number | null;
  @Column('bigint', { name: 'raw_size_bytes', nullable: true, transformer: int64 }) rawSizeBytes!: number | null;
  @Column('bigint', { nullable: true, transformer: int64 }) documents!: number | null;
  @Column('jsonb') contents!: readonly ContentRow[];
  /** Of a backup of these collections alone, whether they existed or not; null: of the whole database. */
  @Column('jsonb', { nullable: true }) collections!: readonly string[] | null;
  @Column('text', { nullable: true }) consistency!: Consistency | null;
  @Column('text', { name: 'cluster_time', nullable: true }) clusterTime!: string | null;
  @Column('text', { name: 'engine_version', nullable: true }) engineVersion!: string | null;
  /** Of an imported archive: the backup that its header names, the tenant whose keys open it, and when it was taken, where the file tells. */
  @Column('text', { name: 'archive_id', nullable: true }) archiveId!: string | null;
  @Column('uuid', { name: 'key_tenant_id', nullable: true }) keyTenantId!: string | null;
  @Column('timestamptz', { name: 'taken_at', nullable: true }) takenAt!: Date | null;
  @Column('boolean') pinned!: boolean;
  @Column('boolean') held!: boolean;
  @Column('timestamptz', { name: 'expires_at', nullable: true }) expiresAt!: Date | null;
  @Column('jsonb', { nullable: true }) verification!: VerificationRow | null;
  @Column('jsonb', { nullable: true }) failure!: OperationFailure | null;
  @Column('jsonb', { name: 'created_by', nullable: true }) createdBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'finished_at', nullable: true }) finishedAt!: Date | null;
  /** Set when deletion begins, before the bytes go: from then on the backup is not usable. */
  @Column('timestamptz', { name: 'deleted_at', nullable: true }) deletedAt!: Date | null;
  /** It came to nothing, but the store would not let its bytes go yet. */
  @Column('boolean', { name: 'bytes_left' }) bytesLeft!: boolean;
  /** Why a store did not let the bytes go when they were last to be deleted, and until when, where a lock is the reason and has an end. */
  @Column('jsonb', { name: 'removal_failure', nullable: true }) removalFailure!: OperationFailure | null;
  @Column('timestamptz', { name: 'locked_until', nullable: true }) lockedUntil!: Date | null;
}

/** Every byte of the file with this hash was read and found right: hash, tags, counts and sums. */
export function readWhole(sha256: string, message: string, at = new Date().toISOString()): VerificationRow {
  return { at, ok: true, code: null, message, sha256 };
}

/** Whether `readWhole` was said last, and of a file with this hash. */
export function wasReadWhole({ verification }: BackupEntity, sha256: string): boolean {
  return verification?.ok === true && verification.sha256 === sha256;
}

/** COMPLETED with its bytes in place. */
export function isUsable(backup: BackupEntity): boolean {
  return backup.state === 'COMPLETED' && backup.deletedAt === null;
}
