import { Injectable, type OnModuleInit } from '@nestjs/common';
import { z } from 'zod';
import { AppError, asAppError } from '#errors';
import { Permission } from '../access/permission.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { AuditService } from '../audit/audit.service.js';
import { ArchiveFiles } from '../backups/archive-files.js';
import { isSameArchive, protectArchive } from '../backups/archive-objects.js';
import { BackupCopies } from '../backups/backup-copies.js';
import { failureOf } from '../operations/operation-failure.js';
import type { JsonObject, OperationContext, OperationHandler } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { ArchiveStores } from '../platform/storage/archive-stores.js';
import { DestinationsRepository, type WantedCopy } from './destinations.repository.js';

const copyInput = z.strictObject({});
export type CopyInput = z.output<typeof copyInput>;

const weekMs = 7 * 24 * 60 * 60 * 1000;
/** So often a copy fails before people are told: a store may be away for a while. */
const borne = 3;

/** Makes the copies that a tenant's destinations lack and removes those that nobody reads any more, beside whatever else runs. */
@Injectable()
export class CopyHandler implements OperationHandler<CopyInput>, OnModuleInit {
  readonly kind = 'COPY';
  readonly exclusive = false;
  readonly restartable = true;
  readonly permission = Permission.STORAGE_MANAGE;
  readonly deadlineMs = weekMs;
  readonly input = copyInput;

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly destinations: DestinationsRepository,
    private readonly copies: BackupCopies,
    private readonly files: ArchiveFiles,
    private readonly stores: ArchiveStores,
    private readonly alerts: AlertsService,
    private readonly audit: AuditService,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return ['COPY', 'CLEANUP'];
  }

  async run(context: OperationContext<CopyInput>): Promise<JsonObject> {
    await context.enter('COPY');
    const wanted = await this.destinations.wanted(context);
    let made = 0;
    for (const [index, copy] of wanted.entries()) {
      context.signal.throwIfAborted();
      context.report({ bytesDone: 0, bytesTotal: copy.sizeBytes, itemsDone: index, itemsTotal: wanted.length, current: copy.store });
      if (await this.make(context, copy, { index, of: wanted.length })) made += 1;
    }
    await context.enter('CLEANUP');
    const moved = await context.fenced((manager) => this.destinations.endMoves(context, manager));
    for (const from of moved) await this.audit.record({ action: 'destination.moved', tenantId: context.tenantId, actor: null, detail: { from } });
    await context.faultPoint('copy.cleanup');
    for (const { message } of await this.copies.removeMarked(context)) context.log(`A copy that nobody reads any more is still there: ${message}`, 'WARN');
    await this.destinations.forgetDeleted(context);
    return { copied: made, failed: wanted.length - made };
  }

  /** What is done is done; what was being written is written anew. */
  recover(context: OperationContext<CopyInput>): Promise<JsonObject> {
    return this.run(context);
  }

  /** False where it failed, or is not wanted any more. */
  private async make(context: OperationContext<CopyInput>, copy: WantedCopy, place: { readonly index: number; readonly of: number }): Promise<boolean> {
    if (!(await context.fenced((manager) => this.destinations.begin(context, copy, manager)))) return false;
    try {
      await this.write(context, copy, place);
    } catch (error) {
      context.signal.throwIfAborted();
      const failure = failureOf(asAppError(error));
      context.log(`The backup ${copy.backupId} could not be copied to ${copy.store}: ${failure.message}`, 'WARN');
      await context.fenced(async (manager) => {
        const attempts = await this.destinations.fail(context, copy, failure, manager);
        if (attempts < borne) return;
        await this.alerts.raise({ tenantId: context.tenantId, event: 'COPY_FAILED', subject: copy.store, text: `Backups cannot be copied to the store ${copy.store}: ${failure.message}`, detail: { code: failure.code } }, manager);
      });
      return false;
    }
    await context.faultPoint('copy.written');
    return context.fenced(async (manager) => {
      const done = await this.destinations.finish(context, copy, manager);
      if (done) await this.alerts.resolve({ tenantId: context.tenantId, event: 'COPY_FAILED', subject: copy.store }, manager);
      return done;
    });
  }

  private async write(context: OperationContext<CopyInput>, copy: WantedCopy, place: { readonly index: number; readonly of: number }): Promise<void> {
    const target = this.stores.get(copy.store);
    if (!(await this.stores.isApart(copy.store))) throw new AppError('STORE_TAKEN', `The store ${copy.store} is the main store by another name: what lies there is no copy`);
    // What an interrupted try, or an earlier main store, has left there whole is as good as a new copy.
    if (await isSameArchive(target, copy, context.signal)) return protectArchive(target, copy);
    await context.faultPoint('copy.writing');
    await this.files.copyTo(target, copy, context.signal, (bytesDone) => context.report({ bytesDone, bytesTotal: copy.sizeBytes, itemsDone: place.index, itemsTotal: place.of, current: copy.store }));
  }
}
