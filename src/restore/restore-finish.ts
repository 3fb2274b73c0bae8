import { Injectable } from '@nestjs/common';
import type { EngineSession, SwapReport } from '#engines';
import { SafetyBackups } from '../backups/safety-backups.js';
import { withRoomForObjects } from '../config/lean-process.js';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { journalOf, lostWarnings, type RestoreJournal } from './restore-journal.js';
import { RestoreMaintenance } from './restore-maintenance.js';
import { mergedRows } from './restore-merge.js';
import { pointerWarnings } from './restore-repoint.js';
import { noneMerged } from './restore-result.model.js';
import { leasedWork, StageRemoval } from './stage-removal.js';

/** From here on the objects of the commands weigh more than the collection at the end. */
const manySteps = 2_000;

/** What differs between the kinds of work that end here. */
export interface FinishCourse {
  readonly swapPhase: string;
  readonly lastStateName: string;
  /** Between the swap and the end of maintenance. */
  check(context: OperationContext<JsonObject>, session: EngineSession): Promise<void>;
  resultOf(journal: RestoreJournal): JsonObject;
}

const beforeRestore = 'Before the restore, last state';
const restoreCourse: FinishCourse = { swapPhase: 'SWAP', lastStateName: beforeRestore, check: () => Promise.resolve(), resultOf };

/**
 * A restore after its commit point: it only goes forward. The journal says what is done; each step may be repeated, by
 * this worker or another one, and whatever it throws only makes the runtime call it again.
 */
@Injectable()
export class RestoreFinish {
  constructor(
    private readonly maintenance: RestoreMaintenance,
    private readonly safety: SafetyBackups,
    private readonly stageRemoval: StageRemoval,
  ) {}

  async run(context: OperationContext<JsonObject>, session: EngineSession, course = restoreCourse): Promise<JsonObject> {
    await this.swap(context, session, course);
    await this.merge(context, session);
    await course.check(context, session);
    await this.endMaintenance(context);
    await context.enter('CLEANUP');
    await this.settleOld(context, session, course);
    await context.faultPoint('restore.old-dropped');
    await this.stageRemoval.remove(context, session);
    await context.faultPoint('restore.cleaned');
    return course.resultOf(journalOf(context));
  }

  private async swap(context: OperationContext<JsonObject>, session: EngineSession, { swapPhase }: FinishCourse): Promise<void> {
    const { swapPlan, swapReport } = journalOf(context);
    if (swapReport !== undefined) return;
    await context.enter(swapPhase);
    const swap = (): Promise<SwapReport> => session.swap(swapPlan, leasedWork(context), (index) => context.faultPoint(`restore.swap.${index}`));
    const report = swapPlan.steps.length < manySteps ? await swap() : await withRoomForObjects(swap);
    await context.faultPoint('restore.swapped');
    await context.saveJournal({ swapReport: { ...report } });
    await context.faultPoint('restore.swap-noted');
  }

  private async merge(context: OperationContext<JsonObject>, session: EngineSession): Promise<void> {
    const { mergePlan, mergeReport } = journalOf(context);
    if (mergePlan === undefined || mergeReport !== undefined) return;
    const report = await session.merge(mergePlan, leasedWork(context), (batch) => context.faultPoint(`restore.merge.${batch}`));
    await context.faultPoint('restore.merged');
    await context.saveJournal({ mergeReport: { collections: report.collections.map((row) => ({ ...row })), warnings: report.warnings } });
  }

  private async endMaintenance(context: OperationContext<JsonObject>): Promise<void> {
    if (journalOf(context).maintenanceOff) return;
    await this.maintenance.end(context);
    await context.saveJournal({ maintenanceOff: true });
  }

  private async settleOld(context: OperationContext<JsonObject>, session: EngineSession, course: FinishCourse): Promise<void> {
    const { safetyBackupId, swapPlan, pointer } = journalOf(context);
    if (safetyBackupId === null || pointer !== undefined) return;
    await this.keepLastState(context, session, safetyBackupId, course);
    await session.dropOld(swapPlan, leasedWork(context));
  }

  /**
   * The safety backup was taken before the live data stood still. Unless it is certain that nothing was written since, what
   * SWAP set aside goes into a safety backup of its own, and undo reads that one.
   */
  private async keepLastState(context: OperationContext<JsonObject>, session: EngineSession, safetyBackupId: string, { lastStateName }: FinishCourse): Promise<void> {
    const journal = journalOf(context);
    const work = leasedWork(context);
    const gone = new Set(journal.swapReport?.gone ?? []);
    if (journal.finalSafetyId === undefined) {
      const written = await session.wasWrittenSince(journal.safetyClusterTime, journal.swapPlan, work);
      if (!written) {
        context.log('Nothing was written between the safety backup and the swap: it holds the last state');
        await context.saveJournal({ finalSafetyId: safetyBackupId });
        return;
      }
      context.log('The database was written to after the safety backup: keeping the last state in another one');
      await context.faultPoint('restore.last-state');
      const lost = new Set(await this.lostOf(context, session, safetyBackupId));
      const there = journal.swapPlan.old.filter(({ name }) => !gone.has(name) && !lost.has(name));
      const last = await this.safety.takeLastState(context, session, lastStateName, there, safetyBackupId, lost.size > 0);
      await context.faultPoint('restore.last-state-kept');
      await context.saveJournal({ finalSafetyId: lost.size === 0 ? last.id : safetyBackupId });
    }
    const { finalSafetyId } = journalOf(context);
    await context.faultPoint('restore.last-state-noted');
    // What was dropped before it could be set aside is in the earlier one alone.
    if (finalSafetyId !== safetyBackupId && gone.size === 0) await this.safety.replace(context, safetyBackupId);
  }

  /** What somebody dropped after it was set aside is in the earlier safety backup alone, and is waited for in vain. Where all of it has been kept meanwhile, nothing is lost. */
  private async lostOf(context: OperationContext<JsonObject>, session: EngineSession, safetyBackupId: string): Promise<readonly string[]> {
    const { swapPlan, swapReport, lostOld = [] } = journalOf(context);
    if (await this.safety.hasLastState(context, safetyBackupId)) return lostOld;
    const gone = new Set(swapReport?.gone ?? []);
    const lost = (await session.missingOld(swapPlan, leasedWork(context))).filter((name) => !gone.has(name));
    if (lost.length === 0) return [];
    context.log(`Somebody dropped what was set aside of ${lost.slice(0, 10).join(', ')}: the safety backup from before is kept for undo`, 'WARN');
    await context.saveJournal({ lostOld: lost });
    return lost;
  }
}

/** Counts of documents: those of the archive came in, those that were live went out. */
function resultOf(journal: RestoreJournal): JsonObject {
  const { archive, live, bytesRead, warnings, swapReport, mergeReport, pointer } = journal;
  const inserted = new Map(archive.map(({ name, documents }) => [name, documents]));
  const dropped = new Map(live.map(({ name, documents }) => [name, documents]));
  const names = [...new Set([...inserted.keys(), ...dropped.keys()])].sort();
  const late = (swapReport?.interlopers ?? []).map(
    ({ name, kept, documents }) => `The product created ${name} again during the restore: its ${documents} documents are kept as ${kept}`,
  );
  return {
    type: 'RestoreResult',
    dryRun: false,
    bytesRead,
    database: pointer?.to ?? null,
    collections: mergeReport === undefined ? names.map((name) => ({ ...noneMerged, name, inserted: inserted.get(name) ?? 0, dropped: dropped.get(name) ?? 0 })) : mergedRows(archive, mergeReport.collections),
    warnings: [...warnings, ...(pointer === undefined ? [] : pointerWarnings(pointer)), ...keptWarnings(journal), ...(swapReport?.warnings ?? []), ...(mergeReport?.warnings ?? []), ...late, ...lostWarnings(journal, beforeRestore)],
  };
}

function keptWarnings({ keepOld, swapPlan }: RestoreJournal): string[] {
  if (keepOld !== true) return [];
  const kept = swapPlan.old.flatMap(({ name, old }) => (old === null ? [] : [`${name} is kept as ${old}`]));
  return [`No safety backup was taken; what was live stays in the database until restoreReleaseOld`, ...kept];
}
