import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { WorkProgress } from '#engines';
import { AppError, asAppError } from '#errors';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { isArchiveFault } from '../backups/archive-files.js';
import { BackupKeys, type ResealOutcome, type ResealWork } from '../backups/backup-keys.js';
import { EncryptionService } from '../encryption/encryption.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';

const reencryptInput = z.strictObject({ keyId: z.string() });
export type ReencryptInput = z.output<typeof reencryptInput>;

const weekMs = 7 * 24 * 60 * 60 * 1000;

/** Moves a tenant's archives to the current key, one after the other. Backups and restores go on beside it. */
@Injectable()
export class ReencryptHandler implements OperationHandler<ReencryptInput>, OnModuleInit {
  readonly kind = 'REENCRYPT';
  readonly exclusive = false;
  readonly restartable = true;
  readonly permission = Permission.STORAGE_MANAGE;
  readonly deadlineMs = weekMs;
  readonly input = reencryptInput;

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly keys: BackupKeys,
    private readonly encryption: EncryptionService,
    private readonly wishes: TenantEncryption,
    private readonly audit: AuditService,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return ['REENCRYPT'];
  }

  async run(context: OperationContext<ReencryptInput>): Promise<JsonObject> {
    await context.enter('REENCRYPT');
    const { keyId } = this.encryption.sealingKey(context.tenantId);
    if (keyId !== context.input.keyId) throw new AppError('KEY_MISMATCH', `The current key of this worker is ${keyId}, not ${context.input.keyId}`);
    // A workspace without encryption keeps its archives as they are.
    const ids = await this.keys.besides(context, keyId, await this.wishes.seals(context));
    const counts: Record<ResealOutcome, number> = { RESEALED: 0, NOT_NEEDED: 0, IN_USE: 0 };
    const failures: AppError[] = [];
    for (const [index, id] of ids.entries()) {
      context.signal.throwIfAborted();
      const progress = { itemsDone: index, itemsTotal: ids.length, current: id };
      context.report({ bytesDone: 0, bytesTotal: null, ...progress });
      try {
        counts[await this.keys.reseal(workOf(context, progress), id)] += 1;
      } catch (error) {
        context.signal.throwIfAborted();
        const failure = asAppError(error);
        // A damaged archive, or one whose key is gone, holds no other one up.
        if (!isArchiveFault(failure)) throw error;
        failures.push(failure);
        context.log(`The backup ${id} stays under its key: ${failure.message}`, 'WARN');
      }
    }
    const [first] = failures;
    if (first !== undefined) throw new AppError(first.code, `${failures.length} of ${ids.length} archives could not be moved: ${first.message}`, { cause: first });
    const plain = await this.keys.plain(context);
    if (plain > 0) context.log(`${plain} backups are not encrypted and stay so`);
    return { type: 'ReencryptResult', keyId, reencrypted: counts.RESEALED, inUse: counts.IN_USE, plain };
  }

  /** What is done is done; the rest is looked for anew. */
  recover(context: OperationContext<ReencryptInput>): Promise<JsonObject> {
    return this.run(context);
  }

  async settled({ id, tenantId, input, state, failure }: SettledOperation<ReencryptInput>, manager: EntityManager): Promise<void> {
    await this.audit.record(
      { action: 'keys.reencrypt-ended', outcome: state === 'COMPLETED' ? 'OK' : 'FAILED', tenantId, actor: null, subject: { type: 'Operation', id }, detail: { state, keyId: input.keyId, code: failure?.code ?? null } },
      manager,
    );
  }
}

function workOf(context: OperationContext<ReencryptInput>, progress: Pick<WorkProgress, 'itemsDone' | 'itemsTotal' | 'current'>): ResealWork {
  return {
    id: context.id,
    tenantId: context.tenantId,
    signal: context.signal,
    report: (work) => context.report({ ...work, ...progress }),
    fenced: (write) => context.fenced(write),
    faultPoint: (name) => context.faultPoint(name),
  };
}
