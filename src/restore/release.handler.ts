import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { EngineSession } from '#engines';
import { AppError } from '#errors';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { OperationsService } from '../operations/operations.service.js';
import { DatabaseClaims, type KeptDatabase } from '../tenants/database-claims.js';
import { TenantPointer } from '../tenants/tenant-pointer.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { journalOf, type RestoreJournal } from './restore-journal.js';
import { leasedWork } from './stage-removal.js';

const releaseInput = z.strictObject({ operationId: z.uuid() });
export type ReleaseInput = z.output<typeof releaseInput>;

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;

/** Drops what a restore has left of the former live data: with `keepOld` collections, each by its UUID, with REPOINT a database. */
@Injectable()
export class ReleaseHandler implements OperationHandler<ReleaseInput>, OnModuleInit {
  readonly kind = 'RELEASE';
  readonly exclusive = true;
  readonly permission = Permission.RESTORE_RUN;
  readonly deadlineMs = hourMs;
  readonly input = releaseInput;

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly operations: OperationsService,
    private readonly tenants: TenantsService,
    private readonly claims: DatabaseClaims,
    private readonly pointer: TenantPointer,
    private readonly audit: AuditService,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return ['CLEANUP'];
  }

  async run(context: OperationContext<ReleaseInput>): Promise<JsonObject> {
    await context.enter('CLEANUP');
    const kept = await this.claims.findKept(context, context.input.operationId);
    return kept === null ? this.dropOld(context) : this.dropDatabase(context, kept);
  }

  /** What is dropped is dropped; the rest is found by its UUIDs. */
  recover(context: OperationContext<ReleaseInput>): Promise<JsonObject> {
    return this.run(context);
  }

  /** A database that cannot be dropped now is tried again in a day, not in an hour. */
  async settled({ state, input }: SettledOperation<ReleaseInput>, manager: EntityManager): Promise<void> {
    if (state !== 'COMPLETED') await this.claims.keepFor(input.operationId, dayMs, manager);
  }

  /** The former database of a REPOINT. It was given up before this began, so no undo can have gone back to it. */
  private async dropDatabase(context: OperationContext<ReleaseInput>, kept: KeptDatabase): Promise<JsonObject> {
    const { operationId } = context.input;
    await context.fenced((manager) => this.claims.giveUp(context, operationId, manager));
    const session = await this.pointer.openKept(context, kept);
    try {
      await this.requireUnused(context, session, kept);
      await context.faultPoint('release.dropping');
      await session.dropDatabase(kept.database, leasedWork(context));
    } finally {
      await session.close();
    }
    await context.faultPoint('release.dropped');
    await context.fenced(async (manager) => {
      if (!(await this.claims.forget(context, operationId, manager))) return;
      await this.audit.record({ action: 'restore.database-dropped', tenantId: context.tenantId, actor: null, subject: { type: 'Operation', id: operationId }, detail: { database: kept.database, deployment: kept.deployment } }, manager);
    });
    return { type: 'ReleaseResult', operationId };
  }

  /** A product that did not follow the pointer still works there, and a provider may have given the database back by hand. @throws AppError DATABASE_IN_USE */
  private async requireUnused(context: OperationContext<ReleaseInput>, session: EngineSession, { database, keptSince }: KeptDatabase): Promise<void> {
    const { deployment } = await session.inspect();
    if (await this.claims.isLive({ deployment, database })) throw new AppError('DATABASE_IN_USE', `The former database ${database} is a workspace's again: it is not dropped`);
    if (await session.wasUsedSince(keptSince, leasedWork(context))) throw new AppError('DATABASE_IN_USE', `The former database ${database} was written to within the last hour: it is not dropped`);
  }

  private async dropOld(context: OperationContext<ReleaseInput>): Promise<JsonObject> {
    const { swapPlan: plan, keepOld }: Partial<RestoreJournal> = journalOf(await this.operations.getWhole(context.tenantId, context.input.operationId));
    if (plan === undefined || keepOld !== true) throw new AppError('NOTHING_KEPT', 'The restore has kept no old collections');
    const session = await this.tenants.openTarget(context);
    try {
      const tenant = await this.tenants.get(context);
      if (tenant.targetDatabase !== plan.database) throw new AppError('NOTHING_KEPT', `The workspace has another database now; the old collections lie in ${plan.database}`);
      await session.dropOld(plan, leasedWork(context));
      return { type: 'ReleaseResult', operationId: context.input.operationId };
    } finally {
      await session.close();
    }
  }
}
