import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { catalogueBackups, catalogueStatements, catalogueTenants } from '../catalogue.ts';
import type { ControlPlane } from '../control-plane.ts';
import { processorMsOf } from '../process-figures.ts';
import { p95Of, spreadOf } from '../statistics.ts';

export interface PageTime {
  readonly list: string;
  readonly items: number;
  /** From sending the request to having its answer, over HTTP on this machine. */
  readonly medianMs: number;
  readonly p95Ms: number;
  /** Processor time of the API process for one request; null where the system does not tell. */
  readonly cpuMs: number | null;
}

const repeats = 30;
/** An API process runs for weeks: what its first answers cost is not what users feel. */
const warmUps = 20;
const ofTenant = (field: string): string => `query ($id: ID!, $first: Int!) { tenant(id: $id) { list: ${field} } }`;
const page = (fields: string): string => `{ totalCount pageInfo { hasNextPage endCursor } edges { cursor node { ${fields} } } }`;

/** What a frontend shows in its tables. */
const lists: Readonly<Record<string, string>> = {
  tenants: `query ($first: Int!) { list: tenants(first: $first) ${page('id slug name environment status nextRunAt lastGoodBackup { id name createdAt } storage { usedBytes quotaBytes warning }')} }`,
  'tenants, by text': `query ($first: Int!) { list: tenants(first: $first, filter: { text: "space 1" }) ${page('id slug name status nextRunAt')} }`,
  backups: ofTenant(`backups(first: $first) ${page('id name label trigger state usable size documents createdAt createdBy { email } expiresAt pinned keptBecause actions { permission allowed reason }')}`),
  'backups, by text': ofTenant(`backups(first: $first, filter: { text: "backup", states: [COMPLETED] }) ${page('id name label state size createdAt')}`),
  operations: ofTenant(`operations(first: $first) ${page('id kind state phase createdAt finishedAt startedBy { email } failure { code message } backup { id name } undoableUntil')}`),
  history: ofTenant(`history(first: $first) ${page('at kind state name label size user { email } failureCode')}`),
  auditEvents: ofTenant(`auditEvents(first: $first) ${page('at action outcome actor { email } address sequence')}`),
  'auditEvents, by action': ofTenant(`auditEvents(first: $first, filter: { action: "backup.created" }) ${page('at action outcome')}`),
  alerts: ofTenant(`alerts(first: $first) ${page('event severity title text createdAt resolvedAt')}`),
  'alerts of all': `query ($first: Int!) { list: alerts(first: $first) ${page('event severity title text createdAt resolvedAt')} }`,
  schedules: ofTenant(`schedules(first: $first) ${page('id name active cadence nextRuns(count: 3) retention { mode count days } actions { permission allowed }')}`),
  members: ofTenant(`members(first: $first) ${page('id email name role')}`),
  notifiers: ofTenant(`notifiers(first: $first) ${page('id name channel address')}`),
  policyChanges: ofTenant(`policyChanges(first: $first) ${page('at key oldValue newValue')}`),
  webhookDeliveries: ofTenant(`webhookDeliveries(first: $first) ${page('event state attempts createdAt')}`),
};

/** Fills the catalogue and times each list, page by page, one request at a time. */
export async function measurePages(plane: ControlPlane, say: (line: string) => void): Promise<PageTime[]> {
  say(`Filling the catalogue with ${catalogueTenants} tenants and ${catalogueBackups} backups each`);
  const database = new pg.Client({ connectionString: plane.databaseUrl });
  await database.connect();
  try {
    for (const statement of catalogueStatements) await database.query(statement);
  } finally {
    await database.end();
  }
  const { tenant } = await plane.client.request<{ tenant: { id: string } }>('{ tenant(slug: "catalogue-0001") { id } }');
  const times: PageTime[] = [];
  for (const [list, query] of Object.entries(lists)) {
    for (const first of [20, 100]) {
      const ask = async (): Promise<number> => {
        const began = performance.now();
        await plane.client.request(query, { first, ...(query.includes('$id') ? { id: tenant.id } : {}) });
        return performance.now() - began;
      };
      for (let warm = 0; warm < warmUps; warm += 1) await ask();
      const before = processorMsOf(plane.api.pid);
      const taken: number[] = [];
      for (let time = 0; time < repeats; time += 1) taken.push(await ask());
      const after = processorMsOf(plane.api.pid);
      const cpuMs = before === null || after === null ? null : (after - before) / repeats;
      const measured = { list, items: first, medianMs: spreadOf(taken).median, p95Ms: p95Of(taken), cpuMs };
      times.push(measured);
      say(`  ${list}, ${first}: ${measured.medianMs.toFixed(1)} ms, p95 ${measured.p95Ms.toFixed(1)} ms, cpu ${cpuMs?.toFixed(1) ?? 'unknown'} ms`);
    }
  }
  return times;
}
