import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { EngineSession, NamespaceState } from '#engines';
import { AppError, asAppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import { isLeaseLost } from '../backups/backup-runner.js';
import type { BackupEntity } from '../backups/backup.entity.js';
import { requireUsable } from '../backups/backups.service.js';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { type CopyTarget, CopyTargets } from '../tenants/copy-targets.js';
import { diffCollections, type NamespaceShape, toShape } from './collection-diff.js';
import { sourceOf } from './restore-planner.js';
import { RestoreSources } from './restore-sources.js';
import { StageLeftOversRepository } from './stage-left-overs.repository.js';
import { leasedWork } from './stage-removal.js';

export const drillPhases = ['VERIFY', 'STAGE', 'CHECK', 'SWAP', 'COMPARE', 'CLEANUP'] as const;

export interface DrillReport {
  readonly collections: number;
  readonly documents: number;
}

/** Restores a backup into a scratch database, the whole way, compares what is there with the archive, and drops it. */
@Injectable()
export class RestoreDrill {
  constructor(
    private readonly sources: RestoreSources,
    private readonly targets: CopyTargets,
    private readonly leftOvers: StageLeftOversRepository,
  ) {}

  /** A free name; asks the server, so call it before the transaction. @throws AppError TARGET_* */
  chooseDatabase(scope: TenantScope): Promise<CopyTarget> {
    return this.targets.makeScratch(scope);
  }

  /** Nobody else may have it until the operation ends. */
  reserve(scope: TenantScope, operationId: string, target: CopyTarget, manager: EntityManager): Promise<void> {
    return this.targets.reserve(scope, operationId, target, manager);
  }

  /** The operation has ended. What is left of its database is nobody else's until the sweep has dropped it. */
  async release(operationId: string, manager: EntityManager): Promise<void> {
    if (!(await this.leftOvers.isNoted(operationId, manager))) await this.targets.release(operationId, manager);
  }

  /** Leaves nothing behind, whatever comes of it. @throws AppError ARCHIVE_*, KEY_*, STAGE_*, TARGET_*, DRILL_MISMATCH */
  async run(context: OperationContext<JsonObject>, backup: BackupEntity, target: CopyTarget): Promise<DrillReport> {
    const session = await this.targets.openScratch(context, target);
    try {
      const report = await this.restore(context, session, backup);
      await context.enter('CLEANUP');
      await this.drop(context, session, target, context.signal);
      return report;
    } catch (error) {
      if (!isLeaseLost(error) && !isLeaseLost(context.signal.reason)) await this.tryToDrop(context, session, target);
      throw error;
    } finally {
      await session.close();
    }
  }

  /** What a worker that died has left. */
  async clean(context: OperationContext<JsonObject>, target: CopyTarget): Promise<void> {
    const session = await this.targets.openScratch(context, target);
    try {
      await this.drop(context, session, target, context.signal);
    } finally {
      await session.close();
    }
  }

  private async restore(context: OperationContext<JsonObject>, session: EngineSession, backup: BackupEntity): Promise<DrillReport> {
    await context.enter('VERIFY');
    requireUsable(backup);
    const source = await this.sources.open(context, sourceOf(backup));
    try {
      await session.requirePrivileges('RESTORE');
      const { payload } = await source.verify(context, null);
      const archive = await source.shapes(context);
      await context.enter('STAGE');
      // Before anything is made: what cannot be dropped at the end is then dropped by a sweep.
      await context.fenced((manager) => this.leftOvers.note(context.id, manager));
      const staged = await session.stage(payload, leasedWork(context));
      await context.faultPoint('drill.staged');
      await context.enter('CHECK');
      await session.checkStage(staged, payload, leasedWork(context));
      await context.enter('SWAP');
      await session.swap(await session.planSwap(staged, [], leasedWork(context)), leasedWork(context));
      await context.faultPoint('drill.swapped');
      await context.enter('COMPARE');
      requireSame(await session.catalogue(), archive);
      return { collections: archive.length, documents: archive.reduce((sum, { documents }) => sum + documents, 0) };
    } finally {
      await source.close();
    }
  }

  /** Also after a cancel, when the operation's own signal has long been aborted. */
  private async tryToDrop(context: OperationContext<JsonObject>, session: EngineSession, target: CopyTarget): Promise<void> {
    try {
      await this.drop(context, session, target, AbortSignal.timeout(10_000));
    } catch (error) {
      context.log(`The scratch database ${target.database} may be left, and is dropped later: ${asAppError(error).message}`, 'WARN');
    }
  }

  private async drop(context: OperationContext<JsonObject>, session: EngineSession, target: CopyTarget, signal: AbortSignal): Promise<void> {
    // Another worker may have begun the drill anew in the same database.
    await session.dropDatabase(target.database, { ...leasedWork(context), signal }, () => context.fenced(() => Promise.resolve()));
    await context.fenced((manager) => this.leftOvers.forget(context.id, manager));
  }
}

/** Documents, bytes and sums were compared by CHECK, before a TTL could delete any. */
function requireSame(live: readonly NamespaceState[], archive: readonly NamespaceShape[]): void {
  const different = diffCollections(live.map(toShape), archive).filter(({ change, indexesChanged, optionsChanged }) => change === 'ADDED' || change === 'MISSING' || indexesChanged.length > 0 || optionsChanged.length > 0);
  const [first] = different;
  if (first === undefined) return;
  const what = first.change === 'ADDED' ? 'is missing' : first.change === 'MISSING' ? 'is not of the backup' : `differs in ${[...first.indexesChanged, ...first.optionsChanged].join(', ')}`;
  throw new AppError('DRILL_MISMATCH', `What was restored is not what the archive holds: ${first.name} ${what}`);
}
