import { Injectable } from '@nestjs/common';
import { AppError, asAppError } from '#errors';
import type { EngineSession, StagedDatabase, SwapPlan, SwapReport } from '#engines';
import { isLeaseLost } from '../backups/backup-runner.js';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { type CopyTarget, CopyTargets } from '../tenants/copy-targets.js';
import type { NamespaceShape } from './collection-diff.js';
import { isChosen, type RestoreChoice } from './restore-choice.js';
import { noneMerged } from './restore-result.model.js';
import type { CountRow } from './restore-journal.js';
import type { SourceRef, VerifiedArchive } from './restore-source.js';
import { RestoreSources } from './restore-sources.js';
import { leasedWork, StageRemoval } from './stage-removal.js';

export type CopyInput = { readonly source: SourceRef; readonly dryRun: boolean; readonly choice: RestoreChoice; readonly copy?: CopyTarget | undefined };

interface CopyJournal {
  readonly swapPlan: SwapPlan;
  readonly archive: readonly CountRow[];
  readonly bytesRead: number;
  readonly warnings: readonly string[];
  readonly swapReport?: SwapReport;
}

export const copyPhases = ['VERIFY', 'STAGE', 'CHECK', 'SWAP', 'CLEANUP'] as const;

/**
 * A restore into a database of its own: nothing live is replaced, so there is no safety backup, no maintenance of the tenant and no undo.
 * Up to the commit point the new database holds staged collections alone, which are removed when it comes to nothing.
 */
@Injectable()
export class RestoreCopy {
  constructor(
    private readonly sources: RestoreSources,
    private readonly targets: CopyTargets,
    private readonly stageRemoval: StageRemoval,
  ) {}

  async run(context: OperationContext<CopyInput>, target: CopyTarget): Promise<JsonObject> {
    const { choice } = context.input;
    const source = await this.sources.openForRestore(context, context.input.source);
    try {
      const session = await this.targets.open(context, target);
      try {
        await session.requirePrivileges('RESTORE');
        const verified = await source.verify(context, choice.collections);
        const shapes = (await source.shapes(context)).filter(({ name }) => isChosen(choice, name));
        await context.faultPoint('restore.verified');
        return await this.copy(context, target, session, verified, shapes);
      } finally {
        await session.close();
      }
    } finally {
      await source.close();
    }
  }

  async recover(context: OperationContext<CopyInput>, target: CopyTarget): Promise<JsonObject> {
    const session = await this.targets.open(context, target);
    try {
      if (context.committed) return await this.finish(context, target, session);
      await this.stageRemoval.remove(context, session);
      throw new AppError('WORKER_LOST', 'The process that did the restore stopped before the new database was there');
    } finally {
      await session.close();
    }
  }

  private async copy(context: OperationContext<CopyInput>, target: CopyTarget, session: EngineSession, verified: VerifiedArchive, shapes: readonly NamespaceShape[]): Promise<JsonObject> {
    try {
      await context.enter('STAGE');
      await this.stageRemoval.note(context);
      const staged = await session.stage(verified.payload, leasedWork(context));
      await context.faultPoint('restore.staged');
      await context.enter('CHECK');
      await session.checkStage(staged, verified.payload, leasedWork(context));
      const facts = { bytesRead: verified.bytesRead, warnings: staged.warnings, archive: shapes.map(({ name, documents }) => ({ name, documents })) };
      if (context.input.dryRun) {
        await context.enter('CLEANUP');
        await this.stageRemoval.remove(context, session);
        return resultOf(target, facts, true);
      }
      await this.commit(context, target, session, staged, facts);
    } catch (error) {
      if (!context.committed && !isLeaseLost(error) && !isLeaseLost(context.signal.reason)) await this.tryToRemove(context, session);
      throw error;
    }
    return this.finish(context, target, session);
  }

  private async commit(context: OperationContext<CopyInput>, target: CopyTarget, session: EngineSession, staged: StagedDatabase, facts: Omit<CopyJournal, 'swapPlan'>): Promise<void> {
    await context.enter('SWAP');
    // Nothing may be there: whatever has come since the plan is somebody else's.
    const swapPlan = await session.planSwap(staged, [], leasedWork(context));
    const journal: CopyJournal = { ...facts, swapPlan };
    await context.commit(journal as unknown as JsonObject, (manager) => this.targets.settle(target, context, manager));
    await context.faultPoint('restore.committed');
  }

  private async finish(context: OperationContext<CopyInput>, target: CopyTarget, session: EngineSession): Promise<JsonObject> {
    if (journalOf(context).swapReport === undefined) {
      await context.enter('SWAP');
      const report = await session.swap(journalOf(context).swapPlan, leasedWork(context), (index) => context.faultPoint(`restore.swap.${index}`));
      await context.saveJournal({ swapReport: { ...report } });
    }
    await context.enter('CLEANUP');
    await this.stageRemoval.remove(context, session);
    await context.fenced((manager) => this.targets.finish(target, context.id, manager));
    return resultOf(target, journalOf(context), false);
  }

  private async tryToRemove(context: OperationContext<CopyInput>, session: EngineSession): Promise<void> {
    try {
      await this.stageRemoval.remove(context, session);
    } catch (error) {
      context.log(`Staged collections (hf_*) stay in the new database until it is back: ${asAppError(error).message}`, 'ERROR');
    }
  }
}

function journalOf(context: OperationContext<CopyInput>): CopyJournal {
  return context.journal as unknown as CopyJournal;
}

function resultOf({ database, newTenant }: CopyTarget, { archive, bytesRead, warnings, swapReport }: Omit<CopyJournal, 'swapPlan'>, dryRun: boolean): JsonObject {
  const late = (swapReport?.interlopers ?? []).map(({ name, kept, documents }) => `Somebody made ${name} in the new database during the restore: its ${documents} documents are kept as ${kept}`);
  return {
    type: 'RestoreResult', dryRun, bytesRead, database, newTenantId: dryRun ? null : (newTenant?.id ?? null),
    collections: archive.map(({ name, documents }) => ({ ...noneMerged, name, inserted: documents, dropped: 0 })),
    warnings: [...warnings, ...(swapReport?.warnings ?? []), ...late],
  };
}
