import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { asAppError, redact } from '#errors';
import { AppConfig } from '../config/app-config.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { Background } from '../platform/background/background.js';
import { EventBus } from '../platform/events/event-bus.js';
import { type Deliveries, DeliveryLoop } from '../platform/queue/delivery-loop.js';
import { SecretBox } from '../platform/secrets/secret-box.js';
import type { HttpAnswer } from './guarded-http.js';
import { WebhookMetrics } from './webhook-metrics.js';
import { WebhookSender } from './webhook-sender.js';
import { type ClaimedDelivery, WebhooksRepository } from './webhooks.repository.js';
import { WebhooksService } from './webhooks.service.js';

/** Longer than one attempt may take. */
const heldForMs = 30_000;

/**
 * Sends what is due, on any worker: at least once, in order per webhook, until a 2xx or the last attempt. A process that
 * dies in between leaves a claim that runs out.
 */
@Injectable()
export class WebhookWorker implements Deliveries<ClaimedDelivery>, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(WebhookWorker.name);
  private loop: DeliveryLoop<ClaimedDelivery> | null = null;

  constructor(
    private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly repository: WebhooksRepository,
    private readonly webhooks: WebhooksService,
    private readonly sender: WebhookSender,
    private readonly secrets: SecretBox,
    private readonly bus: EventBus,
    private readonly metrics: WebhookMetrics,
    private readonly background: Background,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.runsWorker) this.background.begin(() => void (this.loop = new DeliveryLoop(this, this.bus.subscribe('webhook'), this.logger)));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.loop?.stop();
  }

  async claim(limit: number): Promise<readonly ClaimedDelivery[]> {
    await this.repository.failLost();
    return this.repository.claim(limit, heldForMs);
  }

  nextDueInMs(): Promise<number | null> {
    return this.repository.nextDueInMs();
  }

  async attempt(delivery: ClaimedDelivery, stop: AbortSignal): Promise<void> {
    const { id, tenantId, event, attempt } = delivery;
    const answer = await this.send(delivery, stop);
    this.metrics.attempts.inc({ event, outcome: answer.error === null ? 'taken' : 'failed' });
    if (answer.error === null) {
      await runInTransaction(this.dataSource, async (manager) => {
        await this.webhooks.listenerOf(event)?.(delivery, manager);
        await this.repository.markDelivered(delivery, answer.code, manager);
      });
      return;
    }
    await this.repository.markFailed(delivery, answer.code, redact(answer.error));
    this.logger.warn({ msg: 'A webhook was not taken', deliveryId: id, tenantId, event, attempt, code: answer.code, reason: answer.reason });
  }

  private async send(delivery: ClaimedDelivery, stop: AbortSignal): Promise<HttpAnswer> {
    let secret: string;
    try {
      secret = this.secrets.open('webhook-secret', delivery.webhookId, delivery.secretCipher);
    } catch (error) {
      return { code: null, error: asAppError(error).message };
    }
    return this.sender.send(delivery.url, secret, delivery, stop);
  }
}
