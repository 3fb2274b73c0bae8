import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { AppError } from '#errors';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
beforeAll(async () => {
  app = await startTestApp({ env: { HOLDFAST_METRICS_TENANTS: '2' } });
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 100));
});
afterAll(() => app.stop());

type Values = ReadonlyMap<string, number>;

async function scrape(url = app.url, headers: Record<string, string> = {}): Promise<Values> {
  const response = await fetch(`${url}/metrics`, { headers });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

it('counts what operations did: their number, time, bytes and the codes of their failures', async () => {
  const before = Date.now() / 1000;
  const backup = await takeBackup(admin, tenant.id);
  const values = await scrape();
  expect(values.get('holdfast_operations_total{kind="BACKUP",state="COMPLETED",code=""}')).toBe(1);
  expect(values.get('holdfast_operation_duration_seconds_count{kind="BACKUP",state="COMPLETED"}')).toBe(1);
  for (const phase of ['PREPARE', 'DUMP', 'FINALIZE', 'READ_BACK']) expect(values.get(`holdfast_operation_phase_duration_seconds_count{kind="BACKUP",phase="${phase}"}`)).toBe(1);
  expect(values.get('holdfast_operation_bytes_total{kind="BACKUP",phase="DUMP"}')).toBeGreaterThan(1000);
  const last = values.get(`holdfast_tenant_last_success_timestamp_seconds{tenant="${tenant.slug}"}`) ?? 0;
  expect(last).toBeGreaterThan(before - 1);
  expect(values.get(`holdfast_tenant_last_backup_bytes{tenant="${tenant.slug}"}`)).toBe(Number(backup.size));
  for (const check of ['database', 'queue', 'storage']) expect(values.get(`holdfast_health{check="${check}"}`)).toBe(1);
  expect(values.get('process_resident_memory_bytes')).toBeGreaterThan(1e7);
});

it('shows what waits', async () => {
  const api = await startTestApp({ env: { HOLDFAST_ROLE: 'api' } });
  try {
    const own = await api.loginAsAdmin();
    const other = await createTestTenant(own);
    idOf(await backupCreate(own, other.id));
    const values = await scrape(api.url);
    expect(values.get('holdfast_operations{kind="BACKUP",state="QUEUED"}')).toBe(1);
    expect(values.get('holdfast_operation_oldest_seconds{kind="BACKUP",state="QUEUED"}')).toBeGreaterThanOrEqual(0);
    expect(values.get(`holdfast_tenant_last_success_timestamp_seconds{tenant="${other.slug}"}`)).toBe(0);
    expect(values.get('holdfast_tenants_without_backup')).toBe(1);
  } finally {
    await api.stop();
  }
});

it('tells failures by their code', async () => {
  const other = await createTestTenant(admin);
  await withDatabase(other, (db) => seedShop(db, 10));
  const remove = app.at('backup.read-back', () => Promise.reject(new AppError('STORAGE_FULL', 'Full')));
  const operation = await ended(admin, idOf(await backupCreate(admin, other.id))).finally(remove);
  expect(operation.failure?.code).toBe('STORAGE_FULL');
  expect((await scrape()).get('holdfast_operations_total{kind="BACKUP",state="FAILED",code="STORAGE_FULL"}')).toBe(1);
});

it('gives a label to as many workspaces as it may, those without a backup first, and says how many it left out', async () => {
  await createTestTenant(admin);
  const fresh = await startTestApp({ databaseUrl: app.config.databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_METRICS_TENANTS: '1', HOLDFAST_METRICS_TOKEN: 'a token for the metrics' } });
  try {
    expect((await fetch(`${fresh.url}/metrics`)).status).toBe(401);
    expect((await fetch(`${fresh.url}/metrics`, { headers: { authorization: 'Bearer a token for the metricz' } })).status).toBe(401);
    const values = await scrape(fresh.url, { authorization: 'Bearer a token for the metrics' });
    const labelled = [...values.keys()].filter((name) => name.startsWith('holdfast_tenant_last_success'));
    expect(labelled.map((name) => values.get(name))).toEqual([0]);
    expect(values.get('holdfast_tenants_left_out')).toBe((values.get('holdfast_tenants') ?? 0) - 1);
  } finally {
    await fresh.stop();
  }
});

it('shows nothing to whoever comes through a proxy unless there is a token', async () => {
  for (const header of ['x-forwarded-for', 'forwarded']) expect((await fetch(`${app.url}/metrics`, { headers: { [header]: '203.0.113.9' } })).status).toBe(403);
});

it('prints every metric that the dashboard asks for', async () => {
  const text = await readFile('docs/grafana-dashboard.json', 'utf8');
  expect(text.length).toBeLessThan(2 * 1024 * 1024);
  const { panels } = JSON.parse(text) as { panels: { title: string; targets: { expr: string }[] }[] };
  const printed = await (await fetch(`${app.url}/metrics`)).text();
  const known = new Set([...printed.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = '', type]) => (type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name])));
  const asked = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/\b(holdfast|process|nodejs)_\w+/g) ?? [expr]));
  expect(asked.length).toBeGreaterThanOrEqual(panels.length);
  expect(asked.filter((name) => !known.has(name))).toEqual([]);
  // And nothing of ours is left unexplained.
  const guide = await readFile('docs/operations-guide.md', 'utf8');
  const ours = [...printed.matchAll(/^# TYPE (holdfast_\S+) /gm)].map(([, name = '']) => name);
  expect(ours.filter((name) => !guide.includes(`\`${name}\``))).toEqual([]);
});
