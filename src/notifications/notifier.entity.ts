import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { AlertEvent, AlertSeverity } from '../alerts/alert-event.js';
import type { ActorStamp } from '../platform/auth/actor.js';

export const NotifierChannel = { EMAIL: 'EMAIL', SLACK: 'SLACK', TELEGRAM: 'TELEGRAM', DISCORD: 'DISCORD', TEAMS: 'TEAMS', WEBHOOK: 'WEBHOOK', PING: 'PING' } as const;
export type NotifierChannel = keyof typeof NotifierChannel;
registerEnumType(NotifierChannel, {
  name: 'NotifierChannel',
  valuesMap: {
    SLACK: { description: 'An incoming webhook.' },
    DISCORD: { description: 'A webhook of a channel.' },
    TEAMS: { description: 'A workflow that posts to a channel when a webhook request is received.' },
    WEBHOOK: { description: 'A signed request to an address of yours.' },
    PING: { description: 'A GET to a dead man\'s switch for each completed backup: it alerts when none comes.' },
  },
});

/** Never returned by a resolver: it holds the sealed address. */
@Entity('notifier')
export class NotifierEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id', nullable: true }) tenantId!: string | null;
  @Column('text') name!: string;
  @Column('text') channel!: NotifierChannel;
  /** `NotifierAddress` as JSON: chat addresses hold tokens. */
  @Column('bytea', { name: 'address_cipher' }) addressCipher!: Buffer;
  @Column('text', { name: 'shown_address' }) shownAddress!: string;
  @Column('jsonb') events!: readonly AlertEvent[];
  @Column('text', { name: 'min_severity' }) minSeverity!: AlertSeverity;
  @Column('integer', { name: 'cooldown_minutes' }) cooldownMinutes!: number;
  @Column('boolean') active!: boolean;
  @Column('jsonb', { name: 'created_by', nullable: true }) createdBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt!: Date;
}
