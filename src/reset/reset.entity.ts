import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ClassRowModel } from '../classes/class.model.js';
import type { ActorStamp } from '../platform/auth/actor.js';

export const ResetState = {
  BEGUN: 'BEGUN', CODE_SENT: 'CODE_SENT', VERIFIED: 'VERIFIED', CONFIRMED: 'CONFIRMED', EXECUTING: 'EXECUTING', DONE: 'DONE', FAILED: 'FAILED', CANCELED: 'CANCELED', VOID: 'VOID', EXPIRED: 'EXPIRED',
} as const;
export type ResetState = keyof typeof ResetState;
registerEnumType(ResetState, {
  name: 'ResetState',
  valuesMap: {
    BEGUN: { description: 'The lists were shown; no code was sent yet.' },
    CODE_SENT: { description: 'A code was sent and waits to be typed.' },
    VERIFIED: { description: 'Every code that the policy asks for was typed.' },
    CONFIRMED: { description: 'RESET was typed; it begins at its start time.' },
    EXECUTING: { description: 'The operation is under way.' },
    DONE: { description: 'The workspace was reset.' },
    FAILED: { description: 'The operation ended without success; nothing was wiped.' },
    CANCELED: { description: 'It was given up, its operation was canceled, or another one was begun by the same person.' },
    VOID: { description: 'A wrong code was typed too often.' },
    EXPIRED: { description: 'It was not confirmed in time.' },
  },
});

/** States in which a step is still to be taken by the person. */
export const openStates: readonly ResetState[] = ['BEGUN', 'CODE_SENT', 'VERIFIED'];

/** What has to be typed. */
export const confirmText = 'RESET';

export const ResetReason = { TESTING: 'TESTING', DATA_CLEANUP: 'DATA_CLEANUP', FRESH_START: 'FRESH_START', DATA_MIGRATION: 'DATA_MIGRATION', TROUBLESHOOTING: 'TROUBLESHOOTING' } as const;
export type ResetReason = keyof typeof ResetReason;
registerEnumType(ResetReason, { name: 'ResetReason' });

export const ChannelKind = { EMAIL: 'EMAIL', SMS: 'SMS' } as const;
export type ChannelKind = keyof typeof ChannelKind;
registerEnumType(ChannelKind, { name: 'ChannelKind' });
export const channelKinds: readonly ChannelKind[] = ['EMAIL', 'SMS'];

/** A collection whose counters start anew. */
export interface ResetCounter {
  readonly name: string;
  readonly field: string;
  readonly resetTo: number;
  readonly documents: number;
}

/** The live collections as they were when the reset was begun, by what it does with them. */
export interface ResetLists {
  readonly wiped: readonly ClassRowModel[];
  readonly preserved: readonly ClassRowModel[];
  readonly undecided: readonly ClassRowModel[];
  readonly counters: readonly ResetCounter[];
}

/** As it is shown; `error` says why the channel cannot be used. */
export interface ChannelView {
  readonly kind: ChannelKind;
  readonly maskedAddress: string | null;
  readonly error: string | null;
}

@Entity('reset_request')
export class ResetEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  /** Codes are bound to this actor, and the steps are this one's alone. */
  @Column('text', { name: 'actor_id' }) actorId!: string;
  @Column('jsonb', { name: 'begun_by' }) begunBy!: ActorStamp;
  @Column('text') reason!: ResetReason;
  @Column('text') state!: ResetState;
  @Column('jsonb') lists!: ResetLists;
  @Column('integer', { name: 'target_revision' }) targetRevision!: number;
  @Column('jsonb') channels!: readonly ChannelView[];
  /** Wrong codes that may still be typed, whatever the channel. */
  @Column('integer', { name: 'tries_left' }) triesLeft!: number;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  /** Of the open states. */
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
  @Column('uuid', { name: 'operation_id', nullable: true }) operationId!: string | null;
}

/** One that was sent, or that was to be. */
@Entity('reset_code')
export class ResetCodeEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'reset_id' }) resetId!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('text', { name: 'actor_id' }) actorId!: string;
  @Column('text') channel!: ChannelKind;
  /** Null once it was used. */
  @Column('bytea', { nullable: true }) hash!: Buffer | null;
  @Column('timestamptz', { name: 'sent_at' }) sentAt!: Date;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
  @Column('timestamptz', { name: 'verified_at', nullable: true }) verifiedAt!: Date | null;
  /** Why it was not delivered. */
  @Column('text', { nullable: true }) error!: string | null;
}
