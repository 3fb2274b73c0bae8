import { Long } from 'mongodb';
import { AppError } from '#errors';
import type { ExpectedNamespace, LeasedWork, MergeConflict, MergePlan, NamespaceState, StagedDatabase, StagedNamespace } from '../port.js';
import { readCatalogue } from './catalogue.js';
import type { MongodbContext } from './connection.js';
import { throwTargetError } from './errors.js';
import { findNamespace, listOwn, uuidsByName } from './find-namespaces.js';
import { LeasedCommands } from './leased-commands.js';
import { fenceId } from './merge-fence.js';
import { clashesName, fenceName } from './names.js';
import { parseOrdered } from './ordered-bson.js';
import { requireStaged } from './plan-swap.js';
import { decideSteps, requireUnchanged } from './swap-plan.js';

/** Decides MERGE and makes its fence. Throws LIVE_CHANGED, MERGE_UNSUPPORTED. */
export async function planMerge(
  context: MongodbContext,
  staged: StagedDatabase,
  expected: readonly ExpectedNamespace[],
  conflict: MergeConflict,
  work: LeasedWork,
): Promise<MergePlan> {
  const commands = new LeasedCommands(context, work);
  const doing = 'planning the merge';
  try {
    const names = new Set(staged.namespaces.map(({ name }) => name));
    const live = (await commands.repeat(doing, () => readCatalogue(context))).filter(({ name }) => names.has(name));
    requireUnchanged(live, expected.filter(({ name }) => names.has(name)));
    const own = await commands.repeat(doing, () => listOwn(context, work.operationId, work.signal));
    requireStaged(staged, uuidsByName(own));
    const { merged, missing } = sides(context, staged, live);
    const targets = merged.map(({ from, to }, index) => {
      const clashes = own.find(({ name }) => name === clashesName(work.operationId, work.fencingToken, index));
      const leftOut = clashes === undefined ? null : { name: clashes.name, uuid: known(clashes.uuid) };
      return { name: to.name, uuid: known(to.uuid), staged: known(from.staged), stagedUuid: known(from.uuid), clashes: leftOut };
    });
    const create = decideSteps(context.db.databaseName, work.operationId, { ...staged, namespaces: missing }, []);
    return { conflict, create, targets, fence: await makeFence(commands, work) };
  } catch (error) {
    throwTargetError(error, doing, work.signal);
  }
}

/** Which staged collections are merged into which live ones, and which are only staged. Throws MERGE_UNSUPPORTED. */
export function sides({ server }: MongodbContext, { namespaces }: StagedDatabase, live: readonly NamespaceState[]): { readonly merged: readonly { readonly from: StagedNamespace; readonly to: NamespaceState }[]; readonly missing: readonly StagedNamespace[] } {
  if (server.topology !== 'replicaSet') throw new AppError('MERGE_UNSUPPORTED', 'A standalone server has no transactions, which a merge needs');
  const liveByName = new Map(live.map((state) => [state.name, state]));
  for (const staged of namespaces) for (const side of [staged, liveByName.get(staged.name)]) if (side !== undefined) requirePlain(side);
  const merged = namespaces.flatMap((from) => {
    const to = liveByName.get(from.name);
    return to === undefined ? [] : [{ from, to }];
  });
  return { merged, missing: namespaces.filter(({ name }) => !liveByName.has(name)) };
}

function requirePlain({ name, kind, options }: Pick<NamespaceState, 'name' | 'kind' | 'options'>): void {
  const what = kind === 'view' ? 'a view' : kind === 'timeseries' ? 'a time series' : parseOrdered(options === '' ? '{}' : options).get('capped') === true ? 'a capped collection' : null;
  if (what !== null) throw new AppError('MERGE_UNSUPPORTED', `"${name}" is ${what}, which cannot be merged`);
  if (name.startsWith('system.')) throw new AppError('MERGE_UNSUPPORTED', `"${name}" belongs to the server, which refuses transactions on it`);
}

async function makeFence(commands: LeasedCommands, work: LeasedWork): Promise<MergePlan['fence']> {
  const { context } = commands;
  const name = fenceName(work.operationId, work.fencingToken);
  const first = { q: { _id: fenceId }, u: { $setOnInsert: { token: Long.fromNumber(work.fencingToken), batch: 0, at: 0, last: [], counts: {} } }, upsert: true };
  await commands.run('making the fence', { update: name, updates: [first] });
  const uuid = (await findNamespace(context, name, work.signal))?.uuid ?? null;
  return { name, uuid: known(uuid) };
}

function known<T>(value: T | null): T {
  if (value === null) throw new AppError('INTERNAL', 'A staged or live collection has no name or no UUID');
  return value;
}
