import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';

export const DownloadVariant = { ARCHIVE: 'ARCHIVE', DECRYPTED: 'DECRYPTED' } as const;
export type DownloadVariant = keyof typeof DownloadVariant;
registerEnumType(DownloadVariant, {
  name: 'DownloadVariant',
  valuesMap: {
    ARCHIVE: { description: 'The stored file, encrypted.' },
    DECRYPTED: { description: 'The plain compressed archive, which the public tools of the database read.' },
  },
});

@Entity('download')
export class DownloadEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('uuid', { name: 'backup_id' }) backupId!: string;
  @Column('text') variant!: DownloadVariant;
  /** SHA-256 of the token, which is in the link alone. */
  @Column('bytea', { name: 'token_hash' }) tokenHash!: Buffer;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
  @Column('timestamptz', { name: 'spent_at', nullable: true }) spentAt!: Date | null;
  /** Byte ranges that have gone out, end excluded, merged and in order. */
  @Column('jsonb') sent!: readonly (readonly [number, number])[];
  /** Good for a workspace that is suspended, too. */
  @Column('boolean', { name: 'by_provider' }) byProvider!: boolean;
  @Column('jsonb', { name: 'created_by', nullable: true }) createdBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
}
