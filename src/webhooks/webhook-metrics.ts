import { Injectable } from '@nestjs/common';
import type { Counter } from 'prom-client';
import { DataSource } from 'typeorm';
import { MetricsRegistry } from '../platform/metrics/metrics-registry.js';

@Injectable()
export class WebhookMetrics {
  readonly attempts: Counter<'event' | 'outcome'>;

  constructor(metrics: MetricsRegistry, dataSource: DataSource) {
    this.attempts = metrics.counter('holdfast_webhook_attempts_total', 'Webhooks that this process sent, by whether they were taken', ['event', 'outcome']);
    metrics.gauge('holdfast_webhooks_pending', 'Webhooks that wait to be taken, in the whole system', [], async () => {
      const [row]: { count: string }[] = await dataSource.query(`select count(*) as count from webhook_delivery where state = 'PENDING'`);
      return [{ labels: {}, value: Number(row?.count ?? 0) }];
    });
  }
}
