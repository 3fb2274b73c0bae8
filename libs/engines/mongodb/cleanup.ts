import { AppError } from '#errors';
import type { LeasedWork, SwapPlan, Work } from '../port.js';
import { catalogueChangesAtOnce } from './catalogue-changes.js';
import type { MongodbContext } from './connection.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { findNamespace, findNamespaces, listOwn, toUuid, uuidsByName, type FoundNamespace } from './find-namespaces.js';
import { inParallel } from './in-parallel.js';
import { LeasedCommands } from './leased-commands.js';
import { bucketsPrefix, stageToken } from './names.js';

/** How often somebody may make something there anew before it is left to him. */
const rounds = 3;
const viewsName = 'system.views';

/** Drops what STAGE of this operation made, whatever token made it. */
export async function dropStage(context: MongodbContext, operationId: string, work: Work): Promise<void> {
  await dropStageUpTo(new LeasedCommands(context, work), operationId, Infinity);
}

/** Drops what STAGE of this operation made up to `token`, leaving a later worker's alone. */
export async function dropStageUpTo(commands: LeasedCommands, operationId: string, token: number): Promise<void> {
  const { context, work } = commands;
  try {
    const own = await commands.repeat('listing staged collections', () => listOwn(context, operationId, work.signal));
    const staged = own.filter(({ name }) => (stageToken(operationId, name) ?? Infinity) <= token && stageToken(operationId, name) !== null);
    await inParallel(staged, catalogueChangesAtOnce(staged.length), (namespace) => drop(commands, namespace));
  } catch (error) {
    throwTargetError(error, 'dropping staged collections', work.signal);
  }
}

/** Names of what the plan set aside and is not there: whoever archives it would look for it in vain, for ever. */
export function missingOf({ old }: SwapPlan, own: readonly FoundNamespace[]): string[] {
  const uuids = uuidsByName(own);
  return old.filter((namespace) => namespace.old !== null && !(uuids.has(namespace.old) && (namespace.uuid === null || uuids.get(namespace.old) === namespace.uuid))).map(({ name }) => name);
}

/** The same, as it is now. */
export async function findMissingOld(context: MongodbContext, plan: SwapPlan, work: LeasedWork): Promise<string[]> {
  const commands = new LeasedCommands(context, work);
  const doing = 'looking for what was set aside';
  try {
    return missingOf(plan, await commands.repeat(doing, () => listOwn(context, work.operationId, work.signal)));
  } catch (error) {
    throwTargetError(error, doing, work.signal);
  }
}

/** Drops the set-aside collections by UUID. Interlopers (`late`) stay. */
export async function dropOldOf(context: MongodbContext, plan: SwapPlan, work: Work): Promise<void> {
  const commands = new LeasedCommands(context, work);
  try {
    await inParallel(plan.old, catalogueChangesAtOnce(plan.old.length), async ({ old, uuid }) => {
      if (old === null) return;
      // The copy of a time series' buckets got its UUID during SWAP.
      const found = uuid === null ? await commands.repeat('finding a set-aside collection', () => findNamespace(context, old, work.signal)) : null;
      const known = uuid ?? found?.uuid ?? null;
      if (known !== null) await drop(commands, { name: old, type: 'collection', uuid: known });
    });
  } catch (error) {
    throwTargetError(error, 'dropping set-aside collections', work.signal);
  }
}

/**
 * Drops all that the database holds, each collection by its UUID, until nothing is left and the server forgets the database itself. `database` must
 * be the one of the connection: nobody drops another one by mistake.
 */
export async function dropWholeDatabase(context: MongodbContext, database: string, work: Work, beforeDrop?: () => Promise<void>): Promise<void> {
  if (context.db.databaseName !== database) throw new AppError('INTERNAL', 'The connection is to another database than the one to be dropped');
  const commands = new LeasedCommands(context, work);
  try {
    for (let round = 1; ; round += 1) {
      const found = await commands.repeat('listing collections', () => findNamespaces(context, { name: { $not: { $regex: `^${bucketsPrefix.replaceAll('.', '\\.')}` } } }, work.signal));
      const names = found.filter(({ name }) => name !== viewsName);
      if (names.length === 0) break;
      if (round > rounds) throw new AppError('LIVE_CHANGED', `Somebody goes on creating collections in ${database}`);
      await beforeDrop?.();
      // A view over a collection that is being dropped would only be in the way of whoever looks.
      for (const view of names.filter(({ type }) => type === 'view')) await drop(commands, view);
      await inParallel(names.filter(({ type }) => type !== 'view'), catalogueChangesAtOnce(names.length), (namespace) => drop(commands, namespace));
    }
    await drop(commands, { name: viewsName, type: 'collection', uuid: null });
  } catch (error) {
    throwTargetError(error, 'dropping the database', work.signal);
  }
}

async function drop(commands: LeasedCommands, { name, uuid, type }: Pick<FoundNamespace, 'name' | 'uuid' | 'type'>): Promise<void> {
  const guard = type === 'collection' && uuid !== null ? { collectionUUID: toUuid(uuid) } : {};
  try {
    await commands.repeat('dropping a collection', () => commands.once({ drop: name, ...guard }));
  } catch (error) {
    const code = serverCodeOf(error);
    if (code !== serverCode.namespaceNotFound && code !== serverCode.collectionUuidMismatch) throw error;
  }
}
