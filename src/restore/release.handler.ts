import { Injectable, type OnModuleInit } from '@nestjs/common';
import { z } from 'zod';
import type { SwapPlan } from '#engines';
import { AppError } from '#errors';
import { Permission } from '../access/permission.js';
import type { JsonObject, OperationContext, OperationHandler } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { OperationsService } from '../operations/operations.service.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { leasedWork } from './stage-removal.js';

const releaseInput = z.strictObject({ operationId: z.uuid() });
export type ReleaseInput = z.output<typeof releaseInput>;

const hourMs = 60 * 60 * 1000;

/** Drops, each by its UUID, what a restore with `keepOld` has left of the former live data. */
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
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return ['CLEANUP'];
  }

  async run(context: OperationContext<ReleaseInput>): Promise<JsonObject> {
    await context.enter('CLEANUP');
    const { journal } = await this.operations.get(context.tenantId, context.input.operationId);
    const plan = journal['swapPlan'] as unknown as SwapPlan | undefined;
    if (plan === undefined || journal['keepOld'] !== true) throw new AppError('NOTHING_KEPT', 'The restore has kept no old collections');
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

  /** What is dropped is dropped; the rest is found by its UUIDs. */
  recover(context: OperationContext<ReleaseInput>): Promise<JsonObject> {
    return this.run(context);
  }
}
