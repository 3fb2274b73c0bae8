import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { EventBus } from '../platform/events/event-bus.js';
import { SecretBox } from '../platform/secrets/secret-box.js';
import { GuardedHttp } from './guarded-http.js';
import type { WebhookDeliveryEntity } from './webhook-delivery.entity.js';
import type { WebhookEntity, WebhookPurpose } from './webhook.entity.js';
import { WebhooksRepository } from './webhooks.repository.js';

const secretBytes = 32;

export interface DeliveredWebhook {
  readonly id: string;
  readonly tenantId: string;
  readonly body: string;
}

/** Runs in the transaction that marks the delivery, before its row is locked; it may run twice. */
export type DeliveryListener = (delivery: DeliveredWebhook, manager: EntityManager) => Promise<void>;

/** Webhooks for other features, which have checked the permission: what to tell, and to whom. `WebhookWorker` sends it. */
@Injectable()
export class WebhooksService {
  private readonly listeners = new Map<string, DeliveryListener>();

  constructor(
    private readonly webhooks: WebhooksRepository,
    private readonly http: GuardedHttp,
    private readonly secrets: SecretBox,
    private readonly bus: EventBus,
  ) {}

  find(scope: TenantScope, purpose: WebhookPurpose, manager?: EntityManager): Promise<WebhookEntity | null> {
    return this.webhooks.find(scope, purpose, manager);
  }

  /** Resolves names: call it before the transaction. @throws AppError WEBHOOK_INVALID, WEBHOOK_REFUSED */
  checkUrl(url: string): Promise<string> {
    return this.http.check(url);
  }

  /**
   * Sets the one webhook of the purpose; the caller holds the tenant's row.
   *
   * @param to `url` as `checkUrl` returned it
   * @returns the secret if it is new: nobody can read it again
   */
  async set(scope: TenantScope, purpose: WebhookPurpose, to: { readonly url: string; readonly required: boolean; readonly rotateSecret: boolean }, manager: EntityManager): Promise<string | null> {
    const { url, required } = to;
    const known = await this.webhooks.find(scope, purpose, manager);
    const id = known?.id ?? randomUUID();
    const secret = known === null || to.rotateSecret ? `whsec_${randomBytes(secretBytes).toString('base64url')}` : null;
    const sealed = secret === null ? {} : { secretCipher: this.secrets.seal('webhook-secret', id, secret) };
    if (known === null) await this.webhooks.insert({ id, tenantId: scope.tenantId, purpose, url, required, ...sealed }, manager);
    else await this.webhooks.update(scope, id, { url, required, ...sealed }, manager);
    return secret;
  }

  async remove(scope: TenantScope, purpose: WebhookPurpose, manager: EntityManager): Promise<void> {
    const known = await this.webhooks.find(scope, purpose, manager);
    if (known !== null) await this.webhooks.delete(scope, known.id, manager);
  }

  /** Sent if and only if the transaction of `manager` commits; nothing happens where the tenant has no such webhook. */
  async enqueue(scope: TenantScope, purpose: WebhookPurpose, event: string, content: Readonly<Record<string, unknown>>, manager: EntityManager): Promise<void> {
    const webhook = await this.webhooks.find(scope, purpose, manager);
    if (webhook === null) return;
    const id = randomUUID();
    const body = JSON.stringify({ id, type: event, createdAt: new Date().toISOString(), ...content });
    await this.webhooks.insertDelivery({ id, tenantId: scope.tenantId, webhookId: webhook.id, event, body }, manager);
    await this.bus.publish({ topic: 'webhook', id, tenantId: scope.tenantId, revision: 1 }, manager);
  }

  /** What was to be told of `event` and is not true any more is not sent any more. */
  supersede(scope: TenantScope, event: string, manager: EntityManager): Promise<void> {
    return this.webhooks.supersede(scope, event, manager);
  }

  deliveries(scope: TenantScope, page: Page): Promise<PageOfRows<WebhookDeliveryEntity>> {
    return this.webhooks.deliveries(scope, page);
  }

  /** One listener an event. */
  onDelivered(event: string, listener: DeliveryListener): void {
    this.listeners.set(event, listener);
  }

  listenerOf(event: string): DeliveryListener | undefined {
    return this.listeners.get(event);
  }
}
