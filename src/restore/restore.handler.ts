import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import { AppError } from '#errors';
import type { EngineSession, LeasedWork, MergeForecast, PayloadSource, StagedDatabase } from '#engines';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { keptForMs, SafetyBackups } from '../backups/safety-backups.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { expiringOf, type NamespaceShape } from './collection-diff.js';
import { leasedWork, StageRemoval } from './stage-removal.js';
import { DatabaseClaims } from '../tenants/database-claims.js';
import { copyTarget } from '../tenants/copy-targets.js';
import { copyPhases, RestoreCopy } from './restore-copy.js';
import { RestoreFinish } from './restore-finish.js';
import type { RestoreJournal } from './restore-journal.js';
import { isChosen, restoreChoice } from './restore-choice.js';
import { clashWarnings, mergedRows, RestoreMerge } from './restore-merge.js';
import { RestoreMaintenance } from './restore-maintenance.js';
import { asJson, RestorePreparation } from './restore-preparation.js';
import { lateWrites, repointTarget, RestoreRepoint } from './restore-repoint.js';
import { noneMerged } from './restore-result.model.js';
import { RestoreSettlement } from './restore-settlement.js';
import { sourceRef, type VerifiedArchive } from './restore-source.js';
import { RestoreSources } from './restore-sources.js';

const restoreInput = z.strictObject({
  planId: z.uuid(),
  source: sourceRef,
  dryRun: z.boolean(),
  live: z.array(z.strictObject({ name: z.string(), uuid: z.string().nullable() })),
  choice: restoreChoice,
  /** Set where the archive is restored into a database of its own. */
  copy: copyTarget.optional(),
  /** Set where the archive is restored into a database that becomes the workspace's own. */
  repoint: repointTarget.optional(),
  /** Live data cannot be read: no safety backup is taken, and what was live stays in the database until it is released. */
  keepOld: z.boolean().optional(),
  /** Set where an UNDO restores the safety backup of another operation. */
  undo: z.strictObject({ operationId: z.uuid(), warning: z.string().nullable() }).optional(),
});
export type RestoreInput = z.output<typeof restoreInput>;

const dayMs = 24 * 60 * 60 * 1000;

const restorePhases = ['VERIFY', 'SAFETY_BACKUP', 'STAGE', 'CHECK', 'MAINTENANCE_ON', 'SWAP', 'MAINTENANCE_OFF', 'CLEANUP'] as const;
const dryRunPhases = ['VERIFY', 'STAGE', 'CHECK', 'CLEANUP'] as const;

/**
 * A restore up to its commit point, where nothing of the live data has changed and everything can be taken back; what
 * comes after it is `RestoreFinish`.
 */
@Injectable()
export class RestoreHandler implements OperationHandler<RestoreInput>, OnModuleInit {
  readonly kind = 'RESTORE';
  readonly exclusive = true;
  readonly permission = Permission.RESTORE_RUN;
  readonly deadlineMs = dayMs;
  readonly input = restoreInput;
  readonly weights = { VERIFY: 4, SAFETY_BACKUP: 10, STAGE: 20, CHECK: 8, MAINTENANCE_ON: 1, SWAP: 2, MAINTENANCE_OFF: 1, CLEANUP: 2 };

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly sources: RestoreSources,
    private readonly tenants: TenantsService,
    private readonly encryption: TenantEncryption,
    private readonly safety: SafetyBackups,
    private readonly finish: RestoreFinish,
    private readonly copy: RestoreCopy,
    private readonly merging: RestoreMerge,
    private readonly stageRemoval: StageRemoval,
    private readonly maintenance: RestoreMaintenance,
    private readonly preparation: RestorePreparation,
    private readonly repoint: RestoreRepoint,
    private readonly settlement: RestoreSettlement,
    private readonly claims: DatabaseClaims,
    private readonly audit: AuditService,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(input: RestoreInput): readonly string[] {
    if (input.copy !== undefined && !input.dryRun) return copyPhases;
    if (input.dryRun) return dryRunPhases;
    return input.keepOld === true ? restorePhases.filter((phase) => phase !== 'SAFETY_BACKUP') : restorePhases;
  }

  async run(context: OperationContext<RestoreInput>): Promise<JsonObject> {
    await context.enter('VERIFY');
    await context.faultPoint('restore.begun');
    await this.encryption.require(context);
    if (context.input.copy !== undefined) return this.copy.run(context, context.input.copy);
    const source = await this.sources.openForRestore(context, context.input.source);
    try {
      const session = await this.openStage(context);
      try {
        await session.requirePrivileges('RESTORE');
        if (context.input.repoint === undefined) await this.stageRemoval.removeLeftOvers(context, session);
        const { choice } = context.input;
        const verified = await source.verify(context, choice.collections);
        const shapes = (await source.shapes(context)).filter(({ name }) => isChosen(choice, name));
        await context.faultPoint('restore.verified');
        return await this.restore(context, session, verified, shapes);
      } finally {
        await session.close();
      }
    } finally {
      await source.close();
    }
  }

  async recover(context: OperationContext<RestoreInput>): Promise<JsonObject> {
    if (context.input.copy !== undefined) return this.copy.recover(context, context.input.copy);
    const lost = new AppError('WORKER_LOST', 'The process that did the restore stopped before live data changed');
    // The users need not wait for a database that is away.
    if (!context.committed) await this.preparation.letGo(context, lost);
    const session = await this.openStage(context);
    try {
      if (context.committed) return await this.finish.run(context, session);
      await this.stageRemoval.remove(context, session);
      throw lost;
    } finally {
      await session.close();
    }
  }

  /** Its safety backup is there for undo until 7 days after the end, not after the beginning. */
  async settled({ id, tenantId, input, state, failure }: SettledOperation<RestoreInput>, manager: EntityManager): Promise<void> {
    await this.settlement.settle({ id, tenantId, state, failure }, manager);
    await this.claims.release(id, manager);
    await this.audit.record(
      {
        action: input.dryRun ? 'restore.dry-run-ended' : 'restore.ended',
        outcome: state === 'COMPLETED' ? 'OK' : 'FAILED',
        tenantId,
        actor: null,
        subject: { type: 'Operation', id },
        detail: { state, code: failure?.code ?? null, fileName: input.source.fileName },
      },
      manager,
    );
    if (state !== 'COMPLETED') return;
    await this.safety.keepForUndo({ tenantId }, id, manager);
    await this.claims.keepFor(id, keptForMs, manager);
  }

  /** A connection to where the archive is staged and gets its place: the live database, or with REPOINT the one that is live from the commit point on. */
  private openStage(context: OperationContext<RestoreInput>): Promise<EngineSession> {
    const { repoint } = context.input;
    return repoint === undefined ? this.tenants.openTarget(context) : this.repoint.open(context, repoint);
  }

  private async restore(context: OperationContext<RestoreInput>, session: EngineSession, verified: VerifiedArchive, shapes: readonly NamespaceShape[]): Promise<JsonObject> {
    const work = leasedWork(context);
    try {
      const safety = context.input.dryRun ? null : await this.takeSafetyBackup(context, session);
      await context.faultPoint('restore.safe');
      await context.enter('STAGE');
      await this.stageRemoval.note(context);
      const staged = await session.stage(haltingIn(context, 'restore.staging', verified.payload), work);
      await context.faultPoint('restore.staged');
      await context.enter('CHECK');
      await session.checkStage(staged, verified.payload, work);
      await context.faultPoint('restore.checked');
      const facts = { bytesRead: verified.bytesRead, warnings: [...undoWarnings(context.input), ...staged.warnings, ...ttlWarnings(shapes)], archive: shapes.map(({ name, documents }) => ({ name, documents })) };
      const { merge } = context.input.choice;
      const forecast = merge === null ? null : await this.merging.forecast(context, session, staged, merge);
      if (safety === null) return await this.endDryRun(context, session, facts, forecast);
      await this.commit(context, session, staged, work, { ...facts, ...safety });
    } catch (error) {
      await this.preparation.takeBackAfter(error, context, session);
      throw error;
    }
    return this.finish.run(context, session);
  }

  private async takeSafetyBackup(context: OperationContext<RestoreInput>, session: EngineSession): Promise<Pick<RestoreJournal, 'safetyBackupId' | 'safetyClusterTime' | 'live' | 'keepOld'>> {
    if (context.input.keepOld === true) return { safetyBackupId: null, safetyClusterTime: null, live: [], keepOld: context.input.repoint === undefined };
    const live = context.input.repoint === undefined ? session : await this.tenants.openTarget(context);
    try {
      return await this.preparation.takeSafetyBackup(context, live, context.input.undo === undefined ? 'Before the restore' : 'Before the undo', context.input.choice.collections);
    } finally {
      if (live !== session) await live.close();
    }
  }

  private async commit(context: OperationContext<RestoreInput>, session: EngineSession, staged: StagedDatabase, work: LeasedWork, facts: Omit<RestoreJournal, 'swapPlan'>): Promise<void> {
    const { undo, repoint, choice } = context.input;
    const indexCount = repoint === undefined && choice.merge === null && choice.collections === null ? await session.settledIndexCount(work) : null;
    const late = await this.maintenance.begin(context, undo === undefined ? 'A backup is being restored' : 'A restore is being undone', repoint === undefined ? undefined : lateWrites);
    const decided = await this.decide(context, session, staged, { work, indexCount }, facts);
    await context.faultPoint('restore.planned');
    const journal: RestoreJournal = { ...facts, ...decided, warnings: [...facts.warnings, ...late] };
    await context.commit(asJson(journal), (manager) => (repoint === undefined ? this.preparation.requireActive(context, manager) : this.repoint.move(context, repoint, manager)));
    await context.faultPoint('restore.committed');
  }

  /** Undo of a MERGE reads the safety backup as it is now: nothing is set aside that could be kept later. */
  private async decide(context: OperationContext<RestoreInput>, session: EngineSession, staged: StagedDatabase, { work, indexCount }: { readonly work: LeasedWork; readonly indexCount: number | null }, facts: Omit<RestoreJournal, 'swapPlan'>): Promise<Partial<RestoreJournal> & Pick<RestoreJournal, 'swapPlan'>> {
    const { choice: { collections, merge }, repoint, live: expected, keepOld } = context.input;
    if (repoint !== undefined) {
      const pointer = await this.repoint.leave(context, repoint, keepOld === true ? null : expected);
      // Nothing may be there: whatever has come since the plan is somebody else's.
      return { swapPlan: await session.planSwap(staged, [], work), pointer };
    }
    if (merge === null) return { swapPlan: await session.planSwap(staged, expected, work, { indexCount, ...(collections === null ? {} : { only: collections }) }) };
    const { safetyBackupId, safetyClusterTime, live } = facts;
    if (safetyBackupId === null) throw new AppError('INTERNAL', 'A merge needs its safety backup');
    const prepared = await this.merging.prepare(context, session, staged, merge, { safetyBackupId, safetyClusterTime, live });
    return { ...prepared, swapPlan: prepared.mergePlan.create, finalSafetyId: prepared.safetyBackupId };
  }

  private async endDryRun(context: OperationContext<RestoreInput>, session: EngineSession, facts: Pick<RestoreJournal, 'bytesRead' | 'warnings' | 'archive'>, forecast: MergeForecast | null): Promise<JsonObject> {
    await context.enter('CLEANUP');
    await this.stageRemoval.remove(context, session);
    const collections = forecast === null ? facts.archive.map(({ name, documents }) => ({ ...noneMerged, name, inserted: documents, dropped: 0 })) : mergedRows(facts.archive, forecast.collections);
    const warnings = [...facts.warnings, ...(forecast === null ? [] : clashWarnings(forecast))];
    return { type: 'RestoreResult', dryRun: true, bytesRead: facts.bytesRead, collections, warnings };
  }
}

/** The same payload, with a fault point that is reached when a first part of it has been used. */
function haltingIn(context: OperationContext<RestoreInput>, point: string, source: PayloadSource): PayloadSource {
  return {
    ...source,
    payload: async function* () {
      for await (const chunk of source.payload()) {
        yield chunk;
        await context.faultPoint(point);
      }
    },
  };
}

function undoWarnings({ undo }: RestoreInput): string[] {
  return undo?.warning == null ? [] : [undo.warning];
}

function ttlWarnings(shapes: readonly NamespaceShape[]): string[] {
  const count = expiringOf(shapes).length;
  if (count === 0) return [];
  return [`${count} ${count === 1 ? 'collection has a TTL: its' : 'collections have a TTL: their'} documents that are past their time expire within minutes of the restore`];
}
