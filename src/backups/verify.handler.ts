import { Injectable, type OnModuleInit } from '@nestjs/common';
import { z } from 'zod';
import { AppError, asAppError } from '#errors';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { JsonObject, OperationContext, OperationHandler } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { archiveRefOf, type ArchiveRef, ArchiveFiles, isArchiveFault } from './archive-files.js';
import { BackupCopies } from './backup-copies.js';
import { isUsable, readWhole, type VerificationRow } from './backup.entity.js';
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
    private readonly copies: BackupCopies,
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
    const ref = archiveRefOf(backup);
    const verification = await this.verify(context, ref);
    for (const store of await this.copies.check(context, backup.id, ref, context.signal)) context.log(`The copy in the store ${store} is not what was written: it is made anew`, 'WARN');
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

  /** A file that is not good is written anew where a copy is. */
  private async verify(context: OperationContext<VerifyInput>, ref: ArchiveRef & { readonly backupId: string }): Promise<VerificationRow> {
    const found = await this.read(context, ref);
    if (found.ok || found.code?.startsWith('ARCHIVE_') !== true || !(await this.files.heal(ref, context.signal))) return found;
    const again = await this.read(context, ref);
    if (!again.ok) return found;
    context.log(`The stored file was not good (${found.message}); it was written anew from a copy`, 'WARN');
    await this.audit.record({ action: 'backup.healed', tenantId: context.tenantId, actor: null, subject: { type: 'Backup', id: ref.backupId }, detail: { code: found.code } });
    return { ...again, message: `The stored file was not good (${found.code}) and was written anew from a copy; every byte was read` };
  }

  private async read(context: OperationContext<VerifyInput>, ref: ArchiveRef): Promise<VerificationRow> {
    const at = new Date().toISOString();
    try {
      const archive = await this.files.openFirst(context, ref);
      try {
        await archive.verify(context);
      } finally {
        await archive.close();
      }
      return readWhole(ref.sha256, 'Every byte was read; hash, tags, counts and sums are right', at);
    } catch (error) {
      context.signal.throwIfAborted();
      const fault = asAppError(error);
      if (!isArchiveFault(fault)) throw error;
      return { at, ok: false, code: fault.code, message: fault.message };
    }
  }
}
