import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DataSource, type EntityManager, type QueryDeepPartialEntity } from 'typeorm';
import { AppError, asAppError, redact } from '#errors';
import { noKey } from '../alerts/alert-event.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { AuditService } from '../audit/audit.service.js';
import { AppConfig } from '../config/app-config.js';
import { Background } from '../platform/background/background.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { isConnectionLoss } from '../platform/database/connection-loss.js';
import { PoliciesService } from '../policies/policies.service.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { nextRunAfter } from './next-run.js';
import type { ScheduleEntity } from './schedule.entity.js';
import { SchedulesRepository } from './schedules.repository.js';
import { SchedulesService } from './schedules.service.js';

const everyMs = 15_000;
const atOnce = 100;
/** A run that begins later than this was missed: nothing ran, or the workspace was suspended. */
const lateMs = 30 * 60 * 1000;
const busyPauseMs = 60_000;
const missedAfterMs = 2 * 3_600_000;
const bringBackEveryMs = 3_600_000;
const farAheadAtOnce = 1_000;

/**
 * Starts what is due, in whatever process ticks: the row's lock decides who does, and its next run is set in the transaction that starts the backup. What a workspace missed is made
 * up for once, however much it was, or skipped, as its policy says.
 */
@Injectable()
export class ScheduleTicks implements OnApplicationBootstrap {
  private readonly logger = new Logger(ScheduleTicks.name);
  private bringBackAtMs = 0;

  constructor(
    private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly rows: SchedulesRepository,
    private readonly schedules: SchedulesService,
    private readonly policies: PoliciesService,
    private readonly alerts: AlertsService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly background: Background,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.runsWorker) this.background.every(ScheduleTicks.name, everyMs, () => this.tick());
  }

  async tick(): Promise<void> {
    if (!this.config.runsWorker) return;
    try {
      await this.bringBack();
      for (let started = 0; started < atOnce && (await this.runOne()); started++);
      await this.tellMissed();
    } catch (error) {
      if (!isConnectionLoss(error)) this.logger.error({ msg: 'Schedules could not be looked at', error: redact(String(error)) });
    }
  }

  /** False when nothing is due. One that cannot be run waits a minute, so that it keeps no other one from running; when it has waited for two hours people are told. */
  private runOne(): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const schedule = await this.rows.lockDue(manager);
      if (schedule === null) return false;
      const now = await this.rows.now(manager);
      const later = { dueAt: new Date(now.getTime() + busyPauseMs) };
      const after = await manager.transaction((inside) => this.run(schedule, now, inside)).catch((error: unknown) => {
        if (isConnectionLoss(error)) throw error;
        this.logger.error({ msg: 'A schedule could not be run; this is tried again', scheduleId: schedule.id, tenantId: schedule.tenantId, error: redact(String(error)) });
        return null;
      });
      await this.rows.update(schedule, schedule.id, after ?? later, manager);
      return true;
    });
  }

  /** What the row says after it; null where the workspace is busy. */
  private async run(schedule: ScheduleEntity, now: Date, manager: EntityManager): Promise<QueryDeepPartialEntity<ScheduleEntity> | null> {
    const isLate = schedule.nextRunAt !== null && now.getTime() - schedule.nextRunAt.getTime() > lateMs;
    const skips = isLate && (await this.policies.of(schedule, manager)).catchUp === 'SKIP';
    if (!skips && !(await this.start(schedule, now, manager))) return null;
    return { ...nextRunAfter(schedule, now), lastDueAt: await this.expected(schedule, skips, manager) };
  }

  /** A clock that was set far forward, and back, has left next runs that are years away: nobody would take backups until then, and nobody would miss them. */
  private async bringBack(): Promise<void> {
    if (performance.now() < this.bringBackAtMs) return;
    for (const schedule of await this.rows.farAhead(farAheadAtOnce)) {
      await this.bringBackOne(schedule).catch((error: unknown) => this.logger.error({ msg: 'The next run of a schedule could not be found', scheduleId: schedule.id, tenantId: schedule.tenantId, error: redact(String(error)) }));
    }
    this.bringBackAtMs = performance.now() + bringBackEveryMs;
  }

  private async bringBackOne(schedule: ScheduleEntity): Promise<void> {
    const next = nextRunAfter(schedule, await this.rows.now(this.dataSource.manager));
    if (next.nextRunAt === null || schedule.nextRunAt === null || next.nextRunAt >= schedule.nextRunAt) return;
    await this.rows.bringBack(schedule, schedule.id, schedule.nextRunAt, next);
    this.logger.warn({ msg: 'The next run of a schedule was further away than its cadence allows: a clock was wrong', scheduleId: schedule.id, tenantId: schedule.tenantId, was: schedule.nextRunAt, is: next.nextRunAt });
  }

  /** False where the workspace is busy: it is tried again. */
  private async start(schedule: ScheduleEntity, now: Date, manager: EntityManager): Promise<boolean> {
    const startedBy: ActorStamp = { id: `schedule:${schedule.id}`, kind: 'SYSTEM', email: null, name: schedule.name };
    const { tenantId, id, name } = schedule;
    try {
      await manager.transaction((inside) => this.schedules.start(schedule, schedule, now, startedBy, inside));
      return true;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { code, message } = asAppError(error);
      if (code === 'OPERATION_ALREADY_RUNNING' || code === 'MAINTENANCE') return false;
      if (code === 'ENCRYPTION_KEY_MISSING') await this.alerts.raise({ ...noKey, text: message }, manager);
      else await this.alerts.raise({ tenantId, event: 'BACKUP_FAILED', subject: `${id} ${String(schedule.nextRunAt?.toISOString())}`, text: `The schedule "${name}" could not start its backup: ${message}`, detail: { code } }, manager);
      await this.audit.record({ action: 'schedule.run-refused', outcome: 'REFUSED', tenantId, actor: startedBy, subject: { type: 'Schedule', id }, detail: { code } }, manager);
      return true;
    }
  }

  /** Since when a backup of it is waited for: what came due while the workspace was suspended nobody waits for before it was resumed, or at all. */
  private async expected(schedule: ScheduleEntity, skipped: boolean, manager: EntityManager): Promise<Date | null> {
    const { resumedAt } = await this.tenants.get(schedule, manager);
    if (resumedAt === null || schedule.nextRunAt === null || resumedAt < schedule.nextRunAt) return schedule.nextRunAt;
    return skipped ? null : resumedAt;
  }

  private async tellMissed(): Promise<void> {
    for (const { id, tenantId, name, dueAt } of await this.rows.missed(missedAfterMs)) {
      await this.alerts.raise({ tenantId, event: 'BACKUP_MISSED', subject: `${id} ${dueAt.toISOString()}`, text: `The schedule "${name}" was due at ${dueAt.toISOString()}, and no backup of it has been completed since` });
    }
  }
}
