import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Permission } from '../access/permission.js';
import type { ActorStamp } from '../platform/auth/actor.js';

/** Never returned by a resolver: it holds the key's hash. */
@Entity('api_key')
export class ApiKeyEntity {
  @PrimaryColumn('uuid') id!: string;
  /** Null: of the provider, good in every tenant. */
  @Column('uuid', { name: 'tenant_id', nullable: true }) tenantId!: string | null;
  @Column('text') name!: string;
  @Column('jsonb') permissions!: readonly Permission[];
  @Column('bytea', { name: 'key_hash' }) keyHash!: Buffer;
  /** Its last characters. */
  @Column('text') hint!: string;
  @Column('jsonb', { name: 'created_by' }) createdBy!: ActorStamp;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
  @Column('timestamptz', { name: 'used_at', nullable: true }) usedAt!: Date | null;
  @Column('timestamptz', { name: 'revoked_at', nullable: true }) revokedAt!: Date | null;
}
