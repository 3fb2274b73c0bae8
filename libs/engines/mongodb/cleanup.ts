import type { SwapPlan, Work } from '../port.js';
import type { MongodbContext } from './connection.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { findNamespace, listOwn, toUuid, type FoundNamespace } from './find-namespaces.js';
import { inParallel } from './in-parallel.js';
import { LeasedCommands } from './leased-commands.js';
import { stageToken } from './names.js';

const dropsAtOnce = 4;

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
    await inParallel(staged, dropsAtOnce, (namespace) => drop(commands, namespace));
  } catch (error) {
    throwTargetError(error, 'dropping staged collections', work.signal);
  }
}

/** Drops the set-aside collections by UUID. Interlopers (`late`) stay. */
export async function dropOldOf(context: MongodbContext, plan: SwapPlan, work: Work): Promise<void> {
  const commands = new LeasedCommands(context, work);
  try {
    await inParallel(plan.old, dropsAtOnce, async ({ old, uuid }) => {
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

async function drop(commands: LeasedCommands, { name, uuid, type }: Pick<FoundNamespace, 'name' | 'uuid' | 'type'>): Promise<void> {
  const guard = type === 'collection' && uuid !== null ? { collectionUUID: toUuid(uuid) } : {};
  try {
    await commands.repeat('dropping a collection', () => commands.once({ drop: name, ...guard }));
  } catch (error) {
    const code = serverCodeOf(error);
    if (code !== serverCode.namespaceNotFound && code !== serverCode.collectionUuidMismatch) throw error;
  }
}
