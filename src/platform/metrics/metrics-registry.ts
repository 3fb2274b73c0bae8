import { Injectable, Logger } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { redact } from '#errors';

/** What a gauge reads from the database is asked for at most this often, however often somebody scrapes. */
const freshForMs = 5_000;

export interface Sample<Label extends string> {
  readonly labels: Readonly<Record<Label, string>>;
  readonly value: number;
}

/** What `/metrics` prints. Features declare theirs here; labels take few values each: kinds, states and codes, never ids. */
@Injectable()
export class MetricsRegistry {
  private readonly logger = new Logger(MetricsRegistry.name);
  private readonly registry = new Registry();

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  histogram<Label extends string>(name: string, help: string, labelNames: readonly Label[], buckets: number[]): Histogram<Label> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.registry] });
  }

  /** `read` is called when somebody scrapes. What it throws is logged, and the gauge is left out: the others are wanted then most of all. */
  gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[], read: () => Promise<readonly Sample<Label>[]>): void {
    const { logger } = this;
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.registry],
      async collect() {
        this.reset();
        try {
          for (const { labels, value } of await read()) this.set(labels, value);
        } catch (error) {
          this.reset();
          logger.warn({ msg: 'A metric could not be read', metric: name, error: redact(String(error)) });
        }
      },
    });
  }

  /** One reading for several gauges, and for scrapes that follow each other closely. */
  reading<T>(read: () => Promise<T>): () => Promise<T> {
    let latest: { readonly at: number; readonly value: Promise<T> } | null = null;
    return () => {
      if (latest === null || performance.now() - latest.at > freshForMs) latest = { at: performance.now(), value: read() };
      return latest.value;
    };
  }

  print(): Promise<string> {
    return this.registry.metrics();
  }
}
