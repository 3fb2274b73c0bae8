import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import type { EngineSession, SetAsideNamespace } from '#engines';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { archiveFileName, archiveStoreKey } from './backup-naming.js';
import { asBackupWork, BackupRunner, isLeaseLost } from './backup-runner.js';
import type { BackupEntity } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';

const keptForMs = 7 * 24 * 60 * 60 * 1000;

/** Backups that Holdfast takes of what it is about to change. They are kept 7 days and count against nobody's quota. */
@Injectable()
export class SafetyBackups {
  constructor(
    private readonly backups: BackupsRepository,
    private readonly runner: BackupRunner,
  ) {}

  /**
   * Takes one inside the running operation. `only`: of what a restore set aside, for its last state.
   *
   * @throws whatever made it fail, after its bytes were removed and its row says why
   */
  async take(context: OperationContext<JsonObject>, session: EngineSession, name: string, only?: readonly SetAsideNamespace[]): Promise<BackupEntity> {
    const backup = await context.fenced(async (manager) => {
      const id = randomUUID();
      const createdAt = new Date();
      const fileName = archiveFileName({ id, label: 'safety', createdAt, codec: 'GZIP' });
      await this.backups.insert(
        {
          id, tenantId: context.tenantId, operationId: context.id, name, label: 'safety', trigger: 'SAFETY', scope: 'ALL', codec: 'GZIP', state: 'QUEUED',
          storeKey: archiveStoreKey(context.tenantId, fileName), fileName, encrypted: true, contents: [], pinned: false, held: false, createdAt,
          expiresAt: new Date(createdAt.getTime() + keptForMs),
        },
        manager,
      );
      const row = await this.backups.find(context, id, manager);
      if (row === null) throw new AppError('INTERNAL', 'The row of the safety backup is gone');
      return row;
    });
    try {
      return await this.runner.run(asBackupWork(context, () => Promise.resolve()), backup, only === undefined ? { session } : { session, only });
    } catch (error) {
      if (!isLeaseLost(error) && !isLeaseLost(context.signal.reason)) await this.runner.discard(context, backup, context.signal.reason ?? error);
      throw error;
    }
  }

  /** What a dead worker left of safety backups of this operation that it had not finished. Idempotent. */
  async discardUnfinished(context: OperationContext<JsonObject>, error: AppError): Promise<void> {
    for (const backup of await this.backups.unfinishedOf(context, context.id)) {
      await this.runner.discard(context, backup, error);
    }
  }

  find(context: OperationContext<JsonObject>, id: string): Promise<BackupEntity | null> {
    return this.backups.find(context, id);
  }

  /** The later one holds everything that undo needs: the earlier one goes, first its bytes, then its row. Idempotent. */
  async replace(context: OperationContext<JsonObject>, earlierId: string): Promise<void> {
    const earlier = await this.backups.find(context, earlierId);
    if (earlier === null || earlier.state === 'DELETED') return;
    await context.fenced((manager) => this.backups.update(context, earlierId, ['COMPLETED'], { deletedAt: () => 'clock_timestamp()' }, manager));
    await this.runner.removeBytes(earlier);
    await context.fenced((manager) => this.backups.update(context, earlierId, ['COMPLETED'], { state: 'DELETED' }, manager));
  }
}
