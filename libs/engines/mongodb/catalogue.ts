import { bsonToExtendedJson } from '#archive';
import { AppError } from '#errors';
import type { NamespaceKind, NamespaceState } from '../port.js';
import type { MongodbContext } from './connection.js';
import { serverCode, serverCodeOf, toTargetError, throwTargetError } from './errors.js';
import { uuidsByName } from './find-namespaces.js';
import { inParallel } from './in-parallel.js';
import { bucketsPrefix, isOwnName } from './names.js';
import { bsonType, findElement, textOf, type RawElement } from './raw-bson.js';
import { readAll } from './raw-cursor.js';

/** One entry of listCollections, as the server has it: `system.*` and `hf_*` included, time series not folded. */
export interface PhysicalNamespace {
  readonly name: string;
  /** `collection`, `view` or `timeseries`. */
  readonly type: string;
  /** 32 lower-case hex digits; null for views and time series (their bucket collection has it). */
  readonly uuid: string | null;
  /** BSON of `options`, verbatim. */
  readonly options: Buffer;
}

/** A namespace as a user knows it, without its indexes: those cost a command each. */
export interface NamespaceHead {
  readonly name: string;
  readonly kind: NamespaceKind;
  /** Of a time series: its bucket collection's. Null for views. */
  readonly uuid: string | null;
  /** Where the documents lie: `name`, or `system.buckets.<name>`; null for views. */
  readonly physical: string | null;
  readonly capped: boolean;
  readonly options: Buffer;
}

/** With everything that a backup says of it except its documents. */
export interface LiveNamespace extends NamespaceHead {
  /** BSON of each listIndexes document, verbatim, `_id_` included. */
  readonly indexes: readonly Buffer[];
  /** Those that are just being built. They are no part of the collection yet: a build may still fail, on the very documents that are there now. */
  readonly building: readonly Buffer[];
}

/** Without its counts and sizes. */
export type NamespaceDefinition = Omit<NamespaceState, 'documents' | 'sizeBytes'>;

export type LiveDefinition = NamespaceDefinition & { readonly hasIndexBuild: boolean };

const listConcurrency = 8;
const countingMs = 3_000;
const noIndexes = { indexes: [], building: [] };
/** mongodump leaves out every other `system.*` collection of a user's database too. */
const copiedSystemNames = new Set(['system.js']);

/** True for what a backup holds and a restore replaces. */
export function isTenantsName(name: string): boolean {
  if (isOwnName(name)) return false;
  return !name.startsWith('system.') || copiedSystemNames.has(name);
}

/** Every namespace that listCollections knows. Driver errors pass unchanged. */
export async function listPhysical(context: MongodbContext, signal?: AbortSignal): Promise<PhysicalNamespace[]> {
  const entries = await readAll(context, { listCollections: 1, filter: {}, cursor: {} }, signal);
  return entries.map((entry) => {
    const info = findElement(entry, 'info');
    const uuid = info ? findElement(info.value, 'uuid') : undefined;
    return {
      name: textOf(findElement(entry, 'name')) ?? '',
      type: textOf(findElement(entry, 'type')) ?? 'collection',
      uuid: uuid?.type === bsonType.binary ? uuid.value.toString('hex', 5) : null,
      options: findElement(entry, 'options')?.value ?? Buffer.from([5, 0, 0, 0, 0]),
    };
  });
}

/** The indexes of one collection or time series as BSON; empty if it has gone meanwhile. Driver errors pass unchanged. */
export async function listIndexes(context: MongodbContext, name: string, signal?: AbortSignal): Promise<Pick<LiveNamespace, 'indexes' | 'building'>> {
  try {
    const found = await readAll(context, { listIndexes: name, includeBuildUUIDs: true, cursor: {} }, signal);
    const isBuilding = (index: Buffer): boolean => findElement(index, 'buildUUID') !== undefined;
    // Only one that is being built is wrapped.
    const building = found.filter(isBuilding).map((index) => findElement(index, 'spec')?.value ?? index);
    return { indexes: found.filter((index) => !isBuilding(index)), building };
  } catch (error) {
    if (serverCodeOf(error) === serverCode.namespaceNotFound) return noIndexes;
    throw error;
  }
}

/**
 * The tenant's namespaces, sorted by name: none of Holdfast's own, no `system.*` but `system.js`, and the bucket collections folded
 * into their time series. Throws TARGET_UNSUPPORTED for what cannot be copied truly.
 */
export async function listHeads(context: MongodbContext, signal?: AbortSignal): Promise<NamespaceHead[]> {
  try {
    return headsOf(context, await listPhysical(context, signal));
  } catch (error) {
    throwTargetError(error, 'listing the collections', signal);
  }
}

/** The tenant's among `physical`, as `listHeads` has them. */
export function headsOf(context: MongodbContext, physical: readonly PhysicalNamespace[]): NamespaceHead[] {
  const uuids = uuidsByName(physical);
  const tenants = physical.filter(({ name }) => isTenantsName(name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  refuseUnsupported(context, tenants);
  return tenants.map(({ name, type, uuid, options }): NamespaceHead => {
    if (type === 'view') return { name, kind: 'view', uuid: null, physical: null, capped: false, options };
    if (type === 'timeseries') {
      const buckets = bucketsPrefix + name;
      return { name, kind: 'timeseries', uuid: uuids.get(buckets) ?? null, physical: buckets, capped: false, options };
    }
    return { name, kind: 'collection', uuid, physical: name, capped: isTrue(findElement(options, 'capped')), options };
  });
}

/** Adds the indexes that each namespace has now, or each of those `isAsked`. */
export async function withIndexes(context: MongodbContext, heads: readonly NamespaceHead[], signal?: AbortSignal, isAsked: (head: NamespaceHead) => boolean = isNoView): Promise<LiveNamespace[]> {
  try {
    return await inParallel(heads, listConcurrency, async (head) => ({
      ...head,
      ...(isAsked(head) ? await listIndexes(context, head.name, signal) : noIndexes),
    }));
  } catch (error) {
    throwTargetError(error, 'listing the indexes', signal);
  }
}

/** How many indexes the whole database has, those that are being built and Holdfast's own included, by one command. It waits for whoever locks a collection, for a while. Driver errors pass unchanged. */
export async function countIndexes({ db }: MongodbContext, signal?: AbortSignal): Promise<number> {
  return Number((await db.command({ dbStats: 1, maxTimeMS: countingMs }, signal ? { signal } : {}))['indexes']);
}

/** Of each live namespace what it is, with its definitions as Extended JSON. */
export async function readDefinitions(context: MongodbContext, signal?: AbortSignal): Promise<LiveDefinition[]> {
  return definitionsOf(await withIndexes(context, await listHeads(context, signal), signal));
}

export function definitionsOf(live: readonly LiveNamespace[]): LiveDefinition[] {
  return live.map(({ name, kind, uuid, options, indexes, building }) => ({ name, kind, uuid, options: bsonToExtendedJson(options), indexes: indexes.map(bsonToExtendedJson), hasIndexBuild: building.length > 0 }));
}

/** The port's view of the live namespaces: with counts and sizes as the server estimates them, which cost it many times what the definitions do. */
export async function readCatalogue(context: MongodbContext, signal?: AbortSignal): Promise<NamespaceState[]> {
  return inParallel(await readDefinitions(context, signal), listConcurrency, async ({ hasIndexBuild: _, ...namespace }) => ({ ...namespace, ...(await readStatistics(context, namespace, signal)) }));
}

async function readStatistics(context: MongodbContext, { name, kind }: NamespaceDefinition, signal?: AbortSignal): Promise<{ documents: number; sizeBytes: number }> {
  if (kind === 'view') return { documents: 0, sizeBytes: 0 };
  try {
    const stats = await context.db.command({ collStats: name }, signal ? { signal } : {});
    const series = stats['timeseries'] as { readonly bucketCount?: unknown } | undefined;
    const documents: unknown = kind === 'timeseries' ? series?.bucketCount : stats['count'];
    return { documents: Number(documents ?? 0), sizeBytes: Number(stats['size'] ?? 0) };
  } catch (error) {
    if (serverCodeOf(error) === serverCode.namespaceNotFound) return { documents: 0, sizeBytes: 0 };
    throw toTargetError(error, `reading the size of "${name}"`);
  }
}

function isNoView({ kind }: NamespaceHead): boolean {
  return kind !== 'view';
}

function refuseUnsupported({ server }: MongodbContext, namespaces: readonly PhysicalNamespace[]): void {
  const [major, minor] = server.versionNumbers;
  const rawBuckets = major < 8 || (major === 8 && minor < 3);
  for (const { name, type, options } of namespaces) {
    if (findElement(options, 'encryptedFields')) throw new AppError('TARGET_UNSUPPORTED', `Queryable Encryption is not supported; it is used by "${name}"`);
    if (type === 'timeseries' && !rawBuckets) throw new AppError('TARGET_UNSUPPORTED', `The time series "${name}" cannot be read from MongoDB ${server.version}; 8.2 is the newest version whose time series are supported`);
  }
}

function isTrue(element: RawElement | undefined): boolean {
  return element?.type === bsonType.bool && element.value[0] === 1;
}
