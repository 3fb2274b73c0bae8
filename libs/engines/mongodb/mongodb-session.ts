import type {
  CounterReset, DumpOptions, DumpResult, EngineSession, ExpectedNamespace, FrameSink, LeasedWork, MergeConflict, MergeForecast, MergePlan, MergeReport, NamespaceState, PayloadSource, StagedDatabase, SwapOptions, SwapPlan, SwapReport, SwapStep, TargetInspection, Work,
} from '../port.js';
import { listHeads, readCatalogue } from './catalogue.js';
import { checkStaged } from './check-stage.js';
import { dropOldOf, dropStage, dropWholeDatabase, findMissingOld } from './cleanup.js';
import type { MongodbContext } from './connection.js';
import { dump } from './dump.js';
import { isDriverError, throwTargetError } from './errors.js';
import { hollow } from './hollow.js';
import { inspect } from './inspection.js';
import { forecastMerge } from './merge-forecast.js';
import { planMerge } from './merge-plan.js';
import { runMerge } from './merge-run.js';
import { planSwap, settledIndexCount } from './plan-swap.js';
import { requirePrivileges, type Purpose } from './privileges.js';
import { stageArchive } from './stage.js';
import { runSwap } from './swap.js';
import { wasLiveWritten, wasUsed, wasWritten } from './written-since.js';

/** One operation's work on one tenant's database. Each method is a module of its own; only the connection is shared. */
export class MongodbSession implements EngineSession {
  /** Collections that a dump of this session lost to a drop or a replacement; the next one reads them first. */
  private readonly volatile = new Set<string>();

  constructor(private readonly context: MongodbContext) {}

  inspect(): Promise<TargetInspection> {
    return inspect(this.context);
  }

  requirePrivileges(purpose: Purpose): Promise<void> {
    return requirePrivileges(this.context, purpose);
  }

  catalogue(): Promise<readonly NamespaceState[]> {
    return readCatalogue(this.context);
  }

  async namespaces(): Promise<readonly ExpectedNamespace[]> {
    return (await listHeads(this.context)).map(({ name, uuid }) => ({ name, uuid }));
  }

  dump(sink: FrameSink, options: DumpOptions, work: Work): Promise<DumpResult> {
    return dump(this.context, sink, options, work, this.volatile);
  }

  hollow(names: readonly string[], counters: readonly CounterReset[], work: Work): Promise<PayloadSource> {
    return mapped('reading what is to be emptied', work, hollow(this.context, names, counters, work));
  }

  stage(source: PayloadSource, work: LeasedWork): Promise<StagedDatabase> {
    return mapped('staging the archive', work, stageArchive(this.context, source, work));
  }

  checkStage(staged: StagedDatabase, source: PayloadSource, work: Work): Promise<void> {
    return mapped('checking the stage', work, checkStaged(this.context, staged, source, work));
  }

  dropStage(operationId: string, work: Work): Promise<void> {
    return mapped('dropping the stage', work, dropStage(this.context, operationId, work));
  }

  settledIndexCount(work: Work): Promise<number | null> {
    return mapped('looking for index builds', work, settledIndexCount(this.context, work));
  }

  planSwap(staged: StagedDatabase, expected: readonly ExpectedNamespace[], work: LeasedWork, options?: SwapOptions): Promise<SwapPlan> {
    return mapped('planning the swap', work, planSwap(this.context, staged, expected, work, options));
  }

  swap(plan: SwapPlan, work: LeasedWork, beforeStep?: (index: number, step: SwapStep) => Promise<void>): Promise<SwapReport> {
    return mapped('swapping', work, runSwap(this.context, plan, work, beforeStep));
  }

  wasWrittenSince(clusterTime: string | null, plan: SwapPlan, work: LeasedWork): Promise<boolean> {
    return mapped('looking for late writes', work, wasWritten(this.context, clusterTime, plan, work));
  }

  forecastMerge(staged: StagedDatabase, conflict: MergeConflict, work: LeasedWork): Promise<MergeForecast> {
    return mapped('forecasting the merge', work, forecastMerge(this.context, staged, conflict, work));
  }

  planMerge(staged: StagedDatabase, expected: readonly ExpectedNamespace[], conflict: MergeConflict, work: LeasedWork): Promise<MergePlan> {
    return mapped('planning the merge', work, planMerge(this.context, staged, expected, conflict, work));
  }

  merge(plan: MergePlan, work: LeasedWork, beforeBatch?: (batch: number) => Promise<void>): Promise<MergeReport> {
    return mapped('merging', work, runMerge(this.context, plan, work, beforeBatch));
  }

  wasLiveWrittenSince(clusterTime: string | null, names: readonly string[], work: LeasedWork): Promise<boolean | null> {
    return mapped('looking for late writes', work, wasLiveWritten(this.context, clusterTime, names, work));
  }

  wasUsedSince(since: Date, work: LeasedWork): Promise<boolean | null> {
    return mapped('looking for writes', work, wasUsed(this.context, since, work));
  }

  missingOld(plan: SwapPlan, work: LeasedWork): Promise<readonly string[]> {
    return mapped('looking for what was set aside', work, findMissingOld(this.context, plan, work));
  }

  dropOld(plan: SwapPlan, work: LeasedWork): Promise<void> {
    return mapped('dropping what was set aside', work, dropOldOf(this.context, plan, work));
  }

  dropDatabase(database: string, work: Work, beforeDrop?: () => Promise<void>): Promise<void> {
    return mapped('dropping the database', work, dropWholeDatabase(this.context, database, work, beforeDrop));
  }

  async close(): Promise<void> {
    await this.context.client.close();
  }
}

/** No error of the driver leaves the engine as it is: it may quote documents, hosts or commands. Those of the caller's own callbacks pass. */
async function mapped<T>(doing: string, work: Work, running: Promise<T>): Promise<T> {
  try {
    return await running;
  } catch (error) {
    if (!isDriverError(error)) throw error;
    return throwTargetError(error, doing, work.signal);
  }
}
