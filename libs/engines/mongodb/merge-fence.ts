import { type ClientSession, type Document, Int32, Long } from 'mongodb';
import { AppError } from '#errors';
import type { MergeCounts, MergePlan } from '../port.js';
import { toUuid } from './find-namespaces.js';
import type { LeasedCommands } from './leased-commands.js';
import { isDocument, numberOf, type OrderedDocument, type OrderedValue, readOrdered, valueOf } from './ordered-bson.js';
import { findElement, elementsOf, type RawElement } from './raw-bson.js';
import { readAll } from './raw-cursor.js';

export const fenceId = 'merge';

export type Tally = Omit<MergeCounts, 'name'>;
export const nothing: Tally = { inserted: 0, equal: 0, kept: 0, replaced: 0, clashes: 0 };

/** How far the merge is. All of it is written by the transactions that write the documents, so it is never ahead of them or behind. */
export interface FenceState {
  /** Transactions that were committed. */
  readonly batch: number;
  /** Index of the target that is being merged. */
  readonly at: number;
  /** The last `_id` of it that is done; null at its beginning. */
  readonly last: RawElement | null;
  readonly counts: readonly Tally[];
  /** Targets that were dropped or replaced while they were merged. */
  readonly gone: readonly number[];
}

/** The one document that each transaction of a MERGE writes: who may write, and how far it has come. */
export class MergeFence {
  constructor(
    private readonly commands: LeasedCommands,
    private readonly plan: MergePlan,
    private readonly fencingToken: number,
  ) {}

  /** From now on no worker with a smaller token commits anything. Throws LEASE_LOST where a greater one was here. */
  async take(): Promise<FenceState> {
    const token = this.token;
    const { n } = await this.commands.once(this.update({ _id: fenceId, token: { $lte: token } }, { $set: { token } }));
    return this.read(n === 1);
  }

  /** Throws LEASE_LOST unless it is still this worker's. */
  async read(isHeld = true): Promise<FenceState> {
    const { fence } = this.plan;
    const find = { find: fence.name, collectionUUID: toUuid(fence.uuid), filter: { _id: fenceId }, limit: 1, readConcern: { level: 'majority' } };
    const [document] = await readAll(this.commands.context, find, this.commands.work.signal);
    if (document === undefined) throw new AppError('STAGE_MISMATCH', 'The fence of the merge has disappeared');
    const fields = readOrdered(document);
    if (!isHeld || numberOf(fields.get('token')) !== this.fencingToken) throw new AppError('LEASE_LOST', 'Another worker has taken the merge over');
    const last = findElement(document, 'last');
    const [first] = last === undefined ? [] : elementsOf(last.value);
    const counts = fields.get('counts');
    const tallies = this.plan.targets.map((_, index) => tallyOf(isDocument(counts) ? counts.get(String(index)) : undefined));
    return {
      batch: count(fields.get('batch')),
      at: count(fields.get('at')),
      last: first ?? null,
      counts: tallies.map(({ tally }) => tally),
      gone: tallies.flatMap(({ isGone }, index) => (isGone ? [index] : [])),
    };
  }

  /** The transaction's first write: whoever else has the fence, or has committed this very batch, makes it match nothing. */
  async match(session: ClientSession, batch: number): Promise<boolean> {
    const { n } = await this.send(session, { _id: fenceId, token: this.token, batch }, { $inc: { batch: 1 } });
    return n === 1;
  }

  /** The transaction's last write. */
  async note(session: ClientSession, { at, last, counts, gone }: FenceState): Promise<void> {
    const tally = counts[at] ?? nothing;
    const numbers = Object.fromEntries(Object.entries(tally).map(([name, value]) => [name, Long.fromNumber(value)]));
    const place = { at, last: last === null ? [] : [valueOf(last)], [`counts.${at}`]: { ...numbers, gone: gone.includes(at) } };
    await this.send(session, { _id: fenceId }, { $set: place });
  }

  private get token(): Long {
    return Long.fromNumber(this.fencingToken);
  }

  private async send(session: ClientSession, query: Document, change: Document): Promise<Document> {
    const { context, work } = this.commands;
    return context.db.command({ ...this.update(query, change), maxTimeMS: this.commands.maxTimeMS() }, { session, signal: work.signal });
  }

  private update(q: Document, u: Document): Document {
    const { name, uuid } = this.plan.fence;
    return { update: name, collectionUUID: toUuid(uuid), updates: [{ q, u }] };
  }
}

function tallyOf(value: OrderedValue): { readonly tally: Tally; readonly isGone: boolean } {
  const fields: OrderedDocument = isDocument(value) ? value : new Map<string, OrderedValue>();
  const [inserted, equal, kept, replaced, clashes] = ['inserted', 'equal', 'kept', 'replaced', 'clashes'].map((name) => count(fields.get(name)));
  return { tally: { ...nothing, inserted: inserted ?? 0, equal: equal ?? 0, kept: kept ?? 0, replaced: replaced ?? 0, clashes: clashes ?? 0 }, isGone: fields.get('gone') === true };
}

function count(value: OrderedValue): number {
  return numberOf(value ?? new Int32(0)) ?? 0;
}
