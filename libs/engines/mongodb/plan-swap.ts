import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '#errors';
import type { ExpectedNamespace, LeasedWork, StagedDatabase, SwapOptions, SwapPlan, Work } from '../port.js';
import { countIndexes, definitionsOf, headsOf, listHeads, listIndexes, listPhysical, type LiveDefinition, type NamespaceHead, withIndexes } from './catalogue.js';
import type { MongodbContext } from './connection.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { toUuid, uuidsByName } from './find-namespaces.js';
import { inParallel } from './in-parallel.js';
import { LeasedCommands } from './leased-commands.js';
import { oldName, operationPrefix } from './names.js';
import { decideSteps, requireUnchanged } from './swap-plan.js';

/** Fewer are asked one by one in maintenance: it takes a tenth of a second. */
const manyCollections = 500;
const probesAtOnce = 8;
const probeMs = 1_000;
const probeRounds = 4;

/**
 * Looks for index builds while the users are still in: of thousands of collections it takes seconds. Gives back how many indexes the database has, for `planSwap` to find out with one
 * command that none was added since; null where it can ask each collection, or has to.
 */
export async function settledIndexCount(context: MongodbContext, work: Work): Promise<number | null> {
  try {
    const heads = await listHeads(context, work.signal);
    if (heads.length < manyCollections) return null;
    const count = await countIndexes(context, work.signal);
    const live = await withIndexes(context, heads, work.signal);
    return live.some(({ building }) => building.length > 0) ? null : count;
  } catch {
    work.signal.throwIfAborted();
    return null;
  }
}

/**
 * Decides SWAP, of the whole database or of the `only` namespaces. Throws LIVE_CHANGED if the live database is no longer the expected one, SWAP_BLOCKED if an open
 * transaction or an index build holds one of its collections.
 */
export async function planSwap(
  context: MongodbContext,
  staged: StagedDatabase,
  expected: readonly ExpectedNamespace[],
  work: LeasedWork,
  { only, indexCount = null }: SwapOptions = {},
): Promise<SwapPlan> {
  const commands = new LeasedCommands(context, work);
  const doing = 'planning the swap';
  const chosen = only && new Set(only);
  const isChosen = ({ name }: { readonly name: string }): boolean => chosen?.has(name) ?? true;
  try {
    const physical = await commands.repeat(doing, () => listPhysical(context, work.signal));
    const heads = headsOf(context, physical).filter(isChosen);
    requireUnchanged(heads, expected.filter(isChosen));
    requireStaged(staged, uuidsByName(physical));
    // A plan holds the indexes of time series alone: without index builds no other namespace need be asked.
    const areSettled = indexCount !== null && (await hasIndexes(context, indexCount, work));
    const live = definitionsOf(await withIndexes(context, heads, work.signal, areSettled ? isTimeSeries : undefined));
    await requireFree(commands, work, live);
    return decideSteps(context.db.databaseName, work.operationId, staged, live, nextOld(physical, work.operationId));
  } catch (error) {
    throwTargetError(error, doing, work.signal);
  }
}

export function requireStaged({ namespaces }: Pick<StagedDatabase, 'namespaces'>, own: ReadonlyMap<string, string | null>): void {
  for (const { name, staged, uuid } of namespaces) {
    if (staged !== null && own.get(staged) !== uuid) throw new AppError('STAGE_MISMATCH', `The staged copy of collection "${name}" has disappeared`);
  }
}

/** Whether the database has as many indexes as before; false where it cannot be told. An index that was dropped meanwhile and one that is being built look the same: SWAP would wait for it. */
function hasIndexes(context: MongodbContext, count: number, work: Work): Promise<boolean> {
  return isCertain(async () => (await countIndexes(context, work.signal)) === count);
}

function isTimeSeries({ kind }: NamespaceHead): boolean {
  return kind === 'timeseries';
}

/** Beyond the names that an earlier plan of the same operation may have used. */
function nextOld(present: readonly { readonly name: string }[], operationId: string): number {
  const prefix = oldName(operationId, 0).slice(0, -1);
  return Math.max(0, ...present.filter(({ name }) => name.startsWith(prefix)).map(({ name }) => Number(name.slice(prefix.length)) + 1));
}

async function requireFree(commands: LeasedCommands, work: LeasedWork, live: readonly LiveDefinition[]): Promise<void> {
  let busy = live.filter(({ kind }) => kind === 'collection');
  if (!busy.some(({ hasIndexBuild }) => hasIndexBuild) && (await hasNoTransaction(commands, work))) return;
  let reason = '';
  for (let round = 0; round < probeRounds; round += 1) {
    const reasons = await inParallel(busy, probesAtOnce, (state) => holderOf(commands, work.operationId, state));
    busy = busy.filter((_, index) => reasons[index] !== null);
    if (busy.length === 0) return;
    reason = reasons.find((found) => found !== null) ?? '';
    if (round === probeRounds - 1) break;
    await delay(500, undefined, { signal: work.signal });
    busy = await inParallel(busy, probesAtOnce, async (state) => ({ ...state, hasIndexBuild: (await listIndexes(commands.context, state.name, work.signal)).building.length > 0 }));
  }
  throw new AppError('SWAP_BLOCKED', `${reason} blocks collection "${busy[0]?.name ?? ''}"`);
}

/**
 * Whether no transaction is open in the whole database; false where it cannot be told. A hash of no collection takes the database's shared lock, which waits for whatever a
 * transaction has read or written in it (seen on 6.0.5), and needs the role `read` alone: one command, where a look at each of thousands of collections takes seconds while the users are out.
 */
function hasNoTransaction(commands: LeasedCommands, work: LeasedWork): Promise<boolean> {
  return isCertain(async () => {
    const hash = { dbHash: 1, collections: [`${operationPrefix(work.operationId)}none`], maxTimeMS: commands.maxTimeMS(probeMs) };
    await commands.context.db.command(hash, { signal: work.signal, readPreference: 'primary' });
    return true;
  });
}

/** False, too, where the server refuses to tell. */
async function isCertain(tell: () => Promise<boolean>): Promise<boolean> {
  try {
    return await tell();
  } catch (error) {
    if (serverCodeOf(error) === undefined) throw error;
    return false;
  }
}

/**
 * What would hold up a rename; null if nothing would. Asked of the server by a rename that takes the lock and then fails, since
 * the UUID is nobody's: it needs no more privileges than SWAP itself, and `currentOp` does not tell which database an idle
 * transaction has written to.
 */
async function holderOf(commands: LeasedCommands, operationId: string, { name, hasIndexBuild }: LiveDefinition): Promise<string | null> {
  if (hasIndexBuild) return 'An index build';
  const { databaseName } = commands.context.db;
  const probe = {
    renameCollection: `${databaseName}.${name}`,
    to: `${databaseName}.${operationPrefix(operationId)}probe`,
    collectionUUID: toUuid(randomBytes(16).toString('hex')),
  };
  try {
    await commands.once(probe, { database: 'admin', longestMs: probeMs });
  } catch (error) {
    const code = serverCodeOf(error);
    if (code === serverCode.collectionUuidMismatch || code === serverCode.namespaceNotFound) return null;
    if (code === serverCode.maxTimeExpired || code === serverCode.writeConflict) return 'An open transaction';
    if (code === serverCode.backgroundOperationInProgress) return 'An index build';
    throw error;
  }
  throw new AppError('INTERNAL', `A rename of "${name}" with a foreign UUID was carried out`);
}
