import { randomBytes } from 'node:crypto';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { toUuid, type FoundNamespace } from './find-namespaces.js';
import { bucketsPrefix, claimedName } from './names.js';
import type { SwapRun } from './swap-run.js';

const { collectionUuidMismatch, namespaceNotFound, queryPlanKilled } = serverCode;
// Two copies of one time series at once: the second finds the first's result under its feet.
const commandFailed = 125;

/** Frees a name that a plan needs from a namespace that the plan doesn't know, unless what it wants there came meanwhile. */
export async function clear(run: SwapRun, name: string, index: number, wanted: string | null = null): Promise<void> {
  const occupant = await run.find(name);
  if (occupant === null || (wanted !== null && occupant.uuid === wanted)) return;
  if (occupant.type === 'view') await dropView(run, occupant);
  else if (occupant.type === 'timeseries') await keepTimeseries(run, name, index);
  else if (occupant.uuid !== null) await run.keepAside({ name, uuid: occupant.uuid }, index);
}

/**
 * `drop` knows no UUID for a view, so the caller has just seen that one is there. A view directly over the buckets of a time series
 * takes those with it when it is dropped, therefore it is turned away from them first.
 */
export async function dropView(run: SwapRun, { name, options }: Pick<FoundNamespace, 'name' | 'options'>): Promise<void> {
  const viewOn = options.get('viewOn');
  try {
    if (typeof viewOn === 'string' && viewOn.startsWith(bucketsPrefix)) {
      await run.command(`changing view "${name}"`, { collMod: name, viewOn: 'hf_nothing', pipeline: [] });
    }
    await run.persist(`dropping view "${name}"`, async () => {
      // An attempt whose reply was lost has done it: what is there now is somebody else's.
      if ((await run.find(name))?.type === 'view') await run.commands.once({ drop: name });
    });
  } catch (error) {
    if (serverCodeOf(error) !== namespaceNotFound) throwTargetError(error, `dropping view "${name}"`, run.work.signal);
  }
}

/** Copies an interloper's buckets aside and drops it: a time series cannot be renamed. */
async function keepTimeseries(run: SwapRun, name: string, index: number): Promise<void> {
  const buckets = await run.find(bucketsPrefix + name);
  if (buckets?.uuid == null) return;
  if (!(await copyAside(run, name, buckets.uuid, index, async () => undefined))) return;
  if ((await run.find(bucketsPrefix + name))?.uuid === buckets.uuid) await dropTimeseriesNow(run, name, buckets.uuid, async () => undefined);
}

/** False if the live time series may no longer be the one that the plan knows: look again. */
export async function copyBuckets(run: SwapRun, name: string, uuid: string, to: string): Promise<boolean> {
  const doing = `copying time series "${name}" aside`;
  const copy = { aggregate: bucketsPrefix + name, pipeline: [{ $out: to }], cursor: {}, collectionUUID: toUuid(uuid) };
  // Bytes, too: a measurement that goes into a bucket that is there leaves their number as it is.
  const sizeOf = async (collection: string, guard: object): Promise<string> => {
    const pipeline = [{ $group: { _id: null, n: { $sum: 1 }, bytes: { $sum: { $bsonSize: '$$ROOT' } } } }];
    const reply = await run.commands.unbounded({ aggregate: collection, pipeline, cursor: {}, ...guard });
    const [row] = (reply['cursor'] as { firstBatch: { n: number; bytes: number }[] }).firstBatch;
    return `${row?.n ?? 0} ${row?.bytes ?? 0}`;
  };
  try {
    for (let tries = 0; ; tries += 1) {
      // A copy that comes late is none: its UUID is gone by then.
      await run.persist(doing, () => run.commands.unbounded(copy));
      const [live, copied] = await run.persist(doing, async () => [await sizeOf(bucketsPrefix + name, { collectionUUID: toUuid(uuid) }), await sizeOf(to, {})]);
      if (live === copied) return true;
      run.work.log(`Time series "${name}" is being written; copying it again`);
      await run.commands.pause(tries, doing, null);
    }
  } catch (error) {
    const code = serverCodeOf(error);
    if (code === collectionUuidMismatch || code === namespaceNotFound || code === queryPlanKilled) return false;
    if (code === commandFailed) {
      await run.commands.pause(3, doing, error);
      return false;
    }
    throwTargetError(error, doing, run.work.signal);
  }
}

/**
 * Copies the buckets of a time series that the plan does not know, and keeps them if `stillAllowed` does not throw; false if it was
 * replaced meanwhile. Until then the
 * copy has a name of STAGE's, with which it is cleaned away should this worker end here.
 */
export async function copyAside(run: SwapRun, name: string, uuid: string, index: number, stillAllowed: () => Promise<void>): Promise<boolean> {
  const { operationId, fencingToken } = run.work;
  const copy = claimedName(operationId, fencingToken, `late${randomBytes(6).toString('hex')}`);
  if (!(await copyBuckets(run, name, uuid, copy))) return false;
  const copied = await run.find(copy);
  if (copied?.uuid == null) return false;
  try {
    await stillAllowed();
  } catch (error) {
    await run.command(`dropping a copy of "${name}"`, { drop: copy, collectionUUID: toUuid(copied.uuid) });
    throw error;
  }
  await run.keepAside({ name: copy, uuid: copied.uuid }, index);
  return true;
}

/** The caller has just seen which time series has this name; `stillAllowed` throws if that may have changed. */
export async function dropTimeseriesNow(run: SwapRun, name: string, uuid: string | null, stillAllowed: () => Promise<void>): Promise<void> {
  try {
    await run.persist(`dropping time series "${name}"`, async () => {
      await stillAllowed();
      // An attempt whose reply was lost has done it: what is there now is somebody else's.
      if (((await run.find(bucketsPrefix + name))?.uuid ?? null) !== uuid) return;
      await run.commands.once({ drop: name });
    });
  } catch (error) {
    if (serverCodeOf(error) !== namespaceNotFound) throwTargetError(error, `dropping time series "${name}"`, run.work.signal);
  }
}
