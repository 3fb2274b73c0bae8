import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { EngineSession } from '#engines';
import { AppError, asAppError } from '#errors';
import { isLeaseLost } from '../backups/backup-runner.js';
import { SafetyBackups } from '../backups/safety-backups.js';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { TenantsService } from '../tenants/tenants.service.js';
import type { RestoreJournal } from './restore-journal.js';
import { StageRemoval } from './stage-removal.js';

/** What comes before the commit point of everything that replaces live data, and how it is taken back. */
@Injectable()
export class RestorePreparation {
  constructor(
    private readonly tenants: TenantsService,
    private readonly safety: SafetyBackups,
    private readonly stageRemoval: StageRemoval,
  ) {}

  /** @throws AppError SAFETY_BACKUP_FAILED */
  async takeSafetyBackup(context: OperationContext<JsonObject>, live: EngineSession, name: string, collections: readonly string[] | null): Promise<Pick<RestoreJournal, 'live'> & { readonly safetyBackupId: string; readonly safetyClusterTime: string | null }> {
    await context.enter('SAFETY_BACKUP');
    try {
      const backup = await this.safety.take(context, live, name, collections);
      return { safetyBackupId: backup.id, safetyClusterTime: backup.clusterTime, live: backup.contents.map(({ name: collection, documents }) => ({ name: collection, documents })) };
    } catch (error) {
      context.signal.throwIfAborted();
      if (isLeaseLost(error)) throw error;
      const cause = asAppError(error);
      throw new AppError('SAFETY_BACKUP_FAILED', `The safety backup failed: ${cause.message}`, { cause });
    }
  }

  /** In the commit's transaction, so that a suspension comes either before it or finds live data replaced. */
  async requireActive({ tenantId }: OperationContext<JsonObject>, manager: EntityManager): Promise<void> {
    const tenant = await this.tenants.getForUpdate(manager, tenantId);
    if (tenant.suspendedAt !== null) throw new AppError('TENANT_SUSPENDED', 'The workspace was suspended during the work');
  }

  /** Of whatever `error` is: nothing is done once live data may change, or by a worker that has lost its lease. */
  async takeBackAfter(error: unknown, context: OperationContext<JsonObject>, session: EngineSession): Promise<void> {
    if (context.committed || isLeaseLost(error) || isLeaseLost(context.signal.reason)) return;
    await this.tryToTakeBack(context, session, asAppError(context.signal.reason ?? error));
  }

  /** What needs the control plane and the store alone. */
  async letGo(context: OperationContext<JsonObject>, reason: AppError): Promise<void> {
    await context.fenced((manager) => this.tenants.leaveMaintenance(context, context.id, manager));
    await this.safety.discardUnfinished(context, reason);
  }

  /** Live data were not touched: what was made beside them goes. People are told of the first failure, not of what went wrong while cleaning up after it. */
  private async tryToTakeBack(context: OperationContext<JsonObject>, session: EngineSession, reason: AppError): Promise<void> {
    await this.letGo(context, reason).catch((error: unknown) => {
      if (isLeaseLost(error)) throw error;
      context.log(`An unfinished safety backup may be left: ${asAppError(error).message}`, 'ERROR');
    });
    try {
      await this.stageRemoval.remove(context, session);
    } catch (error) {
      context.log(`Staged collections (hf_*) stay in the database until it is back: ${asAppError(error).message}`, 'ERROR');
    }
  }
}

// Interfaces have no index signature; everything in the journal is plain JSON.
export function asJson(journal: RestoreJournal): JsonObject {
  return journal as unknown as JsonObject;
}
