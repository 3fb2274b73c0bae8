import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';

export const AlertDeliveryState = { PENDING: 'PENDING', DELIVERED: 'DELIVERED', FAILED: 'FAILED', SUPPRESSED: 'SUPPRESSED' } as const;
export type AlertDeliveryState = keyof typeof AlertDeliveryState;
registerEnumType(AlertDeliveryState, {
  name: 'AlertDeliveryState',
  valuesMap: {
    PENDING: { description: 'Not taken yet; it is tried again.' },
    FAILED: { description: 'Given up after the last attempt.' },
    SUPPRESSED: { description: 'Not sent: the notifier was told of the same kind of event within its cooldown.' },
  },
});

@Entity('alert_delivery')
export class AlertDeliveryEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id', nullable: true }) tenantId!: string | null;
  @Column('uuid', { name: 'notifier_id', nullable: true }) notifierId!: string | null;
  @Column('uuid', { name: 'alert_id', nullable: true }) alertId!: string | null;
  /** The alert's event; TEST where there is none. */
  @Column('text') event!: string;
  @Column('text') state!: AlertDeliveryState;
  /** Those that were begun. */
  @Column('integer') attempts!: number;
  @Column('integer', { name: 'response_code', nullable: true }) responseCode!: number | null;
  @Column('text', { name: 'last_error', nullable: true }) lastError!: string | null;
  @Column('timestamptz', { name: 'next_attempt_at' }) nextAttemptAt!: Date;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'finished_at', nullable: true }) finishedAt!: Date | null;
}
