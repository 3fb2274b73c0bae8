import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, redact } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { ArchiveFiles } from '../backups/archive-files.js';
import { BackupDeletion } from '../backups/backup-deletion.js';
import type { BackupEntity } from '../backups/backup.entity.js';
import { BackupsService } from '../backups/backups.service.js';
import type { StoredBackup } from '../backups/stored-backup.js';
import { AppConfig } from '../config/app-config.js';
import { OperationsService } from '../operations/operations.service.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { Sweep } from '../platform/queue/sweep.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { bulkHoldMs, decideHold, findingsOf, mostAtOnce } from './bulk-hold.js';
import { ClockGuard } from './clock-guard.js';
import { RetentionRepository } from './retention.repository.js';
import { type Judgement, TenantJudge } from './tenant-judge.js';

const tenantsAtOnce = 2_000;
const againInMs = 3_600_000;
const busyPauseMs = 10 * 60 * 1000;

const refusals: ReadonlySet<string> = new Set(['BACKUP_PROTECTED', 'BACKUP_IN_USE', 'BACKUP_NOT_USABLE', 'UNDO_WOULD_BE_LOST']);

const retentionActor: ActorStamp = { id: 'system:retention', kind: 'SYSTEM', email: null, name: 'Retention' };

/**
 * Deletes what the rules let go, one backup after the other, each judged anew under the lock of its tenant's row. Any process may do it: PostgreSQL gives each tenant's turn to
 * one. Where anything speaks against it nothing is deleted: a clock that is not to be believed, many backups due at once, a suspended tenant, work under way, a store that is away.
 */
@Injectable()
export class RetentionSweep extends Sweep implements BeforeApplicationShutdown {
  protected readonly failure = 'Old backups could not be looked for';
  private round: Promise<void> | null = null;
  private isStopping = false;

  constructor(
    private readonly settings: AppConfig,
    private readonly dataSource: DataSource,
    private readonly clock: ClockGuard,
    private readonly rows: RetentionRepository,
    private readonly tenants: TenantsService,
    private readonly operations: OperationsService,
    private readonly judge: TenantJudge,
    private readonly deletion: BackupDeletion,
    private readonly backups: BackupsService,
    private readonly files: ArchiveFiles,
    private readonly alerts: AlertsService,
  ) {
    super(settings);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    await this.round;
  }

  /** Over the tenants whose turn it is; one that is called meanwhile is the same round. */
  look(): Promise<void> {
    this.round ??= this.lookAtAll().finally(() => (this.round = null));
    return this.round;
  }

  private async lookAtAll(): Promise<void> {
    const now = await this.clock.believedTime();
    if (now === null) return;
    await this.rows.addTenants(now);
    for (let count = 0; count < tenantsAtOnce && !this.isStopping; count += 1) {
      const scope = await this.rows.takeNext(now, againInMs);
      if (scope === null) return;
      await this.lookAt(scope, now).catch((error: unknown) => this.logger.warn({ msg: 'Old backups of a workspace could not be deleted; this is tried again', tenantId: scope.tenantId, error: redact(String(error)) }));
    }
  }

  private async lookAt(scope: TenantScope, now: Date): Promise<void> {
    if ((await this.operations.findRunning(scope.tenantId)) !== null) return this.rows.comeAgain(scope, new Date(now.getTime() + busyPauseMs));
    const due = await runInTransaction(this.dataSource, (manager) => this.dueNow(scope, now, manager));
    // What was due before it was held back stays known as such: the next run compares with that.
    if (due === null || (due.length > 0 && !(await this.lastGoodIsThere(scope)))) return;
    let deleted = 0;
    try {
      for (const { id } of due.slice(0, this.settings.retentionMaxPerRun)) {
        if (this.isStopping) break;
        const begun = await this.begin(scope, id, now);
        if (begun === null) continue;
        await this.deletion.finish(begun);
        deleted += 1;
      }
    } finally {
      await this.rows.saveRun(scope, now, due.length - deleted);
    }
    if (deleted > 0) this.logger.log({ msg: 'Old backups were deleted', tenantId: scope.tenantId, backups: deleted, due: due.length });
  }

  /** What may go in this run, oldest first; null while it is held back. Says once what people have to know. */
  private async dueNow(scope: TenantScope, now: Date, manager: EntityManager): Promise<readonly StoredBackup[] | null> {
    await this.tenants.getForUpdate(manager, scope.tenantId);
    const judgement = await this.judge.judge(scope, now, {}, manager);
    const due = dueOf(judgement);
    await this.tellOfLastGood(scope, judgement, manager);
    const record = await this.rows.run(scope, manager);
    const findings = findingsOf(judgement, record);
    const hold = decideHold(record, findings, now);
    const isChanged = hold.heldSince?.getTime() !== record.heldSince?.getTime();
    if (isChanged) await this.rows.saveHold(scope, hold, manager);
    const about = { tenantId: scope.tenantId, event: 'RETENTION_REFUSED', subject: 'many' } as const;
    if (isChanged) await this.alerts.resolve(about, manager);
    if (hold.heldSince === null) return due;
    const until = new Date(hold.heldSince.getTime() + bulkHoldMs).toISOString();
    const text = `${due.length} of ${judgement.backups.length} backups have become due at once; more than ${mostAtOnce(findings)} look like a mistake. None is deleted before ${until}, unless the provider confirms it`;
    await this.alerts.raise({ ...about, text, detail: { due: due.length, stored: judgement.backups.length } }, manager);
    return null;
  }

  private async tellOfLastGood({ tenantId }: TenantScope, { backups, verdicts }: Judgement, manager: EntityManager): Promise<void> {
    const about = { tenantId, event: 'LAST_GOOD_KEPT', subject: 'last-good' } as const;
    const kept = backups.find(({ id, isWhole }) => isWhole && verdicts.get(id)?.reason === 'LAST_GOOD');
    if (kept === undefined) return this.alerts.resolve(about, manager);
    await this.alerts.raise({ ...about, text: `The backup of ${kept.at.toISOString()} is older than its rule keeps it. It stays, because there is no newer good one of the whole database` }, manager);
  }

  /** A row says that it is good; where its file is gone, an older one that is due may be the last that is. */
  private async lastGoodIsThere(scope: TenantScope): Promise<boolean> {
    const about = { tenantId: scope.tenantId, event: 'RETENTION_REFUSED', subject: 'last-good-missing' } as const;
    const backup = await this.backups.findLastGood(scope);
    const doubt = backup && (await this.doubtAbout(backup));
    if (backup === null || doubt === null) {
      await this.alerts.resolve(about);
      return true;
    }
    await this.alerts.raise({ ...about, text: `The archive store does not hold the last good backup, of ${(backup.finishedAt ?? backup.createdAt).toISOString()}, as it was written: no backup is deleted by its rule. ${doubt}`, detail: { backupId: backup.id } });
    return false;
  }

  /** Null where the file is there. */
  private async doubtAbout({ storeKey, sizeBytes, manifestSha256 }: BackupEntity): Promise<string | null> {
    try {
      const isThere = storeKey !== null && sizeBytes !== null && (await this.files.isThere({ storeKey, sizeBytes, manifestSha256 }));
      return isThere ? null : 'Verify it, or compare the store with the catalogue';
    } catch (error) {
      if (error instanceof AppError && error.code === 'STORE_CHANGED') return error.message;
      throw error;
    }
  }

  /** Null where it is not due any more, or may not go for a reason that the judgement does not know. */
  private async begin(scope: TenantScope, id: string, now: Date): Promise<BackupEntity | null> {
    try {
      return await runInTransaction(this.dataSource, async (manager) => {
        const tenant = await this.tenants.getForUpdate(manager, scope.tenantId);
        if (tenant.suspendedAt !== null) return null;
        const verdict = (await this.judge.judge(scope, now, {}, manager)).verdicts.get(id);
        return verdict?.due === true ? this.deletion.begin(scope, id, retentionActor, verdict, manager) : null;
      });
    } catch (error) {
      if (!(error instanceof AppError) || !refusals.has(error.code)) throw error;
      await this.alerts.raise({ tenantId: scope.tenantId, event: 'RETENTION_REFUSED', subject: id, text: `A backup is due by its rule, but must not be deleted: ${error.message}`, detail: { code: error.code } });
      return null;
    }
  }
}

function dueOf({ backups, verdicts }: Judgement): StoredBackup[] {
  return backups.filter(({ id }) => verdicts.get(id)?.due === true).sort((a, b) => a.at.getTime() - b.at.getTime());
}
