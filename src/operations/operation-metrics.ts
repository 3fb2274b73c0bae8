import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from 'prom-client';
import { DataSource } from 'typeorm';
import { EventBus } from '../platform/events/event-bus.js';
import { MetricsRegistry } from '../platform/metrics/metrics-registry.js';

const buckets = [0.5, 1, 5, 15, 60, 300, 900, 3_600, 4 * 3_600];

interface QueueRow {
  readonly kind: string;
  readonly state: string;
  readonly count: string;
  readonly oldest: string;
  readonly leaderless: string;
}

/** What the worker of this process did, and how much is waiting for any. */
@Injectable()
export class OperationMetrics {
  readonly ended: Counter<'kind' | 'state' | 'code'>;
  readonly seconds: Histogram<'kind' | 'state'>;
  readonly phaseSeconds: Histogram<'kind' | 'phase'>;
  readonly bytes: Counter<'kind' | 'phase'>;
  readonly leasesLost: Counter<'kind'>;
  readonly recoveries: Counter<'kind'>;

  constructor(metrics: MetricsRegistry, dataSource: DataSource, bus: EventBus) {
    this.ended = metrics.counter('holdfast_operations_total', 'Operations that this process ended, by their state and the code of their failure', ['kind', 'state', 'code']);
    this.seconds = metrics.histogram('holdfast_operation_duration_seconds', 'How long this process worked on an operation', ['kind', 'state'], buckets);
    this.phaseSeconds = metrics.histogram('holdfast_operation_phase_duration_seconds', 'How long a phase took in this process', ['kind', 'phase'], buckets);
    this.bytes = metrics.counter('holdfast_operation_bytes_total', 'Bytes that the phases of operations went through', ['kind', 'phase']);
    this.leasesLost = metrics.counter('holdfast_operation_leases_lost_total', 'Operations that this process lost to another one', ['kind']);
    this.recoveries = metrics.counter('holdfast_operation_recoveries_total', 'Operations of a worker that was gone, taken over by this process', ['kind']);
    const queue = metrics.reading(
      async (): Promise<QueueRow[]> =>
        dataSource.query(
          `select kind, state, count(*) as count, extract(epoch from clock_timestamp() - min(coalesce(started_at, created_at))) as oldest,
             count(*) filter (where lease_until < clock_timestamp()) as leaderless
           from operation where state in ('QUEUED', 'RUNNING') group by kind, state`,
        ),
    );
    const gauge = (name: string, help: string, valueOf: (row: QueueRow) => number) =>
      metrics.gauge(name, help, ['kind', 'state'], async () => (await queue()).map((row) => ({ labels: { kind: row.kind, state: row.state }, value: valueOf(row) })));
    gauge('holdfast_operations', 'Operations that wait (QUEUED) or run (RUNNING), in the whole system', ({ count }) => Number(count));
    gauge('holdfast_operation_oldest_seconds', 'Since when the oldest of them waits or runs', ({ oldest }) => Number(oldest));
    gauge('holdfast_operations_without_worker', 'Of them, those whose worker is gone and that none has taken over yet', ({ leaderless }) => Number(leaderless));
    metrics.gauge('holdfast_subscribers', 'Streams of events that are open in this process', [], () => Promise.resolve([{ labels: {}, value: bus.subscriberCount }]));
  }
}
