import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Actor } from '../platform/auth/actor.js';

export const AnnouncedWork = { RESTORE: 'RESTORE', RESET: 'RESET' } as const;
export type AnnouncedWork = keyof typeof AnnouncedWork;
registerEnumType(AnnouncedWork, { name: 'AnnouncedWork' });

export const AnnouncementState = { PENDING: 'PENDING', STARTED: 'STARTED', CANCELED: 'CANCELED', REFUSED: 'REFUSED' } as const;
export type AnnouncementState = keyof typeof AnnouncementState;
registerEnumType(AnnouncementState, {
  name: 'AnnouncementState',
  valuesMap: { REFUSED: { description: 'It could not be started; `failure` says why.' } },
});

/** Who announced it; it is started in this name, with the permissions that this person has then. */
export type AnnouncingActor = Pick<Actor, 'id' | 'kind' | 'accountId' | 'email' | 'name' | 'isProvider' | 'memberships'>;

@Entity('announcement')
export class AnnouncementEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('text') work!: AnnouncedWork;
  /** The restore plan or the reset. */
  @Column('uuid', { name: 'subject_id' }) subjectId!: string;
  @Column('jsonb') actor!: AnnouncingActor;
  @Column('text') state!: AnnouncementState;
  @Column('timestamptz', { name: 'start_at' }) startAt!: Date;
  @Column('jsonb', { nullable: true }) failure!: { readonly code: string; readonly message: string } | null;
  @Column('uuid', { name: 'operation_id', nullable: true }) operationId!: string | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
}
