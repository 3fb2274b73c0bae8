import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import { AppConfig } from '../../config/app-config.js';

const minuteMs = 60_000;
/** Above so many callers the buckets that have filled up again are forgotten. */
const sweepAbove = 10_000;

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** Requests a minute per actor, or per address for those who are not logged in; each API process counts for itself. */
@Injectable()
export class RateLimiter {
  private readonly perMinute: number;
  private readonly buckets = new Map<string, Bucket>();

  constructor(config: AppConfig) {
    this.perMinute = config.limits.requestsPerMinute;
  }

  /** @throws AppError RATE_LIMITED */
  count(caller: string, now = performance.now()): void {
    const bucket = this.buckets.get(caller) ?? { tokens: this.perMinute, filledAt: now };
    bucket.tokens = Math.min(this.perMinute, bucket.tokens + ((now - bucket.filledAt) * this.perMinute) / minuteMs);
    bucket.filledAt = now;
    this.buckets.set(caller, bucket);
    if (bucket.tokens < 1) {
      const retryAfterMs = Math.ceil(((1 - bucket.tokens) * minuteMs) / this.perMinute);
      throw new AppError('RATE_LIMITED', `More than ${this.perMinute} requests a minute`, { retryAfterMs });
    }
    bucket.tokens -= 1;
    if (this.buckets.size > sweepAbove) this.sweep(now);
  }

  private sweep(now: number): void {
    for (const [caller, { tokens, filledAt }] of this.buckets) {
      if (tokens + ((now - filledAt) * this.perMinute) / minuteMs >= this.perMinute) this.buckets.delete(caller);
    }
  }
}
