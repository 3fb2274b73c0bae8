import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';

@Entity('policy_change')
export class PolicyChangeEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('timestamptz') at!: Date;
  @Column('jsonb') by!: ActorStamp;
  @Column('text') key!: string;
  @Column('jsonb', { name: 'old_value' }) oldValue!: unknown;
  @Column('jsonb', { name: 'new_value' }) newValue!: unknown;
}
