import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import { AppConfig } from '../config/app-config.js';
import { EventBus } from '../platform/events/event-bus.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { WebhooksService } from '../webhooks/webhooks.service.js';

const waitWithWebhookMs = 30_000;
/** A notice may be lost: look all the same. */
const lookEveryMs = 2_000;

export interface MaintenanceWait {
  readonly ms: number;
  /** Whether the work must not go on unanswered. */
  readonly required: boolean;
  readonly hasWebhook: boolean;
}

/** Waits for the product to say that its users are out. */
@Injectable()
export class MaintenanceAcknowledgement {
  constructor(
    private readonly config: AppConfig,
    private readonly tenants: TenantsService,
    private readonly webhooks: WebhooksService,
    private readonly bus: EventBus,
  ) {}

  async waitOf(scope: TenantScope): Promise<MaintenanceWait> {
    const webhook = await this.webhooks.find(scope, 'MAINTENANCE');
    return { ms: this.config.maintenanceWaitMs ?? (webhook === null ? 0 : waitWithWebhookMs), required: webhook?.required ?? false, hasWebhook: webhook !== null };
  }

  /**
   * @returns whether the product has answered in time; true where there is nobody to wait for
   * @throws AppError MAINTENANCE_UNACKNOWLEDGED where the workspace wants no restore without an answer, or the signal's reason
   */
  async wait(scope: TenantScope, signal: AbortSignal): Promise<boolean> {
    const { ms, required, hasWebhook } = await this.waitOf(scope);
    if (ms === 0 && !required) return !hasWebhook;
    const until = Date.now() + ms;
    await using changes = this.bus.subscribe('tenant', { id: scope.tenantId });
    let change = changes.next();
    for (;;) {
      signal.throwIfAborted();
      if (changes.hasEnded) throw new AppError('WORKER_STOPPED', 'Holdfast was shut down during the work');
      if ((await this.tenants.get(scope)).maintenanceAcknowledgedAt !== null) return true;
      const leftMs = until - Date.now();
      if (leftMs <= 0) break;
      const pause = new AbortController();
      const tick = delay(Math.min(leftMs, lookEveryMs), false, { signal: AbortSignal.any([signal, pause.signal]) }).catch(() => false);
      const hasChanged = await Promise.race([change.then(() => true), tick]);
      pause.abort();
      if (hasChanged) change = changes.next();
    }
    if (required) throw new AppError('MAINTENANCE_UNACKNOWLEDGED', `The product did not confirm within ${ms / 1000} seconds that its users are out`);
    return false;
  }
}
