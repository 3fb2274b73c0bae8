import { createHash } from 'node:crypto';
import type { DataSource, EntityManager } from 'typeorm';

/** The chain of what concerns no tenant. */
export const providerChain = '00000000-0000-0000-0000-000000000000';
const rowsAtOnce = 1_000;

export interface ChainBreak {
  readonly sequence: number;
  readonly eventId: string | null;
  readonly reason: string;
}

export interface ChainReport {
  /** A tenant's uuid, or `provider`. */
  readonly chain: string;
  readonly events: number;
  /** How many were removed before because of their age. */
  readonly removed: number;
  readonly length: number;
  /** Of the newest event, in hexadecimal digits: whoever keeps it elsewhere notices a chain that was made anew as a whole. */
  readonly hash: string;
  readonly firstBreak: ChainBreak | null;
}

/** What an earlier verification found, of each chain. */
export type KnownHeads = ReadonlyMap<string, { readonly length: number; readonly hash: string }>;

interface ChainRow {
  readonly chain: string;
  readonly length: string;
  readonly hash: string;
  readonly anchor_sequence: string;
  readonly anchor_hash: string;
}

/** Everything as the text that went into the hash. */
interface EventRow {
  readonly id: string;
  readonly sequence: string;
  readonly previous_hash: string;
  readonly hash: string;
  readonly tenant_id: string | null;
  readonly at: string;
  readonly action: string;
  readonly outcome: string;
  readonly actor: string | null;
  readonly address: string | null;
  readonly subject_type: string | null;
  readonly subject_id: string | null;
  readonly detail: string;
}

/**
 * Reads every event and reckons its hash anew, a thousand at a time and at one point in time, so that it may run beside writers. Nothing is believed of the
 * functions in the database, which whoever changes rows can change as well.
 */
export async function verifyAuditChains(dataSource: DataSource, known: KnownHeads = new Map()): Promise<ChainReport[]> {
  return dataSource.transaction('REPEATABLE READ', async (manager) => {
    await manager.query('set transaction read only');
    const rows: ChainRow[] = await manager.query(
      `select coalesce(c.chain, e.chain) as chain, coalesce(c.length, 0) as length, encode(coalesce(c.hash, ''), 'hex') as hash,
         coalesce(c.anchor_sequence, 0) as anchor_sequence, encode(coalesce(c.anchor_hash, ''), 'hex') as anchor_hash
       from audit_chain c full join (select distinct coalesce(tenant_id, '${providerChain}') as chain from audit_event) e on e.chain = c.chain order by 1`,
    );
    const reports: ChainReport[] = [];
    for (const row of rows) reports.push(await verifyChain(manager, row, known));
    for (const [chain, head] of known) {
      if (!reports.some((report) => report.chain === chain)) {
        reports.push({ chain, events: 0, removed: 0, length: 0, hash: '', firstBreak: { sequence: head.length, eventId: null, reason: 'The whole chain is gone' } });
      }
    }
    return reports;
  });
}

async function verifyChain(manager: EntityManager, row: ChainRow, known: KnownHeads): Promise<ChainReport> {
  const chain = row.chain === providerChain ? 'provider' : row.chain;
  const anchor = { sequence: Number(row.anchor_sequence), hash: row.anchor_hash };
  const length = Number(row.length);
  const expected = known.get(chain);
  let events = 0;
  let last = anchor;
  let anchorIsTold = anchor.sequence === 0;
  const report = (firstBreak: ChainBreak | null): ChainReport => ({ chain, events, removed: anchor.sequence, length, hash: row.hash, firstBreak });

  for await (const event of eventsOf(manager, row.chain)) {
    const sequence = Number(event.sequence);
    const broken = (reason: string) => report({ sequence, eventId: event.id, reason });
    if (sequence !== last.sequence + 1) return broken(sequence > last.sequence ? `Event ${last.sequence + 1} is missing` : 'An event that was removed because of its age is back');
    if (event.previous_hash !== last.hash) return broken('It does not follow on the event before it');
    if (hashOf(event) !== event.hash) return broken('It was changed');
    if (expected?.length === sequence && expected.hash !== event.hash) return broken('It is not the event that an earlier verification saw');
    last = { sequence, hash: event.hash };
    events++;
    anchorIsTold ||= event.action === 'audit.pruned' && tellsOf(event.detail, anchor);
  }
  const [stray]: { id: string }[] = await manager.query(`select id from audit_event where coalesce(tenant_id, '${providerChain}') = $1 and (sequence is null or hash is null) limit 1`, [row.chain]);
  if (stray !== undefined) return report({ sequence: last.sequence + 1, eventId: stray.id, reason: 'It was written past the chain' });
  if (last.sequence !== length || last.hash !== row.hash) return report({ sequence: last.sequence + 1, eventId: null, reason: `Event ${last.sequence + 1} and those after it are missing` });
  if (!anchorIsTold) return report({ sequence: anchor.sequence, eventId: null, reason: 'Events were removed and no event tells of it' });
  if (expected !== undefined && expected.length > length) return report({ sequence: length + 1, eventId: null, reason: 'An earlier verification saw more events' });
  return report(null);
}

async function* eventsOf(manager: EntityManager, chain: string): AsyncGenerator<EventRow> {
  let after = '-1';
  for (;;) {
    const rows: EventRow[] = await manager.query(
      `select id, sequence, encode(previous_hash, 'hex') as previous_hash, encode(hash, 'hex') as hash, tenant_id, (extract(epoch from at) * 1000)::bigint as at, action, outcome,
         actor::text as actor, address, subject_type, subject_id, detail::text as detail
       from audit_event where coalesce(tenant_id, '${providerChain}') = $1 and sequence > $2 and hash is not null order by sequence limit ${rowsAtOnce}`,
      [chain, after],
    );
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.sequence;
  }
}

function hashOf(event: EventRow): string {
  const { previous_hash, sequence, id, tenant_id, at, action, outcome, actor, address, subject_type, subject_id, detail } = event;
  const fields = [previous_hash, sequence, id, tenant_id, at, action, outcome, actor, address, subject_type, subject_id, detail];
  const text = fields.map((value) => (value === null ? '-,' : `${Buffer.byteLength(value)}:${value},`)).join('');
  return createHash('sha256').update(text).digest('hex');
}

function tellsOf(detail: string, anchor: { readonly sequence: number; readonly hash: string }): boolean {
  const told = JSON.parse(detail) as { readonly upTo?: unknown; readonly hash?: unknown };
  return told.upTo === anchor.sequence && told.hash === anchor.hash;
}
