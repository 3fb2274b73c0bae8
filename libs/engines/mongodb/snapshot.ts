import { AppError } from '#errors';
import { Timestamp } from 'mongodb';
import type { MongodbContext } from './connection.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { listHeads, withIndexes, type LiveNamespace, type NamespaceHead } from './catalogue.js';

/** What exists, and the cluster time at which it all exists; null where the server has no cluster time. */
export interface SettledCatalogue {
  readonly namespaces: readonly LiveNamespace[];
  readonly clusterTime: Timestamp | null;
}

const maxRounds = 10;
const majorityLimitMs = 30_000;

/**
 * Lists the collections before and after taking the cluster time T, until both lists hold the same ones: each of them
 * then existed at T, and nothing else did. Options and indexes are those after T, as no change of them hinders reading
 * at T. Throws COLLECTION_CHANGED if collections come and go too fast.
 */
export async function settleCatalogue(context: MongodbContext, signal: AbortSignal): Promise<SettledCatalogue> {
  let before = await listHeads(context, signal);
  for (let round = 1; ; round += 1) {
    const clusterTime = await takeClusterTime(context, signal);
    const after = await listHeads(context, signal);
    const moved = differing(before, after);
    if (moved.length === 0) return { namespaces: await withIndexes(context, after, signal), clusterTime };
    if (round === maxRounds) throw collectionChanged(moved);
    before = after;
  }
}

/**
 * The primary's latest operation time, once a majority has it. It comes from the primary, not from a majority read: so
 * whatever the primary has acknowledged before the backup began is in it, and reading at it gives exactly the writes up to it.
 */
export async function takeClusterTime(context: MongodbContext, signal: AbortSignal): Promise<Timestamp | null> {
  if (context.server.topology === 'standalone') return null;
  try {
    const reply = await context.db.command({ ping: 1 }, { signal });
    const time: unknown = reply['operationTime'];
    if (!(time instanceof Timestamp)) throw new TypeError('The server tells no operation time');
    // Matches nothing; answers when a majority has reached `time`.
    await context.db.command(
      { find: 'hf_majority', limit: 1, singleBatch: true, maxTimeMS: majorityLimitMs, readConcern: { level: 'majority', afterClusterTime: time } },
      { signal },
    );
    return time;
  } catch (error) {
    if (serverCodeOf(error) === serverCode.maxTimeExpired) {
      throw new AppError('TARGET_LOST', 'The replica set has no majority of members that keeps up with the primary', { cause: error });
    }
    throwTargetError(error, 'taking the cluster time', signal);
  }
}

/** "<seconds>.<ordinal>" */
export function formatClusterTime(time: Timestamp | null): string | null {
  return time === null ? null : `${time.getHighBitsUnsigned()}.${time.getLowBitsUnsigned()}`;
}

export function collectionChanged(names: readonly string[], cause?: unknown): AppError {
  const list = names.slice(0, 5).map((name) => `"${name}"`).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
  return new AppError('COLLECTION_CHANGED', `Dropped, renamed or replaced while being read: ${list}`, { cause });
}

function differing(before: readonly NamespaceHead[], after: readonly NamespaceHead[]): string[] {
  const known = new Map(before.map(({ name, kind, uuid }) => [name, `${kind} ${uuid}`]));
  const moved: string[] = [];
  for (const { name, kind, uuid } of after) {
    if (known.get(name) !== `${kind} ${uuid}`) moved.push(name);
    known.delete(name);
  }
  return [...moved, ...known.keys()];
}
