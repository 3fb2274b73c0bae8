import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import type { EngineSession } from '#engines';
import { asAppError } from '#errors';
import { AppConfig } from '../config/app-config.js';
import { Sweep } from '../platform/queue/sweep.js';
import { copyTarget, CopyTargets } from '../tenants/copy-targets.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { repointTarget, RestoreRepoint } from './restore-repoint.js';
import { type StageLeftOver, StageLeftOversRepository } from './stage-left-overs.repository.js';

/** Few: each waits for its server, and those that are away are the ones that are here. */
const atOnce = 5;
const triedForMs = 10_000;

/** Where the restore staged; without either in the workspace's own database. */
const stagePlace = z.object({ copy: copyTarget.optional(), repoint: repointTarget.optional() });

/** Removes what restores have staged and could not remove, because the database server was away for too long. Any process may do it. */
@Injectable()
export class StageLeftOvers extends Sweep {
  protected readonly failure = 'Staged collections could not be looked for';

  constructor(
    config: AppConfig,
    private readonly rows: StageLeftOversRepository,
    private readonly tenants: TenantsService,
    private readonly copies: CopyTargets,
    private readonly repoint: RestoreRepoint,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    for (const one of await this.rows.takeNext(atOnce)) {
      try {
        await this.remove(one);
      } catch (error) {
        this.logger.warn({ msg: 'Staged collections of a restore are still there; this is tried again', operationId: one.operationId, tenantId: one.tenantId, code: asAppError(error).code });
      }
    }
  }

  private async remove(one: StageLeftOver): Promise<void> {
    const session = await this.open(one);
    try {
      await session.dropStage(one.operationId, { signal: AbortSignal.timeout(triedForMs), report: () => undefined, log: () => undefined });
    } finally {
      await session.close();
    }
    await this.rows.forget(one.operationId);
  }

  private open({ tenantId, input }: StageLeftOver): Promise<EngineSession> {
    const { copy, repoint } = stagePlace.parse(input);
    if (copy !== undefined) return this.copies.open({ tenantId }, copy);
    return repoint === undefined ? this.tenants.openTarget({ tenantId }) : this.repoint.open({ tenantId }, repoint);
  }
}
