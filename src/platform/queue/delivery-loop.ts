import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@nestjs/common';
import { redact } from '#errors';
import { isConnectionLoss } from '../database/connection-loss.js';
import type { NoticeStream } from '../events/notice-stream.js';

/** What is to be sent, kept in PostgreSQL: many processes may claim from it. */
export interface Deliveries<Delivery> {
  /** At most `limit`, each held for a while by whoever claimed it. */
  claim(limit: number): Promise<readonly Delivery[]>;
  /** Milliseconds until the next one is due; null where none waits. */
  nextDueInMs(): Promise<number | null>;
  /** Sends one and writes down what became of it. A throw leaves the claim to run out. */
  attempt(delivery: Delivery, stop: AbortSignal): Promise<void>;
}

const sideBySide = 8;
const sweepEveryMs = 5_000;
const shortestPauseMs = 250;

/** Sends what is due, at least once: at once where a notice tells of it, else by looking every few seconds. */
export class DeliveryLoop<Delivery> {
  private readonly stopped = new AbortController();
  private readonly underWay = new Set<Promise<void>>();
  private news = Promise.withResolvers<void>();
  private readonly working: Promise<void>;

  constructor(
    private readonly deliveries: Deliveries<Delivery>,
    private readonly notices: NoticeStream,
    private readonly logger: Logger,
  ) {
    void this.hear();
    this.working = this.work();
  }

  /** Resolves when nothing is being sent any more. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await this.notices.return();
    await this.working;
    await Promise.all(this.underWay);
  }

  private async hear(): Promise<void> {
    for await (const event of this.notices) if (event.kind === 'changed' || event.kind === 'resync') this.news.resolve();
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
      const free = sideBySide - this.underWay.size;
      for (const delivery of free > 0 ? await this.deliveries.claim(free) : []) this.begin(delivery);
      if (free <= 0) return sweepEveryMs;
      return Math.max(shortestPauseMs, Math.min(sweepEveryMs, (await this.deliveries.nextDueInMs()) ?? sweepEveryMs));
    } catch (error) {
      if (!isConnectionLoss(error)) this.logger.error({ msg: 'Deliveries could not be looked for', error: redact(String(error)) });
      return sweepEveryMs;
    }
  }

  private begin(delivery: Delivery): void {
    const attempt = this.deliveries
      .attempt(delivery, this.stopped.signal)
      // The claim runs out and it is sent again.
      .catch((error: unknown) => this.logger.error({ msg: 'What became of a delivery could not be written', error: redact(String(error)) }))
      .finally(() => {
        this.underWay.delete(attempt);
        this.news.resolve();
      });
    this.underWay.add(attempt);
  }
}
