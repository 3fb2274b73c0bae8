import { Injectable } from '@nestjs/common';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { AppError } from '#errors';
import type { Actor } from '../platform/auth/actor.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import type { WebhookDeliveryEntity } from '../webhooks/webhook-delivery.entity.js';
import type { WebhookEntity } from '../webhooks/webhook.entity.js';
import { WebhooksService } from '../webhooks/webhooks.service.js';

export interface MaintenanceWebhookChange {
  readonly url: string | null;
  readonly required: boolean;
  readonly rotateSecret: boolean;
}

export interface MaintenanceWebhookState {
  readonly tenant: TenantEntity;
  readonly webhook: WebhookEntity | null;
  /** Only where it is new. */
  readonly secret: string | null;
}

/** What people do with the maintenance webhook: each method checks the actor's permission. */
@Injectable()
export class MaintenanceWebhooks {
  constructor(
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly webhooks: WebhooksService,
  ) {}

  async find(actor: Actor, tenantId: string): Promise<WebhookEntity | null> {
    return this.webhooks.find(await this.access.authorize(actor, tenantId, Permission.TENANT_MANAGE), 'MAINTENANCE');
  }

  async deliveries(actor: Actor, tenantId: string, page: Page): Promise<PageOfRows<WebhookDeliveryEntity>> {
    return this.webhooks.deliveries(await this.access.authorize(actor, tenantId, Permission.TENANT_MANAGE), page);
  }

  /** @throws AppError BAD_USER_INPUT, WEBHOOK_INVALID, WEBHOOK_REFUSED; what was refused is audited */
  async update(actor: Actor, tenantId: string, change: MaintenanceWebhookChange): Promise<MaintenanceWebhookState> {
    const scope = await this.access.authorize(actor, tenantId, Permission.TENANT_MANAGE);
    if (change.url === null && (change.required || change.rotateSecret)) throw new AppError('BAD_USER_INPUT', 'url: give an address; without one there is nothing to require or to sign', { field: ['url'] });
    const url = change.url === null ? null : await this.check(actor, tenantId, change.url);
    let secret: string | null = null;
    const tenant = await this.tenants.change(scope, async (_before, manager) => {
      if (url === null) await this.webhooks.remove(scope, 'MAINTENANCE', manager);
      else secret = await this.webhooks.set(scope, 'MAINTENANCE', { url, required: change.required, rotateSecret: change.rotateSecret }, manager);
      const detail = url === null ? {} : { host: new URL(url).host, required: change.required, newSecret: secret !== null };
      await this.audit.record({ action: url === null ? 'tenant.webhook-removed' : 'tenant.webhook-changed', tenantId, actor, detail }, manager);
      return null;
    });
    return { tenant, webhook: await this.webhooks.find(scope, 'MAINTENANCE'), secret };
  }

  private async check(actor: Actor, tenantId: string, url: string): Promise<string> {
    try {
      return await this.webhooks.checkUrl(url);
    } catch (error) {
      if (error instanceof AppError) await this.audit.record({ action: 'tenant.webhook-changed', outcome: 'REFUSED', tenantId, actor, detail: { code: error.code, reason: error.message } });
      throw error;
    }
  }
}
