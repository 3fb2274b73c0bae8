import { Global, Module } from '@nestjs/common';
import { HealthRegistry } from '../health/health-registry.js';
import { MetricsController } from './metrics.controller.js';
import { MetricsRegistry } from './metrics-registry.js';

const valueOf = { ok: 1, warning: 0.5, down: 0 } as const;

/** Global, because every feature may have something to count. */
@Global()
@Module({ controllers: [MetricsController], providers: [MetricsRegistry], exports: [MetricsRegistry] })
export class MetricsModule {
  constructor(metrics: MetricsRegistry, health: HealthRegistry) {
    metrics.gauge('holdfast_health', 'What /readyz says of each part: 1 ok, 0.5 warning, 0 down', ['check'], async () =>
      Object.entries(await health.findings()).map(([check, { state }]) => ({ labels: { check }, value: valueOf[state] })),
    );
  }
}
