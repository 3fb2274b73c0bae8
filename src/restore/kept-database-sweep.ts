import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { AuditService } from '../audit/audit.service.js';
import { AppConfig } from '../config/app-config.js';
import { OperationsService } from '../operations/operations.service.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { Sweep } from '../platform/queue/sweep.js';
import { ClockGuard } from '../retention/clock-guard.js';
import { DatabaseClaims, type KeptDatabase } from '../tenants/database-claims.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { ReleaseHandler } from './release.handler.js';

const atOnce = 20;

/**
 * Starts the dropping of former databases that nobody has gone back to in time, as operations of the kind RELEASE: exclusive, leased and seen by
 * people. Any process may do it. None is dropped by a clock that is not to be believed.
 */
@Injectable()
export class KeptDatabaseSweep extends Sweep {
  protected readonly failure = 'Former databases could not be dropped';

  constructor(
    config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly claims: DatabaseClaims,
    private readonly tenants: TenantsService,
    private readonly operations: OperationsService,
    private readonly audit: AuditService,
    private readonly handler: ReleaseHandler,
    private readonly clock: ClockGuard,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    if ((await this.clock.believedTime()) === null) return;
    for (const kept of await this.claims.expired(atOnce)) await this.start(kept);
  }

  /** Work that has begun meanwhile goes first: the next sweep finds the database again. */
  private async start({ tenantId, operationId, database }: KeptDatabase): Promise<void> {
    const request = { handler: this.handler, tenantId, actorId: 'system', idempotencyKey: null, idempotencyInput: { operationId }, input: { operationId }, startedBy: { kind: 'SYSTEM' } };
    try {
      await runInTransaction(this.dataSource, async (manager) => {
        await this.tenants.getForUpdate(manager, tenantId);
        const kept = await this.claims.findKept({ tenantId }, operationId, manager);
        if (kept === null || !kept.isExpired) return;
        const { operation } = await this.operations.start(manager, request);
        await this.claims.giveUp({ tenantId }, operationId, manager);
        await this.audit.record({ action: 'restore.database-expired', tenantId, actor: null, subject: { type: 'Operation', id: operation.id }, detail: { database, restore: operationId } }, manager);
      });
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'OPERATION_ALREADY_RUNNING')) throw error;
    }
  }
}
