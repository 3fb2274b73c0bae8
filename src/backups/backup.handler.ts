import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { EngineSession } from '#engines';
import { AppError } from '#errors';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { ClassesService } from '../classes/classes.service.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { BackupRunner } from './backup-runner.js';
import { asBackupWork, backupPhases } from './backup-work.js';
import type { BackupEntity } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';

const backupInput = z.strictObject({ backupId: z.uuid() });
export type BackupOperationInput = z.output<typeof backupInput>;

const dayMs = 24 * 60 * 60 * 1000;

@Injectable()
export class BackupHandler implements OperationHandler<BackupOperationInput>, OnModuleInit {
  readonly kind = 'BACKUP';
  readonly exclusive = true;
  readonly restartable = true;
  readonly permission = Permission.BACKUP_CREATE;
  readonly deadlineMs = dayMs;
  readonly input = backupInput;
  readonly weights = { PREPARE: 1, DUMP: 20, FINALIZE: 1, READ_BACK: 6 };

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly backups: BackupsRepository,
    private readonly tenants: TenantsService,
    private readonly classes: ClassesService,
    private readonly runner: BackupRunner,
    private readonly audit: AuditService,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return backupPhases;
  }

  async run(context: OperationContext<BackupOperationInput>): Promise<JsonObject> {
    const backup = await this.get(context);
    const session = await this.tenants.openTarget(context);
    try {
      return resultOf(await this.runner.run(asBackupWork(context), await this.withCollections(context, backup, session), { session }));
    } finally {
      await session.close();
    }
  }

  /** A dump cannot be taken up again: its snapshot is gone. What the dead worker had not finished is removed. */
  async recover(context: OperationContext<BackupOperationInput>): Promise<JsonObject> {
    const backup = await this.get(context);
    if (backup.state === 'COMPLETED') return resultOf(backup);
    await this.runner.tryToRemoveBytes(context, backup);
    throw new AppError('WORKER_LOST', 'The process that took the backup stopped');
  }

  async settled({ tenantId, input, state, failure }: SettledOperation<BackupOperationInput>, manager: EntityManager): Promise<void> {
    if (state !== 'COMPLETED') await this.backups.update({ tenantId }, input.backupId, ['QUEUED', 'RUNNING'], { state, failure, finishedAt: () => 'clock_timestamp()' }, manager);
    await this.audit.record(
      { action: 'backup.ended', outcome: state === 'COMPLETED' ? 'OK' : 'FAILED', tenantId, actor: null, subject: { type: 'Backup', id: input.backupId }, detail: { state, code: failure?.code ?? null } },
      manager,
    );
  }

  /** What belongs to a part of the database is decided once, when its backup begins. */
  private async withCollections(context: OperationContext<BackupOperationInput>, backup: BackupEntity, session: EngineSession): Promise<BackupEntity> {
    if (backup.scope === 'ALL') return backup;
    const collections = await this.classes.namesOf(context, backup.scope, await session.catalogue());
    await context.fenced((manager) => this.backups.update(context, backup.id, ['QUEUED', 'RUNNING'], { collections: [...collections] }, manager));
    return this.get(context);
  }

  private async get(context: OperationContext<BackupOperationInput>): Promise<BackupEntity> {
    const backup = await this.backups.find(context, context.input.backupId);
    if (backup === null) throw new AppError('INTERNAL', 'The operation has no backup');
    return backup;
  }
}

function resultOf(backup: BackupEntity): JsonObject {
  return { type: 'BackupResult', backupId: backup.id };
}
