import { Injectable } from '@nestjs/common';
import type { EngineSession, ExpectedNamespace, MergeForecast, MergePlan, StagedDatabase } from '#engines';
import { AppError } from '#errors';
import { SafetyBackups } from '../backups/safety-backups.js';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import type { MergeChoice, RestoreChoice } from './restore-choice.js';
import type { RestoreJournal } from './restore-journal.js';
import { leasedWork } from './stage-removal.js';

type MergingInput = { readonly dryRun: boolean; readonly live: readonly (ExpectedNamespace & JsonObject)[]; readonly choice: RestoreChoice };

type Safety = Pick<RestoreJournal, 'safetyClusterTime' | 'live'> & { readonly safetyBackupId: string };

/** How often a product may write after maintenance has begun before live data are given back as they are. */
const writesBorne = 2;

/** The parts of a MERGE up to its commit point that a REPLACE does not have. */
@Injectable()
export class RestoreMerge {
  constructor(private readonly safety: SafetyBackups) {}

  /** The dry pass. @throws AppError MERGE_CLASH naming collections and indexes, MERGE_UNSUPPORTED */
  async forecast(context: OperationContext<MergingInput>, session: EngineSession, staged: StagedDatabase, { conflict, skipClashes }: MergeChoice): Promise<MergeForecast> {
    const forecast = await session.forecastMerge(staged, conflict, leasedWork(context));
    if (forecast.clashes.length > 0 && !skipClashes && !context.input.dryRun) throw new AppError('MERGE_CLASH', clashText(forecast));
    return forecast;
  }

  /**
   * In maintenance: the merge writes over live documents, so the safety backup must hold their very last state. If they were written to since it
   * was taken, another one is taken in its place and the dry pass is done again.
   *
   * @throws AppError LIVE_CHANGED, MERGE_CLASH, SWAP_BLOCKED where a product goes on writing
   */
  async prepare(context: OperationContext<MergingInput>, session: EngineSession, staged: StagedDatabase, merge: MergeChoice, early: Safety): Promise<Safety & { readonly mergePlan: MergePlan }> {
    const names = staged.namespaces.map(({ name }) => name);
    let last = early;
    for (let retakes = 0; ; retakes += 1) {
      const written = await session.wasLiveWrittenSince(last.safetyClusterTime, names, leasedWork(context));
      // Where nobody can tell, a backup that was taken in maintenance is the best there is.
      if (written === false || (written === null && retakes > 0)) break;
      if (retakes === writesBorne) throw new AppError('SWAP_BLOCKED', 'The product goes on writing to the chosen collections although the workspace is in maintenance');
      context.log('The collections were written to after the safety backup: taking another one in its place');
      last = await this.retake(context, session, last.safetyBackupId);
      await this.forecast(context, session, staged, merge);
    }
    return { ...last, mergePlan: await session.planMerge(staged, context.input.live, merge.conflict, leasedWork(context)) };
  }

  private async retake(context: OperationContext<MergingInput>, session: EngineSession, earlierId: string): Promise<Safety> {
    const backup = await this.safety.take(context, session, 'Before the merge, last state', context.input.choice.collections);
    await context.faultPoint('restore.merge-safe');
    await this.safety.replace(context, earlierId);
    return { safetyBackupId: backup.id, safetyClusterTime: backup.clusterTime, live: backup.contents.map(({ name, documents }) => ({ name, documents })) };
  }
}

/** What a merge did, or would do, to each collection of the archive. */
export function mergedRows(archive: RestoreJournal['archive'], merged: MergeForecast['collections']): JsonObject[] {
  const counts = new Map(merged.map((row) => [row.name, row]));
  return archive.map(({ name, documents }) => {
    const { inserted, replaced, kept, equal, clashes } = counts.get(name) ?? { inserted: documents, replaced: 0, kept: 0, equal: 0, clashes: 0 };
    return { name, inserted, replaced, kept, dropped: 0, equal, clashes };
  });
}

/** What a dry run tells of clashes. */
export function clashWarnings({ clashes }: MergeForecast): string[] {
  return clashes.map(({ name, index, documents }) => `${documents} ${documents === 1 ? 'document' : 'documents'} of "${name}" would clash on its unique index "${index}"`);
}

function clashText({ clashes }: MergeForecast): string {
  return `The archive holds keys that are taken: ${clashes.map(({ name, index, documents }) => `"${name}", index "${index}", ${documents} ${documents === 1 ? 'document' : 'documents'}`).slice(0, 10).join('; ')}`;
}
