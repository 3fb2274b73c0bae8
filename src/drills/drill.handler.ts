import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import { AppError } from '#errors';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { BackupsService } from '../backups/backups.service.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { drillPhases, RestoreDrill } from '../restore/restore-drill.js';
import { copyTarget } from '../tenants/copy-targets.js';
import { TenantsService } from '../tenants/tenants.service.js';

const drillInput = z.strictObject({ backupId: z.uuid(), target: copyTarget });
export type DrillInput = z.output<typeof drillInput>;

const dayMs = 24 * 60 * 60 * 1000;

/** Proves that a backup can be restored, without touching what is live. */
@Injectable()
export class DrillHandler implements OperationHandler<DrillInput>, OnModuleInit {
  readonly kind = 'DRILL';
  readonly exclusive = false;
  readonly restartable = true;
  readonly permission = Permission.RESTORE_RUN;
  readonly deadlineMs = dayMs;
  readonly input = drillInput;
  readonly weights = { VERIFY: 4, STAGE: 20, CHECK: 8, SWAP: 1, COMPARE: 1, CLEANUP: 1 };

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly backups: BackupsService,
    private readonly drill: RestoreDrill,
    private readonly tenants: TenantsService,
    private readonly audit: AuditService,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return drillPhases;
  }

  async run(context: OperationContext<DrillInput>): Promise<JsonObject> {
    const backup = await this.backups.find(context, context.input.backupId);
    if (backup === null) throw new AppError('BACKUP_NOT_USABLE', 'The backup was deleted');
    return { type: 'DrillResult', backupId: backup.id, ...(await this.drill.run(context, backup, context.input.target)) };
  }

  /** The scratch database is made anew. */
  async recover(context: OperationContext<DrillInput>): Promise<JsonObject> {
    await this.drill.clean(context, context.input.target);
    return this.run(context);
  }

  async settled({ id, tenantId, input, state, failure }: SettledOperation<DrillInput>, manager: EntityManager): Promise<void> {
    await this.drill.release(id, manager);
    if (state === 'COMPLETED') await this.tenants.markProven({ tenantId }, manager);
    await this.audit.record(
      { action: 'drill.ended', outcome: state === 'COMPLETED' ? 'OK' : 'FAILED', tenantId, actor: null, subject: { type: 'Backup', id: input.backupId }, detail: { state, code: failure?.code ?? null, operationId: id } },
      manager,
    );
  }
}
