import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { parseNotice } from '../../src/platform/events/notice.ts';
import { operationUpdated } from '../../scripts/demo/story-api.ts';
import type { ControlPlane } from '../control-plane.ts';
import { processorMsOf } from '../process-figures.ts';
import { p95Of, spreadOf } from '../statistics.ts';
import { SubscriberSockets } from './subscriber-sockets.ts';

export interface Subscribers {
  readonly subscribers: number;
  /** Of whole backups, turn by turn, every second round in the opposite order. */
  readonly aloneMs: readonly number[];
  readonly watchedMs: readonly number[];
  /** From the notice of a change to the moment at which a subscriber had that state or a newer one. */
  readonly latencyMs: { readonly median: number; readonly p95: number; readonly longest: number };
  readonly events: number;
  /** Subscribers that did not see the end, or saw it more than once. */
  readonly notOnce: number;
  /** Processor time for all watched backups: of the API, less what it took unwatched, and of the process that holds the sockets. */
  readonly apiMs: number;
  readonly clientMs: number;
}

const channel = 'holdfast_events';

export async function measureSubscribers(plane: ControlPlane, tenantId: string, subscribers: number, rounds: number, say: (line: string) => void): Promise<Subscribers> {
  const database = new pg.Client({ connectionString: plane.databaseUrl });
  await database.connect();
  const notices = new Map<string, { readonly revision: number; readonly atMs: number }[]>();
  database.on('notification', ({ payload }) => {
    const notice = parseNotice(payload ?? '');
    if (notice?.topic !== 'operation') return;
    const { id, revision } = notice;
    const known = notices.get(id) ?? [];
    notices.set(id, known);
    known.push({ revision, atMs: performance.timeOrigin + performance.now() });
  });
  await database.query(`listen ${channel}`);
  const durationOf = async (operationId: string): Promise<number> => {
    const { rows } = await database.query<{ ms: string }>(`select extract(epoch from finished_at - started_at) * 1000 as ms from operation where id = $1`, [uuidOf(operationId)]);
    return Number(rows[0]?.ms);
  };
  const aloneMs: number[] = [];
  const watchedMs: number[] = [];
  const latencies: number[] = [];
  let [events, notOnce, apiMs, clientMs] = [0, 0, 0, 0];
  const apiSoFar = (): number => processorMsOf(plane.api.pid) ?? NaN;
  let sockets: SubscriberSockets | null = null;
  try {
    await plane.completed((await plane.startBackup(tenantId, 'gzip')).operationId);
    // Open and idle while nobody watches, too.
    sockets = await SubscriberSockets.open(plane.api.url, plane.client.authorization, subscribers);
    const open = sockets;
    const run = async (durations: number[], untilEnd: (operationId: string) => Promise<void>): Promise<number> => {
      const before = apiSoFar();
      const { operationId } = await plane.startBackup(tenantId, 'gzip');
      await untilEnd(operationId);
      durations.push(await durationOf(operationId));
      return apiSoFar() - before;
    };
    const watch = async (operationId: string): Promise<void> => {
      const { receipts, processorMs } = await open.watch(operationUpdated, operationId);
      clientMs += processorMs;
      for (const seen of receipts) {
        events += seen.length;
        if (seen.filter(([, , isLast]) => isLast).length !== 1) notOnce += 1;
        const subscribedAtMs = seen[0]?.[1] ?? Infinity;
        for (const notice of notices.get(uuidOf(operationId)) ?? []) {
          const first = seen.find(([revision]) => revision >= notice.revision);
          if (first !== undefined && notice.atMs > subscribedAtMs) latencies.push(Math.max(0, first[1] - notice.atMs));
        }
      }
    };
    for (let round = 1; round <= rounds; round += 1) {
      const before = apiMs;
      const alone = async (): Promise<void> => void (apiMs -= await run(aloneMs, (operationId) => untilEnded(database, operationId)));
      const watched = async (): Promise<void> => void (apiMs += await run(watchedMs, watch));
      for (const turn of round % 2 === 0 ? [watched, alone] : [alone, watched]) await turn();
      say(`  round ${round}: alone ${Math.round(aloneMs.at(-1) ?? 0)} ms, watched by ${subscribers} ${Math.round(watchedMs.at(-1) ?? 0)} ms; for that ${Math.round(apiMs - before)} ms of processor time in the API`);
    }
  } finally {
    await sockets?.close();
    await database.end();
  }
  const { median, highest } = spreadOf(latencies.length === 0 ? [0] : latencies);
  return {
    subscribers, aloneMs, watchedMs, events, notOnce, apiMs, clientMs,
    latencyMs: { median, p95: p95Of(latencies), longest: highest },
  };
}

/** Without a subscriber. */
async function untilEnded(database: pg.Client, operationId: string): Promise<void> {
  for (;;) {
    const { rows } = await database.query<{ state: string }>('select state from operation where id = $1', [uuidOf(operationId)]);
    const state = rows[0]?.state;
    if (state === 'COMPLETED') return;
    if (state === 'FAILED' || state === 'CANCELED') throw new Error(`A backup ended ${state}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function uuidOf(globalId: string): string {
  return Buffer.from(globalId, 'base64url').toString('utf8').replace(/^\w+:/, '');
}
