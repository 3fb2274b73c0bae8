import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ArchiveFacts } from '../backups/archive-inspection.js';
import type { ErrorCode } from '#errors';
import type { ActorStamp } from '../platform/auth/actor.js';

export const UploadPurpose = { RESTORE: 'RESTORE', IMPORT: 'IMPORT' } as const;
export type UploadPurpose = keyof typeof UploadPurpose;
registerEnumType(UploadPurpose, {
  name: 'UploadPurpose',
  valuesMap: {
    RESTORE: { description: 'To be restored within a day.' },
    IMPORT: { description: 'To be kept among the backups.' },
  },
});

export const UploadState = { OPEN: 'OPEN', COMPLETED: 'COMPLETED', REFUSED: 'REFUSED' } as const;
export type UploadState = keyof typeof UploadState;
registerEnumType(UploadState, {
  name: 'UploadState',
  valuesMap: {
    OPEN: { description: 'Bytes are awaited.' },
    COMPLETED: { description: 'All bytes are there and are an archive that can be read.' },
    REFUSED: { description: 'The bytes were no archive for this workspace; they are gone.' },
  },
});

/** How its bytes come. */
export const UploadProtocol = { TUS: 'TUS', S3_MULTIPART: 'S3_MULTIPART' } as const;
export type UploadProtocol = keyof typeof UploadProtocol;
registerEnumType(UploadProtocol, {
  name: 'UploadProtocol',
  valuesMap: {
    TUS: { description: 'Resumable, by the tus protocol 1.0.0: HEAD tells the offset, PATCH sends from there on. The upload is created already.' },
    S3_MULTIPART: { description: 'Straight into the S3 store: each part goes by PUT to its own address, all but the last of partBytes, in any order and side by side.' },
  },
});

@Entity('upload')
export class UploadEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('text') purpose!: UploadPurpose;
  @Column('text') state!: UploadState;
  @Column('text', { name: 'file_name' }) fileName!: string;
  @Column('bigint', { name: 'size_bytes', transformer: { from: Number, to: (value: number) => value } }) sizeBytes!: number;
  /** Hex, as it was announced. */
  @Column('text') sha256!: string;
  /** SHA-256 of the token, which is in the address alone. */
  @Column('bytea', { name: 'token_hash' }) tokenHash!: Buffer;
  @Column('text', { name: 'store_key' }) storeKey!: string;
  @Column('uuid', { name: 'source_tenant_id', nullable: true }) sourceTenantId!: string | null;
  @Column('text') protocol!: UploadProtocol;
  @Column('jsonb', { nullable: true }) archive!: ArchiveFacts | null;
  @Column('jsonb', { nullable: true }) failure!: { readonly code: ErrorCode; readonly message: string } | null;
  @Column('uuid', { name: 'backup_id', nullable: true }) backupId!: string | null;
  @Column('jsonb', { name: 'created_by', nullable: true }) createdBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
}
