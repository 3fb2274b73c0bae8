import { randomBytes } from 'node:crypto';
import { AppError } from '#errors';
import type { SwapStep } from '../port.js';
import { BatchBuilder } from './batches.js';
import { BatchWriter } from './batch-writer.js';
import { collectionSpec } from './collection-spec.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { toUuid } from './find-namespaces.js';
import { clear, copyAside, copyBuckets, dropTimeseriesNow } from './free-name.js';
import { bucketsPrefix, claimedName, stageToken } from './names.js';
import { toCommand } from './ordered-bson.js';
import { documentsOf } from './raw-bson.js';
import { rawBatches, readSums } from './read-sums.js';
import { buildIndexes } from './staged-definitions.js';
import type { SwapRun } from './swap-run.js';

type StepOf<K extends SwapStep['kind']> = Extract<SwapStep, { readonly kind: K }>;

const connections = 4;
const namespaceNotFound = serverCode.namespaceNotFound;

/**
 * A time series cannot be renamed, so the live one is copied out and dropped, and a new one is filled from the staged buckets.
 *
 * `drop` knows no UUID for a time series, so nothing on the server keeps a late worker from dropping what another has filled. What does is the
 * claim: each worker first renames the staged buckets (their UUID tells them) to a name with its own token, and looks whether they
 * still have it before each drop. Whoever comes later renames them first, and only then touches the live name. The
 * staged buckets are dropped when the time series is complete: that they are gone means that the step is done, unless the live one is still there.
 */
export async function replaceTimeseries(run: SwapRun, step: StepOf<'timeseries'>, index: number): Promise<void> {
  const claim = new Claim(run, step);
  try {
    while (await claim.take()) {
      await advance(run, step, claim, index);
      run.touched();
    }
  } catch (error) {
    // A later worker may have pulled anything from under this one's feet.
    run.work.signal.throwIfAborted();
    await claim.require();
    throw error;
  }
  await requireReplaced(run, step);
  run.touched();
}

/** The staged buckets are gone, which somebody may have dropped before the time series was complete. */
async function requireReplaced(run: SwapRun, { name, liveUuid }: StepOf<'timeseries'>): Promise<void> {
  const live = await run.find(bucketsPrefix + name);
  if (live !== null && live.uuid === liveUuid) throw new AppError('STAGE_MISMATCH', `The staged copy of time series "${name}" has disappeared`);
  if (live === null) run.warnings.push(`Time series "${name}" is not there: it or its staged copy was dropped during the restore`);
}

/** Brings the time series one stage nearer to its end: copied, dropped, filled. What is next is read from the database. */
async function advance(run: SwapRun, step: StepOf<'timeseries'>, claim: Claim, index: number): Promise<void> {
  const { name, liveUuid, oldBuckets } = step;
  const found = await run.find(name);
  const buckets = await run.find(bucketsPrefix + name);
  if (buckets !== null && liveUuid !== null && oldBuckets !== null && buckets.uuid === liveUuid) {
    if (await copyBuckets(run, name, liveUuid, oldBuckets)) await dropTimeseriesNow(run, name, liveUuid, () => claim.require());
  } else if (buckets !== null) {
    // An attempt that was broken off, or a product's own: only what holds nothing of its own is dropped.
    const { uuid } = buckets;
    if (uuid !== null && (await holdsOthers(run, name, uuid, claim.name)) && !(await copyAside(run, name, uuid, index, () => claim.require()))) return;
    await dropTimeseriesNow(run, name, uuid, () => claim.require());
  } else if (found !== null) {
    await clear(run, name, index);
  } else if (await fill(run, step, claim)) {
    await claim.settle();
  }
}

/** The live time series becomes the set-aside copy of its buckets, and nothing takes its place. */
export async function dropTimeseries(run: SwapRun, { name, liveUuid, oldBuckets }: StepOf<'dropTimeseries'>): Promise<void> {
  const isLive = async (): Promise<boolean> => (await run.find(bucketsPrefix + name))?.uuid === liveUuid;
  while (await isLive()) {
    if (!(await copyBuckets(run, name, liveUuid, oldBuckets))) continue;
    if (await isLive()) await dropTimeseriesNow(run, name, liveUuid, async () => undefined);
  }
  run.touched();
}

class Claim {
  /** Where the staged buckets are while they are this worker's. */
  readonly name: string;

  constructor(
    private readonly run: SwapRun,
    private readonly step: StepOf<'timeseries'>,
  ) {
    this.name = claimedName(run.work.operationId, run.work.fencingToken, randomBytes(6).toString('hex'));
  }

  /** False if the staged buckets are gone. Throws LEASE_LOST if a later worker has them. */
  async take(): Promise<boolean> {
    const { operationId, fencingToken } = this.run.work;
    for (;;) {
      const staged = await this.run.findByUuid(this.step.stagedUuid);
      if (staged === null) return false;
      if (staged.name === this.name) return true;
      if ((stageToken(operationId, staged.name) ?? 0) > fencingToken) throw lost();
      // From the name that was seen, and from no other: a later worker's claim must not be renamed.
      const { databaseName } = this.run.context.db;
      const rename = { renameCollection: `${databaseName}.${staged.name}`, to: `${databaseName}.${this.name}`, collectionUUID: toUuid(this.step.stagedUuid) };
      try {
        await this.run.persist(`taking the buckets of "${this.step.name}"`, () => this.run.commands.once(rename, { database: 'admin' }));
      } catch (error) {
        const code = serverCodeOf(error);
        if (code !== serverCode.collectionUuidMismatch && code !== namespaceNotFound) throwTargetError(error, `taking the buckets of "${this.step.name}"`, this.run.work.signal);
      }
    }
  }

  async require(): Promise<void> {
    if ((await this.run.findByUuid(this.step.stagedUuid))?.name !== this.name) throw lost();
  }

  /** The time series is complete. */
  async settle(): Promise<void> {
    try {
      await this.run.command(`finishing time series "${this.step.name}"`, { drop: this.name, collectionUUID: toUuid(this.step.stagedUuid) });
    } catch (error) {
      const code = serverCodeOf(error);
      if (code !== serverCode.collectionUuidMismatch && code !== namespaceNotFound) throwTargetError(error, `finishing time series "${this.step.name}"`, this.run.work.signal);
      // Dropped by the attempt whose reply was lost, or taken by a later worker, who begins again.
      if ((await this.run.findByUuid(this.step.stagedUuid)) !== null) throw lost();
    }
  }
}

function lost(): AppError {
  return new AppError('LEASE_LOST', 'Another worker has taken the restore of a time series over');
}

/** Whether a time series holds any bucket that is not one of the staged. */
async function holdsOthers(run: SwapRun, name: string, uuid: string, staged: string): Promise<boolean> {
  const pipeline = [
    { $lookup: { from: staged, localField: '_id', foreignField: '_id', as: 'hf' } },
    { $project: { same: { $eq: [{ $first: '$hf' }, { $unsetField: { field: 'hf', input: '$$ROOT' } }] } } },
    { $match: { same: { $ne: true } } },
    { $limit: 1 },
  ];
  const doing = `looking into time series "${name}"`;
  try {
    const command = { aggregate: bucketsPrefix + name, pipeline, cursor: {}, collectionUUID: toUuid(uuid) };
    const reply = await run.persist(doing, () => run.commands.unbounded(command));
    return (reply['cursor'] as { firstBatch: unknown[] }).firstBatch.length > 0;
  } catch (error) {
    const code = serverCodeOf(error);
    if (code === serverCode.collectionUuidMismatch || code === namespaceNotFound) return false;
    throwTargetError(error, doing, run.work.signal);
  }
}

/** Creates the time series and fills it; false if somebody else was quicker, and everything must be looked at again. */
async function fill(run: SwapRun, step: StepOf<'timeseries'>, claim: Claim): Promise<boolean> {
  const { name, stagedUuid } = step;
  const spec = collectionSpec(name, 'timeseries', step.options, step.indexes);
  try {
    await run.command(`creating time series "${name}"`, { create: name, ...toCommand(spec.create) });
  } catch (error) {
    if (serverCodeOf(error) === serverCode.namespaceExists) return false;
    throwTargetError(error, `creating time series "${name}"`, run.work.signal);
  }
  const uuid = (await run.find(bucketsPrefix + name))?.uuid;
  if (uuid == null) return false;
  const allowMixedSchema = async (): Promise<void> => {
    await run.command(`preparing time series "${name}"`, { collMod: name, timeseriesBucketsMayHaveMixedSchemaData: true });
  };
  const destination = { name: bucketsPrefix + name, uuid, label: name, ordered: false, numbered: true, validated: true, repeated: null, allowMixedSchema };
  const writer = new BatchWriter(run.commands, connections);
  try {
    const builder = new BatchBuilder();
    for await (const buckets of rawBatches(run.context, { name: claim.name, uuid: stagedUuid }, run.work.signal)) {
      for (const document of documentsOf(buckets)) for (const batch of builder.add(document)) await writer.write([destination], batch);
    }
    for (const batch of builder.rest()) await writer.write([destination], batch);
    await writer.drain();
    await buildIndexes(run.commands, name, name, spec.indexes, uuid);
    const staged = await readSums(run.context, { name: claim.name, uuid: stagedUuid }, run.work.signal);
    const filled = await readSums(run.context, { name: bucketsPrefix + name, uuid }, run.work.signal);
    if (filled.documents > staged.documents) run.warnings.push(`Time series "${name}" was written during the restore; what came stays in it`);
    else if (filled.sum !== staged.sum) throw new AppError('STAGE_MISMATCH', `Time series "${name}" differs from its staged buckets`);
    return true;
  } catch (error) {
    const code = serverCodeOf(error);
    if (code === serverCode.collectionUuidMismatch || code === namespaceNotFound) return false;
    run.work.signal.throwIfAborted();
    if ((await run.find(bucketsPrefix + name))?.uuid !== uuid) return false;
    throwTargetError(error, `filling time series "${name}"`, run.work.signal);
  } finally {
    await writer.close();
  }
}
