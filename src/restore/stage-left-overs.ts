import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import type { EngineSession, Work } from '#engines';
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

/** Of a drill: the whole database is its own. */
const drillPlace = z.object({ target: copyTarget });

/** Removes what restores and drills have made and could not remove, because the database server was away for too long. Any process may do it. */
@Injectable()
export class StageLeftOvers extends Sweep {
  protected readonly failure = 'Staged collections could not be looked for';

  constructor(
    config: AppConfig,
    private readonly dataSource: DataSource,
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
        this.logger.warn({ msg: 'What a restore or a drill has made is still there; this is tried again', operationId: one.operationId, tenantId: one.tenantId, code: asAppError(error).code });
      }
    }
  }

  private async remove(one: StageLeftOver): Promise<void> {
    if (one.kind === 'DRILL') return this.removeScratch(one);
    const session = await this.open(one);
    try {
      await session.dropStage(one.operationId, work());
    } finally {
      await session.close();
    }
    await this.rows.forget(one.operationId);
  }

  private async removeScratch({ operationId, tenantId, input }: StageLeftOver): Promise<void> {
    const { target } = drillPlace.parse(input);
    const session = await this.copies.openScratch({ tenantId }, target);
    try {
      await session.dropDatabase(target.database, work());
    } finally {
      await session.close();
    }
    await this.dataSource.transaction(async (manager) => {
      await this.rows.forget(operationId, manager);
      await this.copies.release(operationId, manager);
    });
  }

  private open({ tenantId, input }: StageLeftOver): Promise<EngineSession> {
    const { copy, repoint } = stagePlace.parse(input);
    if (copy !== undefined) return this.copies.open({ tenantId }, copy);
    return repoint === undefined ? this.tenants.openTarget({ tenantId }) : this.repoint.open({ tenantId }, repoint);
  }
}

function work(): Work {
  return { signal: AbortSignal.timeout(triedForMs), report: () => undefined, log: () => undefined };
}
