import { Timestamp, type ChangeStreamDocument, type Document } from 'mongodb';
import { AppError } from '#errors';
import type { LeasedWork, SwapPlan, Work } from '../port.js';
import type { MongodbContext } from './connection.js';
import { dropStage } from './cleanup.js';
import { LeasedCommands } from './leased-commands.js';
import { bucketsPrefix, markName, ownPattern, ownPrefixOf } from './names.js';

const awaitMs = 500;
/** As far back as `wasUsed` looks: further than most oplogs are asked for, and long enough for a product that is at work. */
const lookedBackSeconds = 3_600;

/**
 * Whether the set-aside collections may hold a write from after `clusterTime`. Only a change stream over the whole time that shows none
 * answers false; whatever keeps it from telling (a standalone, a lost history, a missing privilege) answers true.
 */
export async function wasWritten(context: MongodbContext, clusterTime: string | null, plan: SwapPlan, work: LeasedWork): Promise<boolean> {
  const start = clusterTime === null ? null : parseClusterTime(clusterTime);
  if (plan.old.length === 0) return false;
  const prefix = prefixOf(plan);
  if (start === null || prefix === null || context.server.topology !== 'replicaSet') return true;
  try {
    const marked = await markTime(context, work);
    if (marked === null) return true;
    // What STAGE wrote is the bulk of it all and must not travel. Only in this form does the server match it on its oplog as it is; `$not`, or a
    // list of the names, makes an event of every staged document first.
    const relevant = [{ 'ns.coll': { $regex: `^(?!(system\\.buckets\\.)?${prefix}(?!old_))` } }, { 'ns.coll': { $exists: false } }];
    const judge = new EventJudge(prefix, plan);
    return await streamShowsWrite(context, relevant, start, marked, work, (event) => judge.isWrite(event));
  } catch (error) {
    noteUnknown(error, work);
    return true;
  }
}

/** The same of live collections, which nothing has been done to yet; null where it cannot be told. */
export async function wasLiveWritten(context: MongodbContext, clusterTime: string | null, names: readonly string[], work: LeasedWork): Promise<boolean | null> {
  const start = clusterTime === null ? null : parseClusterTime(clusterTime);
  if (names.length === 0) return false;
  if (start === null || context.server.topology !== 'replicaSet') return null;
  try {
    const marked = await markTime(context, work);
    if (marked === null) return null;
    const touched = [...names, ...names.map((name) => bucketsPrefix + name)];
    // A change without a collection is one of the whole database.
    const relevant = [{ 'ns.coll': { $in: touched } }, { 'to.coll': { $in: touched } }, { 'ns.coll': { $exists: false } }];
    return await streamShowsWrite(context, relevant, start, marked, work);
  } catch (error) {
    noteUnknown(error, work);
    return null;
  }
}

/** Whether documents of the database were inserted or changed since then, of the last hour at most; null where it cannot be told. What a TTL deletes nobody uses. */
export async function wasUsed(context: MongodbContext, since: Date, work: LeasedWork): Promise<boolean | null> {
  if (context.server.topology !== 'replicaSet') return null;
  try {
    const marked = await markTime(context, work);
    if (marked === null) return null;
    const now = marked.time.getHighBits();
    // From the next whole second on: cluster times of one second are told apart by a count.
    const from = Math.max(now - lookedBackSeconds, Math.floor(since.getTime() / 1000) + 1);
    if (from > now) return false;
    const relevant = [{ operationType: { $in: ['insert', 'update', 'replace'] }, 'ns.coll': { $not: { $regex: ownPattern } } }];
    return await streamShowsWrite(context, relevant, new Timestamp({ t: from, i: 0 }), marked, work);
  } catch (error) {
    work.signal.throwIfAborted();
    work.log(`Whether anybody uses the database ${context.db.databaseName} is unknown (${error instanceof Error ? error.name : 'error'})`);
    return null;
  } finally {
    await dropStage(context, work.operationId, work);
  }
}

/** A time of the server, and the collection that was written to right after it. */
interface MarkedTime {
  readonly time: Timestamp;
  readonly mark: string;
}

/** Marks the time of now: the stream of a server where nothing happens stands still, and would only be known to have come so far after `awaitMs`. */
async function markTime(context: MongodbContext, work: LeasedWork): Promise<MarkedTime | null> {
  const { operationTime } = await context.db.command({ ping: 1 }, { signal: work.signal });
  if (!(operationTime instanceof Timestamp)) return null;
  const mark = markName(work.operationId, work.fencingToken);
  const commands = new LeasedCommands(context, work);
  await commands.repeat('marking the time', () => commands.creating({ insert: mark, documents: [{}] }));
  return { time: operationTime, mark };
}

function noteUnknown(error: unknown, work: Work): void {
  work.signal.throwIfAborted();
  // Whoever has the next lease can look again.
  if (error instanceof AppError && error.code === 'LEASE_LOST') throw error;
  work.log(`Whether anything was written since the safety backup is unknown (${error instanceof Error ? error.name : 'error'}); it is taken for certain`);
}

/** Whether an event between `start` and the marked time is a write. @param relevant conditions of which one must hold for an event to be looked at */
async function streamShowsWrite(
  context: MongodbContext,
  relevant: readonly Document[],
  start: Timestamp,
  { time: end, mark }: MarkedTime,
  work: Work,
  isWrite: (event: ChangeStreamDocument) => boolean = () => true,
): Promise<boolean> {
  const pipeline = [{ $match: { $or: [...relevant, { 'ns.coll': mark }] } }, { $project: { operationType: 1, ns: 1, to: 1, clusterTime: 1 } }];
  // Views, `system.js` and the buckets of time series are only shown on request.
  const options: Document = { startAtOperationTime: start, showExpandedEvents: true, showSystemEvents: true, maxAwaitTimeMS: awaitMs };
  const stream = context.db.watch(pipeline, options);
  const onAbort = (): void => void stream.close().catch(() => undefined);
  work.signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      work.signal.throwIfAborted();
      const event = await stream.tryNext();
      if (event !== null) {
        const { clusterTime: at, ns } = event as { readonly clusterTime?: Timestamp; readonly ns?: { readonly coll?: string } };
        if (at === undefined || (at.greaterThan(start) && ns?.coll !== mark && isWrite(event))) return true;
        if (at.greaterThan(end)) return false;
      } else if (!timeOf(stream.resumeToken).lessThan(end)) {
        return false;
      }
    }
  } finally {
    work.signal.removeEventListener('abort', onAbort);
    await stream.close();
  }
}

/** Tells writes to the collections that were set aside from what SWAP itself did, and from what came to their names later. */
class EventJudge {
  private readonly present: Map<string, SwapPlan['old'][number]>;
  private readonly setAside: ReadonlySet<string>;
  private readonly old: string;
  private readonly late: string;
  private hasSwapBegun = false;

  constructor(prefix: string, plan: SwapPlan) {
    this.present = new Map(plan.old.map((namespace) => [namespace.name, namespace]));
    this.setAside = new Set(plan.old.flatMap(({ old }) => (old === null ? [] : [old])));
    this.old = `${prefix}old_`;
    this.late = `${prefix}late_`;
  }

  isWrite(event: ChangeStreamDocument): boolean {
    const { operationType, ns, to } = event as { readonly operationType: string; readonly ns?: { readonly coll?: string }; readonly to?: { readonly coll?: string } };
    const collection = ns?.coll;
    if (collection === undefined) return true;
    if (operationType === 'rename' && to?.coll?.startsWith(this.old) === true) {
      this.hasSwapBegun = true;
      // The temporary collection of an $out has no name of the plan's.
      if (this.present.get(collection)?.old === to.coll) this.present.delete(collection);
      return false;
    }
    if (operationType === 'rename' && to?.coll?.startsWith(this.late) === true) return false;
    if (this.setAside.has(collection)) return operationType !== 'drop' && operationType !== 'create';
    const name = collection.startsWith(bucketsPrefix) ? collection.slice(bucketsPrefix.length) : collection;
    const namespace = this.present.get(name);
    if (namespace === undefined) return false;
    // Once SWAP has begun, views change and time series are dropped by it, after their buckets were copied.
    if (this.hasSwapBegun && namespace.kind === 'view') return false;
    if (this.hasSwapBegun && namespace.kind === 'timeseries' && operationType === 'drop') {
      this.present.delete(name);
      return false;
    }
    return true;
  }
}

/** `hf_<operation>_`; null if the plan set nothing aside but views. */
function prefixOf({ old }: SwapPlan): string | null {
  const [first] = old.flatMap((namespace) => (namespace.old === null ? [] : [namespace.old]));
  return first === undefined ? null : ownPrefixOf(first);
}

function parseClusterTime(text: string): Timestamp | null {
  const found = /^(\d{1,10})\.(\d{1,10})$/.exec(text);
  return found === null ? null : new Timestamp({ t: Number(found[1]), i: Number(found[2]) });
}

/** A resume token begins with the cluster time that the stream has reached: 82, seconds, ordinal, in hex. */
function timeOf(token: unknown): Timestamp {
  const data = (token as { readonly _data?: unknown } | null)?._data;
  const found = typeof data === 'string' ? /^82([0-9a-f]{8})([0-9a-f]{8})/i.exec(data) : null;
  if (found === null) throw new TypeError('The resume token has no cluster time');
  return new Timestamp({ t: Number.parseInt(found[1] ?? '', 16), i: Number.parseInt(found[2] ?? '', 16) });
}
