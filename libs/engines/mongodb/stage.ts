import { parseCollectionMetadata, parseMongodump, type CollectionMeta } from '#archive';
import { AppError } from '#errors';
import type { LeasedWork, PayloadSource, StagedDatabase, StagedNamespace } from '../port.js';
import { BatchBuilder } from './batches.js';
import { BatchWriter, type Destination } from './batch-writer.js';
import { dropStageUpTo } from './cleanup.js';
import { collectionSpec, type CollectionSpec } from './collection-spec.js';
import type { MongodbContext } from './connection.js';
import { findIndexes, listOwn } from './find-namespaces.js';
import { inParallel } from './in-parallel.js';
import { LeasedCommands } from './leased-commands.js';
import { bucketsPrefix, stagedName, trialName } from './names.js';
import { isDocument, nameOf } from './ordered-bson.js';
import { requireTimeSeriesPrivileges } from './privileges.js';
import { buildIndexes, createNamespace, rehearseTimeToLive, rehearseView } from './staged-definitions.js';
import { requireRestorable } from './staged-names.js';

const connections = 4;
const definitionsAtOnce = 4;
/** The server makes their files one after the other; more of them wait for its journal together. */
const creationsAtOnce = 8;
// Across all collections of an archive whose blocks interleave.
const pendingBytes = 16 * 1024 * 1024;
const mostReported = 1_000;

/** A namespace of the archive on its way into the stage. */
interface Staging {
  readonly meta: CollectionMeta;
  readonly options: string;
  readonly indexes: readonly string[];
  readonly spec: CollectionSpec;
  /** Physical name; for a time series of the plain copy of its buckets. */
  readonly staged: string;
  /** Name of the trial of a time series, and of whatever else is tried. */
  readonly trial: string;
  destinations: readonly Destination[];
}

/**
 * Builds the archive's whole database beside the live one: documents first, indexes after them, nothing that expires. Time series
 * are built twice: as a trial that shows what the server thinks of them, and as a plain collection of their buckets, which SWAP copies.
 * Throws ARCHIVE_* and STAGE_REJECTED naming the collection.
 */
export async function stageArchive(context: MongodbContext, source: PayloadSource, work: LeasedWork): Promise<StagedDatabase> {
  const commands = new LeasedCommands(context, work);
  const writer = new BatchWriter(commands, connections);
  const staging: Staging[] = [];
  try {
    const progress = progressOf(source, work);
    const builders = new Map<Staging, BatchBuilder>();
    const flush = async (item: Staging, batches: ReturnType<BatchBuilder['rest']>): Promise<void> => {
      for (const batch of batches) await writer.write(item.destinations, batch);
    };
    let pending = 0;
    // The source is verified, and CHECK compares what arrived with its sums.
    for await (const event of parseMongodump(source.payload(), { sums: false })) {
      work.signal.throwIfAborted();
      if (event.type === 'prelude') {
        requireRestorable(event.collections, context.db.databaseName);
        await requireTimeSeriesPrivileges(context, event.collections.filter(({ kind }) => kind === 'timeseries').map(({ collection }) => collection));
        staging.push(...(await prepare(commands, event.collections, work)));
        continue;
      }
      const item = staging[event.namespace.index];
      if (item === undefined) throw new AppError('ARCHIVE_CORRUPT', 'The archive holds documents of a collection that it does not define');
      if (event.type === 'end') {
        await flush(item, builders.get(item)?.rest() ?? new BatchBuilder().rest());
        builders.delete(item);
        continue;
      }
      const builder = builders.get(item) ?? new BatchBuilder();
      builders.set(item, builder);
      await flush(item, builder.add(event.documents));
      pending += event.documents.length;
      if (pending > pendingBytes) {
        for (const [other, rest] of builders) await flush(other, rest.rest());
        pending = 0;
      }
      progress(item.meta.collection, event.documents.length, event.count);
    }
    await writer.drain();
    const warnings = await inParallel(staging, definitionsAtOnce, (item) => finish(commands, item));
    await commands.majority('waiting for the replicas');
    return await describe(commands, staging, warnings.flat(), work);
  } finally {
    await writer.close();
  }
}

async function prepare(commands: LeasedCommands, collections: readonly CollectionMeta[], work: LeasedWork): Promise<Staging[]> {
  const { operationId, fencingToken } = work;
  await dropStageUpTo(commands, operationId, fencingToken);
  const staging = collections.map((meta, index): Staging => {
    const { options, indexes } = parseCollectionMetadata(meta.metadata);
    const spec = collectionSpec(meta.collection, meta.kind, options ?? '{}', indexes);
    const staged = stagedName(operationId, fencingToken, index);
    return { meta, options: options ?? '{}', indexes, spec, staged, trial: trialName(operationId, fencingToken, index), destinations: [] };
  });
  await inParallel(staging, creationsAtOnce, async ({ meta, spec, staged, trial }) => {
    if (meta.kind === 'view') return rehearseView(commands, meta.collection, trial, spec);
    if (meta.kind === 'timeseries') await createNamespace(commands, meta.collection, trial, spec.create);
    await createNamespace(commands, meta.collection, staged, meta.kind === 'timeseries' ? new Map<string, never>() : spec.create);
    return undefined;
  });
  const uuids = await uuidsOf(commands, operationId);
  for (const item of staging) if (item.meta.kind !== 'view') item.destinations = destinationsOf(commands, item, uuids);
  return staging;
}

async function uuidsOf(commands: LeasedCommands, operationId: string): Promise<ReadonlyMap<string, string>> {
  const { context, work } = commands;
  const uuids = new Map<string, string>();
  const own = await commands.repeat('listing what is staged', () => listOwn(context, operationId, work.signal));
  for (const { name, uuid } of own) if (uuid !== null) uuids.set(name, uuid);
  return uuids;
}

function destinationsOf(commands: LeasedCommands, { meta, spec, staged, trial }: Staging, uuids: ReadonlyMap<string, string>): Destination[] {
  const label = meta.collection;
  const uuidOf = (name: string): string => {
    const uuid = uuids.get(name);
    if (uuid === undefined) throw new AppError('STAGE_REJECTED', `The staged copy of collection "${label}" has disappeared`);
    return uuid;
  };
  const copy: Destination = { name: staged, uuid: uuidOf(staged), label, ordered: spec.create.get('capped') === true, validated: false };
  if (meta.kind !== 'timeseries') return [copy];
  const buckets = bucketsPrefix + trial;
  const allowMixedSchema = async (): Promise<void> => {
    await commands.run(`preparing time series "${label}"`, { collMod: trial, timeseriesBucketsMayHaveMixedSchemaData: true });
  };
  return [copy, { name: buckets, uuid: uuidOf(buckets), label, ordered: false, validated: true, allowMixedSchema }];
}

/** Indexes, and everything that can only fail now rather than in the middle of SWAP. Returns warnings. */
async function finish(commands: LeasedCommands, item: Staging): Promise<string[]> {
  const { meta, spec, staged, trial } = item;
  const label = meta.collection;
  if (meta.kind === 'view') return [];
  const isTimeseries = meta.kind === 'timeseries';
  await buildIndexes(commands, label, isTimeseries ? trial : staged, spec.indexes, isTimeseries ? undefined : item.destinations[0]?.uuid);
  const warnings = await unknownOptions(commands, item, isTimeseries ? trial : staged);
  await rehearseTimeToLive(commands, label, trial, spec, isTimeseries);
  if (isTimeseries) await commands.run(`dropping the trial of "${label}"`, { drop: trial });
  return [...warnings, ...(await invalidDocuments(commands, item))];
}

async function unknownOptions(commands: LeasedCommands, { meta, spec }: Staging, name: string): Promise<string[]> {
  if (spec.indexes.length === 0) return [];
  const { context, work } = commands;
  const indexes = await commands.repeat(`looking at the indexes of "${meta.collection}"`, () => findIndexes(context, name, work.signal));
  const built = new Map(indexes.map((index) => [index.get('name'), index]));
  return spec.indexes.flatMap((index) => {
    const present = built.get(index.get('name'));
    const lost = present === undefined ? [] : [...index.keys()].filter((option) => !present.has(option) && option !== 'collation' && index.get(option) !== false);
    return lost.map((option) => `The server does not know the option "${option}" of index "${nameOf(index)}" on "${meta.collection}"; it is left out`);
  });
}

async function invalidDocuments({ context, work }: LeasedCommands, { meta, spec, staged }: Staging): Promise<string[]> {
  const validator = spec.create.get('validator');
  if (validator === undefined || !isDocument(validator) || validator.size === 0 || meta.kind !== 'collection') return [];
  try {
    const { n } = await context.db.command({ count: staged, query: { $nor: [validator] }, limit: mostReported }, { signal: work.signal });
    const count = Number(n);
    if (count === 0) return [];
    const many = count >= mostReported ? `${mostReported} or more documents` : count === 1 ? '1 document' : `${count} documents`;
    return [`${many} of "${meta.collection}" against its own validator, restored as it stands`];
  } catch {
    work.signal.throwIfAborted();
    return [`Whether the documents of "${meta.collection}" meet its validator could not be counted`];
  }
}

async function describe(commands: LeasedCommands, staging: readonly Staging[], warnings: readonly string[], work: LeasedWork): Promise<StagedDatabase> {
  const uuids = await uuidsOf(commands, work.operationId);
  const namespaces = staging.map(({ meta, options, indexes, staged }): StagedNamespace => {
    const { collection: name, kind } = meta;
    if (kind === 'view') return { name, kind, staged: null, uuid: null, options, indexes };
    const uuid = uuids.get(staged);
    if (uuid === undefined) throw new AppError('STAGE_REJECTED', `The staged copy of collection "${name}" has disappeared`);
    return { name, kind, staged, uuid, options, indexes };
  });
  return { namespaces, warnings };
}

function progressOf(source: PayloadSource, work: LeasedWork): (current: string, bytes: number, documents: number) => void {
  const bytesTotal = source.namespaces.reduce((sum, { bytes }) => sum + bytes, 0);
  const itemsTotal = source.namespaces.reduce((sum, { documents }) => sum + documents, 0);
  let bytesDone = 0;
  let itemsDone = 0;
  return (current, bytes, documents) => {
    bytesDone += bytes;
    itemsDone += documents;
    work.report({ bytesDone, bytesTotal, itemsDone, itemsTotal, current });
  };
}
