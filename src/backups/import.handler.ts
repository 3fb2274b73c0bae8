import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import { AppError, asAppError } from '#errors';
import { lockOf } from '#storage';
import { Permission } from '../access/permission.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { factsOf } from './archive-facts.js';
import { ArchiveFiles, archiveRefOf } from './archive-files.js';
import { type BackupEntity, isUsable, readWhole } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';

const importInput = z.strictObject({ backupId: z.uuid() });
export type ImportInput = z.output<typeof importInput>;

const dayMs = 24 * 60 * 60 * 1000;

/** Reads an uploaded archive whole; only then it is a backup. A failure that may pass leaves the file to the upload. */
@Injectable()
export class ImportHandler implements OperationHandler<ImportInput>, OnModuleInit {
  readonly kind = 'IMPORT';
  readonly exclusive = false;
  readonly permission = Permission.RESTORE_RUN;
  readonly deadlineMs = dayMs;
  readonly input = importInput;

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly backups: BackupsRepository,
    private readonly files: ArchiveFiles,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return ['VERIFY'];
  }

  async run(context: OperationContext<ImportInput>): Promise<JsonObject> {
    await context.enter('VERIFY');
    const backup = await this.backups.find(context, context.input.backupId);
    if (backup === null) throw new AppError('INTERNAL', 'The operation has no backup');
    const result = { type: 'BackupResult', backupId: backup.id };
    if (backup.state === 'COMPLETED') return result;
    try {
      await context.fenced((manager) => this.backups.update(context, backup.id, ['QUEUED', 'RUNNING'], { state: 'RUNNING' }, manager));
      await context.faultPoint('import.verify');
      await this.read(context, backup);
      return result;
    } catch (error) {
      if (backup.storeKey !== null && isLasting(asAppError(context.signal.reason ?? error))) await this.remove(context, backup.id, backup.storeKey);
      throw error;
    }
  }

  /** Not where another worker, which has the operation by now, has made a backup of the file. @throws AppError LEASE_LOST */
  private async remove(context: OperationContext<ImportInput>, id: string, storeKey: string): Promise<void> {
    const now = await context.fenced((manager) => this.backups.find(context, id, manager));
    // What is locked already is the upload's again, and goes with it.
    if (now === null || !isUsable(now)) await lockOf(this.files.remove(storeKey));
  }

  /** Reading changes nothing, so it simply begins again. */
  recover(context: OperationContext<ImportInput>): Promise<JsonObject> {
    return this.run(context);
  }

  async settled({ tenantId, input, state, failure }: SettledOperation<ImportInput>, manager: EntityManager): Promise<void> {
    if (state === 'COMPLETED') return;
    // What is left of the file is the upload's again, which can be imported once more.
    await this.backups.update({ tenantId }, input.backupId, ['QUEUED', 'RUNNING'], { state, failure, storeKey: () => 'null', finishedAt: () => 'clock_timestamp()' }, manager);
  }

  private async read(context: OperationContext<ImportInput>, backup: BackupEntity): Promise<void> {
    const ref = archiveRefOf(backup);
    const archive = await this.files.openAny(context, ref);
    try {
      await archive.verify(context);
      const facts = {
        state: 'COMPLETED' as const,
        ...(await factsOf(archive, context)),
        verification: readWhole(ref.sha256, 'Read whole when it was imported'),
      };
      context.signal.throwIfAborted();
      if (backup.storeKey !== null) await this.files.protect(backup.storeKey);
      await context.fenced((manager) => this.backups.update(context, backup.id, ['RUNNING'], { ...facts, finishedAt: () => 'clock_timestamp()' }, manager));
    } finally {
      await archive.close();
    }
  }
}

/** A damaged file stays damaged; after a shutdown, without a key, or while the store is away, nobody should have to send it again. */
function isLasting({ code, entry }: AppError): boolean {
  return !entry.retryable && !code.startsWith('KEY_');
}
