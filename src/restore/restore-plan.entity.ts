import { registerEnumType } from '@nestjs/graphql';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';
import type { CollectionDiffRow } from './collection-diff.js';
import type { CopyTarget } from '../tenants/copy-targets.js';
import type { RestoreChoice } from './restore-choice.js';
import type { RepointTarget } from './restore-repoint.js';
import type { SourceRef } from './restore-source.js';

export const RestoreMode = { REPLACE: 'REPLACE', MERGE: 'MERGE' } as const;
export type RestoreMode = keyof typeof RestoreMode;
registerEnumType(RestoreMode, { name: 'RestoreMode' });

export const Cutover = { SWAP: 'SWAP', REPOINT: 'REPOINT' } as const;
export type Cutover = keyof typeof Cutover;
registerEnumType(Cutover, {
  name: 'Cutover',
  valuesMap: {
    SWAP: { description: 'The restored collections take the places of the live ones, in the same database.' },
    REPOINT: { description: "The archive goes into a new database of the same server, which becomes the workspace's own; the former one stays 7 days, untouched, as the way back." },
  },
});

/** What a plan was made for. Whatever of it no longer holds when the restore starts makes the plan stale. */
export interface PlanBinding {
  readonly source: SourceRef;
  /** As the tenant was called; what the person types is compared with this and with the locked row. */
  readonly tenantName: string;
  readonly targetRevision: number;
  /** Live namespaces that the restore touches and their UUIDs, null for views; null as a whole when the database could not be read. */
  readonly live: readonly { readonly name: string; readonly uuid: string | null }[] | null;
  readonly choice: RestoreChoice;
  /** Set where the archive is restored into a database of its own, beside the live one. */
  readonly copy?: CopyTarget;
  /** Set where it is restored into a database that becomes the tenant's own. */
  readonly repoint?: RepointTarget;
}

export interface PlanCheckRow {
  readonly key: string;
  readonly ok: boolean;
  readonly blocking: boolean;
  readonly message: string;
  readonly hint: string | null;
}

export interface EstimateRow {
  readonly durationMs: number;
  readonly downtimeMs: number;
  /** Absent in plans of an earlier version. */
  readonly acknowledgementMs?: number;
  readonly bytes: number;
}

/** A collection that deletes documents by age. */
export interface ExpiringRow {
  readonly name: string;
  /** Null: nobody has counted them, or nobody can. */
  readonly documents: number | null;
}

@Entity('restore_plan')
export class RestorePlanEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'tenant_id' }) tenantId!: string;
  @Column('uuid', { name: 'backup_id', nullable: true }) backupId!: string | null;
  @Column('uuid', { name: 'upload_id', nullable: true }) uploadId!: string | null;
  @Column('text') mode!: RestoreMode;
  @Column('jsonb') bound!: PlanBinding;
  @Column('jsonb') checks!: readonly PlanCheckRow[];
  @Column('jsonb') changes!: readonly CollectionDiffRow[];
  @Column('timestamptz', { name: 'data_loss_since', nullable: true }) dataLossSince!: Date | null;
  @Column('jsonb', { nullable: true }) estimate!: EstimateRow | null;
  /** Null: the archive's definitions could not be read. */
  @Column('jsonb', { nullable: true }) expiring!: readonly ExpiringRow[] | null;
  @Column('uuid', { name: 'operation_id', nullable: true }) operationId!: string | null;
  @Column('jsonb', { name: 'created_by', nullable: true }) createdBy!: ActorStamp | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
  @Column('timestamptz', { name: 'used_at', nullable: true }) usedAt!: Date | null;
}
