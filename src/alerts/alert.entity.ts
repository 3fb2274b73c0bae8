import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { AlertEvent, AlertSeverity } from './alert-event.js';

export type AlertDetail = Readonly<Record<string, string | number | boolean | null>>;

@Entity('alert')
export class AlertEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id', nullable: true }) tenantId!: string | null;
  @Column('text') event!: AlertEvent;
  @Column('text') severity!: AlertSeverity;
  @Column('text') subject!: string;
  @Column('text') text!: string;
  @Column('jsonb') detail!: AlertDetail;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'resolved_at', nullable: true }) resolvedAt!: Date | null;
}
