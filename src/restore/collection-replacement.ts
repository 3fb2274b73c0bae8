import { Injectable } from '@nestjs/common';
import type { EngineSession, LeasedWork, PayloadSource, StagedDatabase } from '#engines';
import { AppError } from '#errors';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { type FinishCourse, RestoreFinish } from './restore-finish.js';
import { RestoreMaintenance } from './restore-maintenance.js';
import { asJson, RestorePreparation } from './restore-preparation.js';
import { leasedWork, StageRemoval } from './stage-removal.js';

/** Collections, and what takes their place. */
export interface Replacement {
  readonly names: readonly string[];
  /** Asked twice: once to find out what the server cannot build, once when the users are out. */
  readonly source: () => Promise<PayloadSource>;
}

export interface ReplacementCourse extends FinishCourse {
  readonly safetyName: string;
  readonly maintenanceMessage: string;
  choose(session: EngineSession, work: LeasedWork): Promise<Replacement>;
}

/**
 * Puts something else than an archive in the place of chosen live collections, with the safety backup, the maintenance, the commit point, the swap, the recovery and
 * the undo of a restore. Phases: SAFETY_BACKUP, MAINTENANCE_ON, the course's own, MAINTENANCE_OFF, CLEANUP.
 */
@Injectable()
export class CollectionReplacement {
  constructor(
    private readonly tenants: TenantsService,
    private readonly preparation: RestorePreparation,
    private readonly maintenance: RestoreMaintenance,
    private readonly stageRemoval: StageRemoval,
    private readonly finish: RestoreFinish,
  ) {}

  async run(context: OperationContext<JsonObject>, course: ReplacementCourse): Promise<JsonObject> {
    await context.enter('SAFETY_BACKUP');
    await context.faultPoint('restore.begun');
    const session = await this.tenants.openTarget(context);
    try {
      await session.requirePrivileges('BACKUP');
      await session.requirePrivileges('RESTORE');
      await this.stageRemoval.removeLeftOvers(context, session);
      try {
        await this.replace(context, session, course);
      } catch (error) {
        await this.preparation.takeBackAfter(error, context, session);
        throw error;
      }
      return await this.finish.run(context, session, course);
    } finally {
      await session.close();
    }
  }

  async recover(context: OperationContext<JsonObject>, course: FinishCourse): Promise<JsonObject> {
    const lost = new AppError('WORKER_LOST', 'The process that did the work stopped before live data changed');
    // The users need not wait for a database that is away.
    if (!context.committed) await this.preparation.letGo(context, lost);
    const session = await this.tenants.openTarget(context);
    try {
      if (context.committed) return await this.finish.run(context, session, course);
      await this.stageRemoval.remove(context, session);
      throw lost;
    } finally {
      await session.close();
    }
  }

  private async replace(context: OperationContext<JsonObject>, session: EngineSession, course: ReplacementCourse): Promise<void> {
    const work = leasedWork(context);
    const { names, source } = await course.choose(session, work);
    const chosen = new Set(names);
    await this.stageRemoval.note(context);
    await this.stage(session, await source(), work);
    await context.faultPoint('restore.staged');
    const live = (await session.namespaces()).filter(({ name }) => chosen.has(name));
    const safety = await this.preparation.takeSafetyBackup(context, session, course.safetyName, names);
    await context.faultPoint('restore.safe');
    const late = await this.maintenance.begin(context, course.maintenanceMessage);
    const last = await source();
    const staged = await this.stage(session, last, work);
    await context.faultPoint('restore.checked');
    const swapPlan = await session.planSwap(staged, live, work, { only: names });
    await context.faultPoint('restore.planned');
    const archive = last.namespaces.map(({ name, documents }) => ({ name, documents }));
    const journal = asJson({ ...safety, swapPlan, archive, bytesRead: 0, warnings: [...staged.warnings, ...late] });
    await context.commit(journal, (manager) => this.preparation.requireActive(context, manager));
    await context.faultPoint('restore.committed');
  }

  private async stage(session: EngineSession, source: PayloadSource, work: LeasedWork): Promise<StagedDatabase> {
    const staged = await session.stage(source, work);
    await session.checkStage(staged, source, work);
    return staged;
  }
}
