import { Injectable } from '@nestjs/common';
import { asAppError } from '#errors';
import { lockOf } from '#storage';
import { AuditService } from '../audit/audit.service.js';
import { TenantArchives } from '../backups/tenant-archives.js';
import { AppConfig } from '../config/app-config.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { Sweep } from '../platform/queue/sweep.js';
import { ClockGuard } from '../retention/clock-guard.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { UploadsService } from '../transfers/uploads.service.js';
import { requireNoHold } from './tenant-departures.js';
import { removeRemains } from './tenant-remains.js';

const atOnce = 20;
const removedBy: ActorStamp = { id: 'system:deletion', kind: 'SYSTEM', email: null, name: 'The deletion of the workspace' };

/**
 * Removes the workspaces whose days of grace are over: first the rows say so, then the archives go, and last the secrets and what the keys were derived from. A crash or a store that is
 * away is made good by any worker later; each step may be done twice. What is left is the history. None is begun by a clock that is not to be believed.
 */
@Injectable()
export class TenantRemoval extends Sweep {
  protected readonly failure = 'Deleted workspaces could not be looked for';

  constructor(
    config: AppConfig,
    private readonly tenants: TenantsService,
    private readonly archives: TenantArchives,
    private readonly uploads: UploadsService,
    private readonly audit: AuditService,
    private readonly clock: ClockGuard,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    const mayBegin = (await this.clock.believedTime()) !== null;
    for (const tenantId of await this.tenants.deletionsDue(atOnce, mayBegin)) {
      try {
        await this.remove(tenantId);
      } catch (error) {
        const { code, message } = asAppError(error);
        this.logger.warn({ msg: 'A deleted workspace is not removed yet; this is tried again', tenantId, code, reason: message });
      }
    }
  }

  private async remove(tenantId: string): Promise<void> {
    const scope = { tenantId };
    const { deletionBegunAt } = await this.tenants.change(scope, async (before, manager) => {
      if (before.deletionBegunAt !== null || before.deletionDueAt === null || before.deletionDueAt > (await this.tenants.now(manager))) return null;
      await this.tenants.requireIdle(scope, manager);
      requireNoHold(await this.archives.held(scope, manager));
      await this.archives.begin(scope, manager);
      await this.audit.record({ action: 'tenant.deletion-begun', tenantId, actor: removedBy }, manager);
      return { deletionBegunAt: () => 'clock_timestamp()' };
    });
    if (deletionBegunAt === null) return;
    await this.uploads.discardAll(scope);
    const lock = await lockOf(this.archives.remove(scope));
    if (lock !== null) return this.tenants.delayRemoval(scope, lock.until);
    await this.tenants.change(scope, async (before, manager) => {
      // Another process may hold a row whose bytes it is just removing.
      if (!(await this.archives.areGone(scope, manager))) return null;
      await removeRemains(tenantId, manager);
      await this.archives.forgetKeys(scope, manager);
      await this.audit.record({ action: 'tenant.deleted', tenantId, actor: removedBy, detail: { name: before.name, slug: before.slug, database: before.targetDatabase } }, manager);
      const place = `deleted-${tenantId}`;
      return { slug: place, targetCipher: Buffer.alloc(0), targetDeployment: place, targetDatabase: place, deletedAt: () => 'clock_timestamp()' };
    });
  }
}
