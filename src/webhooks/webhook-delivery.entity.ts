import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';

export const DeliveryState = { PENDING: 'PENDING', DELIVERED: 'DELIVERED', FAILED: 'FAILED', SUPERSEDED: 'SUPERSEDED' } as const;
export type DeliveryState = keyof typeof DeliveryState;
registerEnumType(DeliveryState, {
  name: 'WebhookDeliveryState',
  valuesMap: {
    PENDING: { description: 'Not answered yet; it is tried again.' },
    DELIVERED: { description: 'Answered by a 2xx.' },
    FAILED: { description: 'Given up after the last attempt.' },
    SUPERSEDED: { description: 'Not sent any more, because what it tells is over.' },
  },
});

@Entity('webhook_delivery')
export class WebhookDeliveryEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('uuid', { name: 'webhook_id', nullable: true }) webhookId!: string | null;
  @Column('text') event!: string;
  /** As it is signed and sent, byte for byte. */
  @Column('text') body!: string;
  @Column('text') state!: DeliveryState;
  /** Those that were begun. */
  @Column('integer') attempts!: number;
  @Column('integer', { name: 'response_code', nullable: true }) responseCode!: number | null;
  @Column('text', { name: 'last_error', nullable: true }) lastError!: string | null;
  @Column('timestamptz', { name: 'next_attempt_at' }) nextAttemptAt!: Date;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'finished_at', nullable: true }) finishedAt!: Date | null;
}
