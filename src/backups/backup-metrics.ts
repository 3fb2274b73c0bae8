import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppConfig } from '../config/app-config.js';
import { MetricsRegistry } from '../platform/metrics/metrics-registry.js';

interface TenantRow {
  readonly slug: string;
  readonly at: string | null;
  readonly bytes: string | null;
}

/** How fresh each workspace's last good backup is: of as many as may have a label, those that need somebody first. */
@Injectable()
export class BackupMetrics {
  constructor(config: AppConfig, metrics: MetricsRegistry, dataSource: DataSource) {
    const reading = metrics.reading(async () => {
      const rows: TenantRow[] = await dataSource.query(
        `select tenant.slug, extract(epoch from last.finished_at) as at, last.size_bytes as bytes
         from tenant left join lateral (
           select finished_at, size_bytes from backup
           where backup.tenant_id = tenant.id and state = 'COMPLETED' and trigger not in ('SAFETY', 'IMPORT') order by finished_at desc limit 1) last on true
         where tenant.suspended_at is null order by last.finished_at nulls first, tenant.slug`,
      );
      return { shown: rows.slice(0, config.metricsTenants), leftOut: Math.max(0, rows.length - config.metricsTenants), never: rows.filter(({ at }) => at === null).length, total: rows.length };
    });
    const ofEach = (name: string, help: string, valueOf: (row: TenantRow) => number) =>
      metrics.gauge(name, help, ['tenant'], async () => (await reading()).shown.map((row) => ({ labels: { tenant: row.slug }, value: valueOf(row) })));
    const ofAll = (name: string, help: string, valueOf: (all: Awaited<ReturnType<typeof reading>>) => number) =>
      metrics.gauge(name, help, [], async () => [{ labels: {}, value: valueOf(await reading()) }]);
    ofEach('holdfast_tenant_last_success_timestamp_seconds', 'When the last backup that can be restored was finished; 0: there is none', ({ at }) => Number(at ?? 0));
    ofEach('holdfast_tenant_last_backup_bytes', 'The stored size of that backup', ({ bytes }) => Number(bytes ?? 0));
    ofAll('holdfast_tenants', 'Workspaces that are not suspended', ({ total }) => total);
    ofAll('holdfast_tenants_without_backup', 'Of them, those without any backup that can be restored', ({ never }) => never);
    ofAll('holdfast_tenants_left_out', 'Of them, those without a label of their own here: HOLDFAST_METRICS_TENANTS', ({ leftOut }) => leftOut);
  }
}
