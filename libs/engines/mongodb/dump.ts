import { setMaxListeners } from 'node:events';
import { bsonToExtendedJson, encodePrelude, formatCollectionMetadata } from '#archive';
import { AppError } from '#errors';
import { Binary, type Document, type Timestamp } from 'mongodb';
import type { DumpOptions, DumpResult, FrameSink, NamespaceKind, NamespaceSummary, SetAsideNamespace, Work } from '../port.js';
import { listIndexes, listPhysical } from './catalogue.js';
import type { MongodbContext } from './connection.js';
import { isLost, serverCode, serverCodeOf, throwTargetError, toTargetError } from './errors.js';
import { uuidsByName } from './find-namespaces.js';
import { FramePool } from './frame-pool.js';
import { inParallel } from './in-parallel.js';
import { bucketsPrefix } from './names.js';
import { NamespaceFrames } from './namespace-frames.js';
import { RawCursor } from './raw-cursor.js';
import { collectionChanged, formatClusterTime, settleCatalogue, takeClusterTime } from './snapshot.js';

/** A namespace to dump: where it is read, and what the archive calls it. */
interface DumpNamespace {
  readonly index: number;
  readonly name: string;
  readonly kind: NamespaceKind;
  /** Null for views, which have no documents. */
  readonly physical: string | null;
  readonly uuid: string | null;
  readonly capped: boolean;
  /** Extended JSON. */
  readonly options: string;
  readonly indexes: readonly string[];
}

/** What happens to collections under our hands: dropped, replaced, renamed, created after T, overwritten. */
const changeCodes: ReadonlySet<number> = new Set([
  serverCode.namespaceNotFound, serverCode.cappedPositionLost, serverCode.commandNotSupportedOnView,
  serverCode.queryPlanKilled, serverCode.snapshotUnavailable, serverCode.collectionUuidMismatch,
]);
const defaultConcurrency = 2;
const maxConcurrency = 16;
const spareFrames = 4;
/** A reply holds the documents of one getMore, and each is in memory some three times. A larger one takes a core of the server for milliseconds, which the product's own commands wait for. */
const replyBytes = 256 * 1024;
const firstDocuments = 100;
const mostDocuments = 100_000;
const openAttempts = 3;
const toolVersion = 'holdfast';

/**
 * Dumps the database, the `options.collections` of it, or the set-aside collections of `options.only`, as the payload of a mongodump archive. `volatile`
 * holds collections that an earlier attempt lost: their cursors are opened before anything is written, which makes it
 * unlikely that they are lost again; those that are lost now are added to it. What the sink got from a dump that threw
 * is of no use. Errors of the sink pass unchanged.
 */
export async function dump(context: MongodbContext, sink: FrameSink, options: DumpOptions, work: Work, volatile: Set<string>): Promise<DumpResult> {
  const stop = new AbortController();
  const signal = AbortSignal.any([work.signal, stop.signal]);
  // Every command that runs listens to it.
  setMaxListeners(0, signal);
  const run = new DumpRun(context, sink, options, work, stop, signal, volatile);
  try {
    return await run.run();
  } catch (error) {
    if (work.signal.aborted) throw work.signal.reason;
    throw error;
  } finally {
    await run.close();
  }
}

class DumpRun {
  private readonly concurrency: number;
  private readonly pool: FramePool;
  /** Cursors of volatile collections, opened before the first frame. */
  private readonly early = new Map<DumpNamespace, RawCursor>();
  private clusterTime: Timestamp | null = null;
  private namespaces: readonly DumpNamespace[] = [];
  private readonly summaries: NamespaceSummary[] = [];
  private readonly done = { bytes: 0, documents: 0 };
  private expected: { readonly bytes: number; readonly documents: number } | null = null;
  private readonly onAbort = (): void => this.pool.fail(this.signal.reason);

  constructor(
    private readonly context: MongodbContext,
    sink: FrameSink,
    private readonly options: DumpOptions,
    private readonly work: Work,
    private readonly stop: AbortController,
    private readonly signal: AbortSignal,
    private readonly volatile: Set<string>,
  ) {
    this.concurrency = Math.min(Math.max(1, Math.trunc(options.concurrency ?? defaultConcurrency)), maxConcurrency);
    this.pool = new FramePool(sink, this.concurrency + spareFrames);
    signal.addEventListener('abort', this.onAbort, { once: true });
  }

  async run(): Promise<DumpResult> {
    this.signal.throwIfAborted();
    this.expected = await this.estimate();
    await this.settle();
    this.work.log(`Reading ${this.namespaces.length} namespaces${this.clusterTime ? ` at cluster time ${formatClusterTime(this.clusterTime)}` : ''}`);
    await this.writePrelude();
    const order = [...this.early.keys(), ...this.namespaces.filter((namespace) => !this.early.has(namespace))];
    // Capped collections refuse snapshots: read last, they are the closest to what applications saw after T.
    for (const capped of [false, true]) {
      await inParallel(order.filter((namespace) => namespace.capped === capped), this.concurrency, (namespace) => this.dumpNamespace(namespace));
    }
    await this.pool.drain();
    return {
      consistency: this.isFuzzy || this.namespaces.some(({ capped }) => capped) ? 'fuzzy' : 'snapshot',
      clusterTime: formatClusterTime(this.clusterTime),
      engineVersion: this.context.server.version,
      featureCompatibility: this.context.server.featureCompatibility,
      namespaces: this.summaries,
    };
  }

  async close(): Promise<void> {
    // Node keeps a composed signal for good while something listens to it, and with it this run and its frames.
    this.signal.removeEventListener('abort', this.onAbort);
    const cursors = [...this.early.values()];
    this.early.clear();
    await Promise.all(cursors.map((cursor) => cursor.close()));
  }

  private get isFuzzy(): boolean {
    return this.options.fuzzy === true || this.context.server.topology === 'standalone';
  }

  private async estimate(): Promise<{ bytes: number; documents: number } | null> {
    if (this.options.only || this.options.collections) return null;
    try {
      const stats = await this.context.db.command({ dbStats: 1 }, { signal: this.signal });
      return { bytes: Number(stats['dataSize']), documents: Number(stats['objects']) };
    } catch (error) {
      throwTargetError(error, 'reading the size of the database', this.signal);
    }
  }

  /** Decides namespaces and T, and opens the volatile ones at once; all of it again if one of them is lost even then. */
  private async settle(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.options.only) {
        this.clusterTime = await takeClusterTime(this.context, this.signal);
        this.namespaces = await this.setAside(this.options.only);
      } else {
        const settled = await settleCatalogue(this.context, this.signal);
        this.clusterTime = settled.clusterTime;
        const chosen = this.options.collections && new Set(this.options.collections);
        const namespaces = settled.namespaces.filter(({ name }) => chosen?.has(name) ?? true);
        for (const { name, building } of namespaces) if (building.length > 0) this.work.log(`An index of "${name}" is still being built and not in the backup`);
        this.namespaces = namespaces.map((namespace, index) => ({
          ...namespace,
          index,
          options: bsonToExtendedJson(namespace.options),
          indexes: namespace.indexes.map(bsonToExtendedJson),
        }));
      }
      const first = this.namespaces.filter(({ name, physical, capped }) => physical !== null && !capped && this.volatile.has(name));
      try {
        await inParallel(first, maxConcurrency, async (namespace) => {
          this.early.set(namespace, await this.open(namespace, mostDocuments));
        });
        return;
      } catch (error) {
        await this.close();
        if (attempt === openAttempts || !(error instanceof AppError) || error.code !== 'COLLECTION_CHANGED') throw error;
      }
    }
  }

  private async setAside(only: readonly SetAsideNamespace[]): Promise<DumpNamespace[]> {
    const physical = await this.ask(listPhysical(this.context, this.signal), 'listing the collections');
    const uuids = uuidsByName(physical);
    return inParallel(only, maxConcurrency, async ({ name, kind, old, uuid, options, indexes = [] }, index) => {
      const found = old === null ? null : (uuids.get(old) ?? null);
      // Without its UUID a collection that has gone would read like an empty one.
      if (old !== null && (found === null || (uuid !== null && uuid !== found))) throw collectionChanged([name]);
      const definition = options === '' ? '{}' : options;
      const capped = kind === 'collection' && (JSON.parse(definition) as { capped?: unknown }).capped === true;
      const own = kind === 'collection' && old !== null ? (await this.ask(listIndexes(this.context, old, this.signal), `listing the indexes of "${name}"`)).indexes.map(bsonToExtendedJson) : indexes;
      return { index, name, kind, physical: old, uuid: found, capped, options: definition, indexes: own };
    });
  }

  private async writePrelude(): Promise<void> {
    const db = this.context.db.databaseName;
    const prelude = encodePrelude(
      { concurrentCollections: this.concurrency, version: '0.1', serverVersion: this.context.server.version, toolVersion },
      this.namespaces.map(({ name, kind, options, indexes, uuid }) => ({
        db,
        collection: name,
        kind,
        metadata: formatCollectionMetadata({ collection: name, kind, options, indexes, uuid: kind === 'collection' ? uuid : null }),
      })),
    );
    const frame = await this.pool.lend(prelude.length);
    this.pool.write(-1, frame, prelude.copy(frame));
  }

  private async dumpNamespace(namespace: DumpNamespace): Promise<void> {
    const { index, name, kind } = namespace;
    const frames = new NamespaceFrames(index, this.context.db.databaseName, kind === 'timeseries' ? bucketsPrefix + name : name, this.pool);
    try {
      if (namespace.physical !== null) await this.read(namespace, frames);
      await frames.end();
    } catch (error) {
      // The other lanes must not read on to the end of what they hold.
      this.stop.abort(error);
      throw error;
    }
    const { documents, bytes, crc64, sum } = frames.sums;
    const weaker = namespace.capped && !this.isFuzzy ? { consistency: 'fuzzy' as const } : {};
    this.summaries[index] = { name, kind, documents, bytes, crc64, sum, indexes: namespace.indexes.length, ...weaker };
  }

  private async read(namespace: DumpNamespace, frames: NamespaceFrames): Promise<void> {
    const cursor = this.early.get(namespace) ?? (await this.open(namespace, firstDocuments));
    this.early.delete(namespace);
    const nextBatch = (size: number): Promise<Buffer | null> => {
      const batch = this.ask(cursor.nextBatch(size), `reading "${namespace.name}"`, namespace);
      // It is awaited only after the batch before it has been copied; a failure until then is not an unhandled one.
      batch.catch(() => undefined);
      return batch;
    };
    let size = firstDocuments;
    let next = nextBatch(size);
    try {
      for (let batch = await next; batch; batch = await next) {
        next = nextBatch(size);
        const { documents, bytes } = await frames.addBatch(batch);
        if (documents > 0) size = Math.min(Math.max(1, Math.floor((replyBytes * documents) / bytes)), mostDocuments);
        this.report(namespace, documents, bytes);
      }
    } finally {
      await next.catch(() => undefined);
      await cursor.close();
    }
  }

  private report({ name }: DumpNamespace, documents: number, bytes: number): void {
    this.done.bytes += bytes;
    this.done.documents += documents;
    this.work.report({
      bytesDone: this.done.bytes,
      bytesTotal: this.expected && Math.max(this.expected.bytes, this.done.bytes),
      itemsDone: this.done.documents,
      itemsTotal: this.expected && Math.max(this.expected.documents, this.done.documents),
      current: name,
    });
  }

  private async open(namespace: DumpNamespace, batchSize: number): Promise<RawCursor> {
    const { name, physical, uuid } = namespace;
    // Without its UUID a collection that was dropped after T would read like an empty one.
    if (physical === null || uuid === null) throw collectionChanged([name]);
    const command = { find: physical, filter: {}, batchSize, collectionUUID: new Binary(Buffer.from(uuid, 'hex'), Binary.SUBTYPE_UUID), readConcern: this.readConcern(namespace) };
    const attempt = (): Promise<RawCursor> => RawCursor.open(this.context, command, this.signal);
    const opened = attempt().catch((error: unknown) => {
      // Nothing of this collection has been written yet, so that a new primary may serve it as well.
      if (isLost(error) && !this.signal.aborted) return attempt();
      throw error;
    });
    return this.ask(opened, `opening "${name}"`, namespace);
  }

  private readConcern({ capped }: DumpNamespace): Document {
    if (this.clusterTime === null) return { level: 'local' };
    if (capped || this.isFuzzy) return { level: 'majority', afterClusterTime: this.clusterTime };
    return { level: 'snapshot', atClusterTime: this.clusterTime };
  }

  /** Awaits a driver call and maps what it throws. */
  private async ask<T>(call: Promise<T>, doing: string, namespace?: DumpNamespace): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (this.signal.aborted) throw this.signal.reason;
      const code = serverCodeOf(error);
      if (namespace && code !== undefined && changeCodes.has(code)) {
        this.volatile.add(namespace.name);
        throw collectionChanged([namespace.name], error);
      }
      throw toTargetError(error, doing);
    }
  }
}
