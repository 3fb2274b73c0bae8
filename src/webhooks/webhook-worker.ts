import { setTimeout as delay } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { asAppError, redact } from '#errors';
import { AppConfig } from '../config/app-config.js';
import { isConnectionLoss } from '../platform/database/connection-loss.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { EventBus } from '../platform/events/event-bus.js';
import type { NoticeStream } from '../platform/events/notice-stream.js';
import { SecretBox } from '../platform/secrets/secret-box.js';
import { WebhookMetrics } from './webhook-metrics.js';
import { type WebhookAnswer, WebhookSender } from './webhook-sender.js';
import { type ClaimedDelivery, WebhooksRepository } from './webhooks.repository.js';
import { WebhooksService } from './webhooks.service.js';

const sideBySide = 8;
/** Longer than one attempt may take. */
const heldForMs = 30_000;
const sweepEveryMs = 5_000;
const shortestPauseMs = 250;

/**
 * Sends what is due, on any worker: at least once, in order per webhook, until a 2xx or the last attempt. A process that
 * dies in between leaves a claim that runs out.
 */
@Injectable()
export class WebhookWorker implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(WebhookWorker.name);
  private readonly stopped = new AbortController();
  private readonly underWay = new Set<Promise<void>>();
  private news = Promise.withResolvers<void>();
  private notices: NoticeStream | null = null;
  private working: Promise<void> | null = null;

  constructor(
    private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly repository: WebhooksRepository,
    private readonly webhooks: WebhooksService,
    private readonly sender: WebhookSender,
    private readonly secrets: SecretBox,
    private readonly bus: EventBus,
    private readonly metrics: WebhookMetrics,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.config.runsWorker) return;
    this.notices = this.bus.subscribe('webhook');
    void this.hear(this.notices);
    this.working = this.work();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped.abort();
    await this.notices?.return();
    await this.working;
    await Promise.all(this.underWay);
  }

  private async hear(notices: NoticeStream): Promise<void> {
    for await (const event of notices) if (event.kind === 'changed' || event.kind === 'resync') this.news.resolve();
  }

  private async work(): Promise<void> {
    while (!this.stopped.signal.aborted) {
      // Made before the look, so that what comes during it is not missed.
      this.news = Promise.withResolvers<void>();
      const pauseMs = await this.sendDue();
      await Promise.race([this.news.promise, delay(pauseMs, undefined, { signal: this.stopped.signal }).catch(() => undefined)]);
    }
  }

  /** Returns how long to wait before the next look. */
  private async sendDue(): Promise<number> {
    try {
      await this.repository.failLost();
      const free = sideBySide - this.underWay.size;
      const claimed = free > 0 ? await this.repository.claim(free, heldForMs) : [];
      for (const delivery of claimed) {
        const attempt = this.attempt(delivery).finally(() => {
          this.underWay.delete(attempt);
          this.news.resolve();
        });
        this.underWay.add(attempt);
      }
      if (free <= 0) return sweepEveryMs;
      return Math.max(shortestPauseMs, Math.min(sweepEveryMs, (await this.repository.nextDueInMs()) ?? sweepEveryMs));
    } catch (error) {
      if (!isConnectionLoss(error)) this.logger.error({ msg: 'Webhooks could not be looked for', error: redact(String(error)) });
      return sweepEveryMs;
    }
  }

  private async attempt(delivery: ClaimedDelivery): Promise<void> {
    const { id, tenantId, event, attempt } = delivery;
    try {
      const answer = await this.send(delivery);
      this.metrics.attempts.inc({ event, outcome: answer.error === null ? 'taken' : 'failed' });
      if (answer.error === null) {
        await runInTransaction(this.dataSource, async (manager) => {
          await this.webhooks.listenerOf(event)?.(delivery, manager);
          await this.repository.markDelivered(delivery, answer.code, manager);
        });
      } else {
        await this.repository.markFailed(delivery, answer.code, redact(answer.error));
        this.logger.warn({ msg: 'A webhook was not taken', deliveryId: id, tenantId, event, attempt, code: answer.code });
      }
    } catch (error) {
      // The claim runs out and it is sent again.
      this.logger.error({ msg: 'What became of a webhook could not be written', deliveryId: id, tenantId, error: redact(String(error)) });
    }
  }

  private async send(delivery: ClaimedDelivery): Promise<WebhookAnswer> {
    let secret: string;
    try {
      secret = this.secrets.open('webhook-secret', delivery.webhookId, delivery.secretCipher);
    } catch (error) {
      return { code: null, error: asAppError(error).message };
    }
    return this.sender.send(delivery.url, secret, delivery, this.stopped.signal);
  }
}
