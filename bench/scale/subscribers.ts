import { performance } from 'node:perf_hooks';
import type { Client } from 'graphql-ws';
import pg from 'pg';
import { parseNotice } from '../../src/platform/events/notice.ts';
import type { ControlPlane } from '../control-plane.ts';
import { spreadOf } from '../statistics.ts';

export interface Subscribers {
  readonly subscribers: number;
  /** Of whole backups, turn by turn. */
  readonly aloneMs: readonly number[];
  readonly watchedMs: readonly number[];
  /** From the notice of a change to the moment at which a subscriber had that state or a newer one: at most four are sent a second, so that up to 250 ms of it are meant. */
  readonly latencyMs: { readonly median: number; readonly p95: number; readonly longest: number };
  readonly events: number;
  /** Subscribers that did not see the end, or saw it more than once. */
  readonly notOnce: number;
}

interface Receipt {
  readonly revision: number;
  readonly atMs: number;
  readonly isLast: boolean;
}

const channel = 'holdfast_events';
const openedAtOnce = 50;

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
    known.push({ revision, atMs: performance.now() });
  });
  await database.query(`listen ${channel}`);
  const durationOf = async (operationId: string): Promise<number> => {
    const { rows } = await database.query<{ ms: string }>(`select extract(epoch from finished_at - started_at) * 1000 as ms from operation where id = $1`, [uuidOf(operationId)]);
    return Number(rows[0]?.ms);
  };
  const aloneMs: number[] = [];
  const watchedMs: number[] = [];
  const latencies: number[] = [];
  let events = 0;
  let notOnce = 0;
  const sockets: Client[] = [];
  try {
    await plane.completed((await plane.startBackup(tenantId, 'gzip')).operationId);
    for (let round = 1; round <= rounds; round += 1) {
      const alone = await plane.startBackup(tenantId, 'gzip');
      await untilEnded(database, alone.operationId);
      aloneMs.push(await durationOf(alone.operationId));
      // Not all at once: the listening queue is short.
      while (sockets.length < subscribers) sockets.push(...(await Promise.all(Array.from({ length: Math.min(openedAtOnce, subscribers - sockets.length) }, () => plane.client.openSocket()))));
      const watched = await plane.startBackup(tenantId, 'gzip');
      const receipts = await Promise.all(sockets.map((socket) => receive(plane, watched.operationId, socket)));
      watchedMs.push(await durationOf(watched.operationId));
      for (const { seen, subscribedAtMs } of receipts) {
        events += seen.length;
        if (seen.filter(({ isLast }) => isLast).length !== 1) notOnce += 1;
        for (const notice of notices.get(uuidOf(watched.operationId)) ?? []) {
          const first = seen.find(({ revision }) => revision >= notice.revision);
          if (first !== undefined && notice.atMs > subscribedAtMs) latencies.push(Math.max(0, first.atMs - notice.atMs));
        }
      }
      say(`  round ${round}: alone ${Math.round(aloneMs.at(-1) ?? 0)} ms, watched by ${subscribers} ${Math.round(watchedMs.at(-1) ?? 0)} ms`);
    }
  } finally {
    for (const socket of sockets) await socket.dispose();
    await database.end();
  }
  const sorted = latencies.sort((a, b) => a - b);
  return {
    subscribers, aloneMs, watchedMs, events, notOnce,
    latencyMs: { median: spreadOf(sorted.length === 0 ? [0] : sorted).median, p95: sorted[Math.floor(sorted.length * 0.95)] ?? 0, longest: sorted.at(-1) ?? 0 },
  };
}

async function receive(plane: ControlPlane, operationId: string, socket: Client): Promise<{ readonly seen: Receipt[]; readonly subscribedAtMs: number }> {
  const seen: Receipt[] = [];
  let subscribedAtMs = Infinity;
  for await (const { revision, state } of plane.client.watch(operationId, socket)) {
    const atMs = performance.now();
    subscribedAtMs = Math.min(subscribedAtMs, atMs);
    seen.push({ revision, atMs, isLast: state !== 'QUEUED' && state !== 'RUNNING' });
  }
  return { seen, subscribedAtMs };
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
