import { Injectable, type OnModuleInit } from '@nestjs/common';
import { z } from 'zod';
import { AppError, asAppError } from '#errors';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { JsonObject, OperationContext, OperationHandler } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { archiveRefOf, ArchiveFiles, isArchiveFault } from './archive-files.js';
import { type BackupEntity, isUsable, type VerificationRow } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';

const verifyInput = z.strictObject({ backupId: z.uuid() });
export type VerifyInput = z.output<typeof verifyInput>;

const dayMs = 24 * 60 * 60 * 1000;

/** Reads a stored backup whole. What it finds is data: a damaged archive is a completed verification with a bad result. */
@Injectable()
export class VerifyHandler implements OperationHandler<VerifyInput>, OnModuleInit {
  readonly kind = 'VERIFY';
  readonly exclusive = false;
  readonly restartable = true;
  readonly permission = Permission.BACKUP_CREATE;
  readonly deadlineMs = dayMs;
  readonly input = verifyInput;

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly backups: BackupsRepository,
    private readonly files: ArchiveFiles,
    private readonly audit: AuditService,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return ['VERIFY'];
  }

  async run(context: OperationContext<VerifyInput>): Promise<JsonObject> {
    await context.enter('VERIFY');
    await context.faultPoint('verify.begun');
    const backup = await this.backups.find(context, context.input.backupId);
    if (backup === null || !isUsable(backup)) throw new AppError('BACKUP_NOT_USABLE', 'The backup was deleted');
    const verification = await this.verify(context, backup);
    await context.fenced(async (manager) => {
      await this.backups.update(context, backup.id, [backup.state], { verification }, manager);
      if (verification.ok) return;
      await this.audit.record({ action: 'backup.damaged', outcome: 'FAILED', tenantId: context.tenantId, actor: null, subject: { type: 'Backup', id: backup.id }, detail: { code: verification.code } }, manager);
    });
    return { type: 'VerifyResult', backupId: backup.id, ok: verification.ok, code: verification.code, message: verification.message };
  }

  /** It changed nothing, so it simply runs again. */
  recover(context: OperationContext<VerifyInput>): Promise<JsonObject> {
    return this.run(context);
  }

  private async verify(context: OperationContext<VerifyInput>, backup: BackupEntity): Promise<VerificationRow> {
    const at = new Date().toISOString();
    try {
      const archive = await this.files.openAny(context, archiveRefOf(backup));
      try {
        await archive.verify(context);
      } finally {
        await archive.close();
      }
      return { at, ok: true, code: null, message: 'Every byte was read; hash, tags, counts and sums are right' };
    } catch (error) {
      context.signal.throwIfAborted();
      const fault = asAppError(error);
      if (!isArchiveFault(fault)) throw error;
      return { at, ok: false, code: fault.code, message: fault.message };
    }
  }
}
