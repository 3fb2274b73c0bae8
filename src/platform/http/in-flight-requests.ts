import { setTimeout as delay } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import type { RequestHandler } from 'express';
import { AppConfig } from '../../config/app-config.js';

/** Asked for again and again by whoever watches: nobody waits for these. */
const watching = new Set(['/healthz', '/readyz', '/metrics']);

/**
 * Lets requests end before a shutdown closes their connections. `/readyz` says 503 from the first moment on; the port stays open until here is done, so
 * that whoever balances the load may notice.
 */
@Injectable()
export class InFlightRequests implements OnModuleDestroy, BeforeApplicationShutdown {
  private readonly logger = new Logger(InFlightRequests.name);
  private readonly requests = new Set<object>();
  private stopping = false;
  private idle = Promise.withResolvers<void>();

  constructor(private readonly config: AppConfig) {}

  readonly count: RequestHandler = (request, response, next) => {
    if (this.stopping) response.set('connection', 'close');
    if (!watching.has(request.path)) {
      this.requests.add(response);
      response.once('close', () => {
        this.requests.delete(response);
        if (this.requests.size === 0) this.idle.resolve();
      });
    }
    next();
  };

  onModuleDestroy(): void {
    this.stopping = true;
  }

  async beforeApplicationShutdown(): Promise<void> {
    await delay(this.config.shutdownDrainMs);
    if (this.requests.size === 0) return;
    this.idle = Promise.withResolvers<void>();
    const late = new AbortController();
    await Promise.race([this.idle.promise, delay(this.config.shutdownGraceMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    if (this.requests.size > 0) this.logger.warn({ msg: 'Requests are broken off by the shutdown', requests: this.requests.size });
  }
}
