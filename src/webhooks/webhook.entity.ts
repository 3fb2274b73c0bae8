import { Column, Entity, PrimaryColumn } from 'typeorm';

export const WebhookPurpose = { MAINTENANCE: 'MAINTENANCE' } as const;
export type WebhookPurpose = keyof typeof WebhookPurpose;

/** Never returned by a resolver: it holds the sealed secret. */
@Entity('webhook')
export class WebhookEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('text') purpose!: WebhookPurpose;
  @Column('text') url!: string;
  @Column('bytea', { name: 'secret_cipher' }) secretCipher!: Buffer;
  /** Whether the work that it announces must not go on unanswered. */
  @Column('boolean') required!: boolean;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt!: Date;
}
