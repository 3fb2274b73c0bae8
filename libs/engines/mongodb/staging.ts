import { DocumentSums, parseCollectionMetadata, type CollectionMeta } from '#archive';
import { AppError } from '#errors';
import type { LeasedWork } from '../port.js';
import type { BatchWriter, Destination } from './batch-writer.js';
import { dropStageUpTo } from './cleanup.js';
import { collectionSpec, type CollectionSpec } from './collection-spec.js';
import { findIndexes, findNamespaces, uuidsByName } from './find-namespaces.js';
import { inParallel } from './in-parallel.js';
import type { LeasedCommands } from './leased-commands.js';
import { bucketsPrefix, stagedName, trialName } from './names.js';
import { isDocument, nameOf } from './ordered-bson.js';
import { buildIndexes, createNamespace, rehearseTimeToLive, rehearseView } from './staged-definitions.js';

const definitionsAtOnce = 4;
/** The server makes their files one after the other; more of them wait for its journal together. */
const creationsAtOnce = 8;
/** The server has the files of a collection open from its creation, or its next document, to the checkpoint after it. */
const groupSize = 256;
const mostReported = 1_000;

/** A namespace of the archive on its way into the stage. */
export interface Staging {
  readonly meta: CollectionMeta;
  readonly options: string;
  readonly indexes: readonly string[];
  readonly spec: CollectionSpec;
  /** Physical name; for a time series of the plain copy of its buckets. */
  readonly staged: string;
  /** Name of the trial of a time series, and of whatever else is tried. */
  readonly trial: string;
  readonly group: StagingGroup;
  /** It was read while somebody may have written. */
  readonly isFuzzy: boolean;
  /** Where its documents go, once its group has begun; none for a view. */
  destinations: readonly Destination[];
  /** Its last document was handed to the writer. */
  isComplete: boolean;
  /** In the archive; known when it is complete. */
  documents: number;
  warnings: readonly string[];
}

interface StagingGroup {
  readonly items: Staging[];
  hasBegun: boolean;
}

/**
 * The namespaces of an archive as the stage gets them. A group of them is created when the first of its documents comes, and each gets its indexes when it is complete and the next group
 * begins: of thousands of collections the server works on a few at a time, if their documents come in the order of their definitions, as in our own archives. (mongodump writes the largest first.)
 */
export class StagingGroups {
  readonly items: readonly Staging[];
  private readonly groups: StagingGroup[] = [];
  /** Begun and not finished. */
  private unfinished: Staging[] = [];

  private constructor(
    private readonly commands: LeasedCommands,
    private readonly writer: BatchWriter,
    collections: readonly CollectionMeta[],
    fuzzy: ReadonlySet<string>,
    { operationId, fencingToken }: LeasedWork,
  ) {
    this.items = collections.map((meta, index): Staging => {
      if (index % groupSize === 0) this.groups.push({ items: [], hasBegun: false });
      const group = this.groups.at(-1) as StagingGroup;
      const { options, indexes } = parseCollectionMetadata(meta.metadata);
      const spec = collectionSpec(meta.collection, meta.kind, options ?? '{}', indexes);
      const names = { staged: stagedName(operationId, fencingToken, index), trial: trialName(operationId, fencingToken, index) };
      const item = { meta, options: options ?? '{}', indexes, spec, ...names, group, isFuzzy: fuzzy.has(meta.collection), destinations: [], isComplete: false, documents: 0, warnings: [] };
      group.items.push(item);
      return item;
    });
  }

  /** Drops what earlier attempts of the operation left, and tries the views, which cost no files; what else the server refuses is found when its group begins. */
  static async plan(commands: LeasedCommands, writer: BatchWriter, collections: readonly CollectionMeta[], fuzzy: ReadonlySet<string>, work: LeasedWork): Promise<StagingGroups> {
    const groups = new StagingGroups(commands, writer, collections, fuzzy, work);
    await dropStageUpTo(commands, work.operationId, work.fencingToken);
    await inParallel(groups.items.filter(({ meta }) => meta.kind === 'view'), creationsAtOnce, ({ meta, trial, spec }) => rehearseView(commands, meta.collection, trial, spec));
    return groups;
  }

  /** Returns when `item` can be written. */
  begin({ group }: Staging): Promise<void> {
    return this.beginGroup(group);
  }

  /** Returns when everything is there as the archive has it, namespaces without documents too. */
  async end(): Promise<void> {
    for (const group of this.groups) await this.beginGroup(group);
    await this.finish(() => true);
  }

  private async beginGroup(group: StagingGroup): Promise<void> {
    if (group.hasBegun) return;
    await this.finish(({ isComplete }) => isComplete);
    await inParallel(group.items, creationsAtOnce, (item) => create(this.commands, item));
    const uuids = await this.uuidsOf(group);
    for (const item of group.items) if (item.meta.kind !== 'view') item.destinations = destinationsOf(this.commands, item, uuids);
    this.unfinished.push(...group.items);
    group.hasBegun = true;
  }

  private async finish(which: (item: Staging) => boolean): Promise<void> {
    const chosen = this.unfinished.filter(which);
    if (chosen.length === 0) return;
    await this.writer.drain();
    await inParallel(chosen, definitionsAtOnce, async (item) => {
      item.warnings = await finish(this.commands, item);
    });
    this.unfinished = this.unfinished.filter((item) => !which(item));
  }

  private async uuidsOf({ items }: StagingGroup): Promise<ReadonlyMap<string, string>> {
    const { context, work } = this.commands;
    const names = items.flatMap(({ meta, staged, trial }) => (meta.kind === 'timeseries' ? [staged, bucketsPrefix + trial] : [staged]));
    return uuidsByName(await this.commands.repeat('listing what is staged', () => findNamespaces(context, { name: { $in: names } }, work.signal)));
  }
}

async function create(commands: LeasedCommands, { meta, spec, staged, trial }: Staging): Promise<void> {
  if (meta.kind === 'view') return;
  if (meta.kind === 'timeseries') await createNamespace(commands, meta.collection, trial, spec.create);
  await createNamespace(commands, meta.collection, staged, meta.kind === 'timeseries' ? new Map<string, never>() : spec.create);
}

function destinationsOf(commands: LeasedCommands, { meta, spec, staged, trial, isFuzzy }: Staging, uuids: ReadonlyMap<string, string>): Destination[] {
  const label = meta.collection;
  const uuidOf = (name: string): string => {
    const uuid = uuids.get(name);
    if (uuid === undefined) throw new AppError('STAGE_REJECTED', `The staged copy of collection "${label}" has disappeared`);
    return uuid;
  };
  const ordered = spec.create.get('capped') === true;
  const copy: Destination = { name: staged, uuid: uuidOf(staged), label, ordered, numbered: ordered, validated: false, repeated: isFuzzy && !ordered ? new DocumentSums() : null };
  if (meta.kind !== 'timeseries') return [copy];
  const buckets = bucketsPrefix + trial;
  const allowMixedSchema = async (): Promise<void> => {
    await commands.run(`preparing time series "${label}"`, { collMod: trial, timeseriesBucketsMayHaveMixedSchemaData: true });
  };
  return [copy, { name: buckets, uuid: uuidOf(buckets), label, ordered: false, numbered: true, validated: true, repeated: isFuzzy ? new DocumentSums() : null, allowMixedSchema }];
}

/** Indexes, and everything that can only fail now rather than in the middle of SWAP. Returns warnings. */
async function finish(commands: LeasedCommands, item: Staging): Promise<string[]> {
  const { meta, spec, staged, trial } = item;
  const label = meta.collection;
  if (meta.kind === 'view') return [];
  const isTimeseries = meta.kind === 'timeseries';
  await buildIndexes(commands, label, isTimeseries ? trial : staged, spec.indexes, item.destinations.at(-1)?.uuid);
  const warnings = await unknownOptions(commands, item, isTimeseries ? trial : staged);
  await rehearseTimeToLive(commands, label, trial, spec, isTimeseries);
  if (isTimeseries) await commands.run(`dropping the trial of "${label}"`, { drop: trial });
  return [...warnings, ...(await invalidDocuments(commands, item)), ...(await leftOut(commands, item)), ...repeatedOf(item)];
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

/** A capped collection keeps its newest documents; CHECK finds out whether it was those that others had no room beside. */
async function leftOut(commands: LeasedCommands, { meta, spec, staged, documents }: Staging): Promise<string[]> {
  if (spec.create.get('capped') !== true) return [];
  const { context, work } = commands;
  const { n } = await commands.repeat(`counting the documents of "${meta.collection}"`, () => context.db.command({ count: staged }, { signal: work.signal }));
  const kept = Number(n);
  return kept >= documents ? [] : [`"${meta.collection}" is capped and was written to while it was backed up: of its ${documents} documents the newest ${kept} have room in it, the others are left out`];
}

function repeatedOf({ meta, destinations }: Staging): string[] {
  const documents = destinations[0]?.repeated?.documents ?? 0;
  if (documents === 0) return [];
  return [`"${meta.collection}" was written to while it was backed up without a snapshot: ${documents} of its documents ${documents === 1 ? 'stands' : 'stand'} there twice, and what was read first is restored`];
}
