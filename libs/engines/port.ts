import type { ConsistencyLevel, NamespaceKind, NamespaceSummary } from '#archive';

/**
 * What Holdfast needs of a database engine. The port knows nothing of encryption, storage, PostgreSQL or GraphQL:
 * a backup hands frames of plain payload to a sink, a restore takes plain payload from a source.
 *
 * Every method takes the limits of the operation that it serves and stops within seconds of `signal`; none leaves a
 * driver call behind. Errors are AppErrors of the catalogue: TARGET_*, COLLECTION_CHANGED, SNAPSHOT_TOO_OLD, STAGE_*, LIVE_CHANGED,
 * SWAP_BLOCKED, ARCHIVE_*; no message holds a connection string.
 */
export type EngineName = 'MONGODB' | 'POSTGRESQL' | 'MYSQL';
export type { ConsistencyLevel, NamespaceKind, NamespaceSummary };

export interface Target {
  /** Connection string with credentials; never logged. */
  readonly uri: string;
  readonly database: string;
}

export interface TargetInspection {
  /** Server version, x.y.z. */
  readonly version: string;
  readonly featureCompatibility: string;
  readonly topology: 'replicaSet' | 'standalone';
  /** Identifies the deployment wherever it is reached from (the replica set's id); unique with the database name. */
  readonly deployment: string;
  /** The server's estimates of the whole database, what Holdfast itself may have put there included. */
  readonly sizeBytes: number;
  readonly documents: number;
  /** What documents and indexes take up on the server's disk, compressed. */
  readonly storageBytes: number;
  /** Free on the disk that the server keeps its data on; null where it does not tell. */
  readonly freeBytes: number | null;
  /** Namespaces as a user knows them, views included. */
  readonly collections: number;
}

/** One namespace as it is live. `options` and `indexes` are canonical Extended JSON, key order kept. */
export interface NamespaceState {
  readonly name: string;
  readonly kind: NamespaceKind;
  /** 32 lower-case hex digits; null for views. For a time series the UUID of its bucket collection. */
  readonly uuid: string | null;
  readonly documents: number;
  readonly sizeBytes: number;
  readonly options: string;
  readonly indexes: readonly string[];
}

/** Limits and ears of one operation, handed to every long call. */
export interface Work {
  readonly signal: AbortSignal;
  /** Called as often as the engine likes; the runtime throttles. Totals are null until they are known. */
  report(progress: WorkProgress): void;
  /** A line for the operation's log: no secrets. */
  log(message: string): void;
}

export interface WorkProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  readonly itemsDone: number;
  readonly itemsTotal: number | null;
  readonly current: string | null;
}

/** How fast documents may be read from, and written to, a tenant's database. */
export interface Pace {
  /** Resolves when so many bytes may pass; rejects with the reason of `signal`. */
  take(bytes: number, signal?: AbortSignal): Promise<void>;
}

/** Work that changes the tenant's database: commands carry `maxTimeMS` below what is left of the lease. */
export interface LeasedWork extends Work {
  readonly operationId: string;
  readonly fencingToken: number;
  /** Milliseconds left of the lease by the control plane's clock; 0 or less means stop. */
  leaseRemainingMs(): number;
}

/** Receives the payload. Frames are stored in the order of the calls. */
export interface FrameSink {
  /**
   * `payload` is whole blocks of one namespace (about 1 MiB), or the prelude (namespaceIndex -1, first call only).
   * The promise settles when `payload` is no longer needed and may be reused; the engine keeps several calls in flight.
   */
  writeFrame(namespaceIndex: number, payload: Buffer): Promise<void>;
}

export interface DumpOptions {
  /** Dump only these set-aside collections, under their own names: how they come into the safety archive. Default: the whole database. */
  readonly only?: readonly SetAsideNamespace[];
  /** Dump only these of the live namespaces, as far as they exist. Default: all. */
  readonly collections?: readonly string[];
  /** Read without a snapshot (a standalone, or after SNAPSHOT_TOO_OLD). */
  readonly fuzzy?: boolean;
  /** Collections read side by side; default 2. */
  readonly concurrency?: number;
}

export interface DumpResult {
  /** The weakest of all namespaces. If it is fuzzy and some namespaces say so themselves, only those are; if none does, all are. */
  readonly consistency: ConsistencyLevel;
  /** "<seconds>.<ordinal>", null on a server without cluster times. A fuzzy dump holds at least everything written up to it. */
  readonly clusterTime: string | null;
  readonly engineVersion: string;
  readonly featureCompatibility: string;
  readonly namespaces: readonly NamespaceSummary[];
}

/** A verified archive's payload: whoever makes it has read the whole of it once and compared sums and counts. */
export interface PayloadSource {
  readonly namespaces: readonly NamespaceSummary[];
  /** Names of those that were read without a snapshot while somebody may have written: a document that was deleted and came again meanwhile stands there twice. Default: none. */
  readonly fuzzy?: ReadonlySet<string>;
  /** The whole uncompressed payload from its first byte; may be called more than once. A chunk is its owner's again when the next one is asked for. */
  payload(): AsyncIterable<Buffer>;
}

/** What STAGE made; plain JSON, kept in the operation's journal. */
export interface StagedDatabase {
  readonly namespaces: readonly StagedNamespace[];
  readonly warnings: readonly string[];
}

export interface StagedNamespace {
  readonly name: string;
  readonly kind: NamespaceKind;
  /** Physical name of the staged collection, null for views (their definition is in `options`). */
  readonly staged: string | null;
  readonly uuid: string | null;
  readonly options: string;
  readonly indexes: readonly string[];
  /** What of the archive was left out, as another document with the same `_id` was there already. */
  readonly repeated?: { readonly documents: number; readonly bytes: number; readonly sum: string };
}

/** A live namespace as a plan knows it; `uuid` is null for views. */
export interface ExpectedNamespace {
  readonly name: string;
  readonly uuid: string | null;
}

/** The whole of SWAP, decided before its first step; plain JSON, written to the journal by the commit point. */
export interface SwapPlan {
  readonly database: string;
  readonly steps: readonly SwapStep[];
  /** The database, or the chosen part of it, as it was before SWAP, for CLEANUP. */
  readonly old: readonly SetAsideNamespace[];
}

/** A live namespace as it was before SWAP, and where its documents lie after it. */
export interface SetAsideNamespace {
  readonly name: string;
  readonly kind: NamespaceKind;
  /** Physical name of the set-aside collection (of a time series: the plain copy of its buckets); null for views. */
  readonly old: string | null;
  /** UUID of `old`; null until it is known (the copy of a time series' buckets) and for views. */
  readonly uuid: string | null;
  readonly options: string;
  /** Of a time series, as the copy of its buckets has none. A set-aside collection has its own; what a plan of an earlier version says of them is not used. */
  readonly indexes?: readonly string[];
}

export interface SwapOptions {
  /** The plan knows no other live namespaces than these: one of them that is not staged is removed, all others stay as they are. Default: the whole database. */
  readonly only?: readonly string[];
  /** What `settledIndexCount` gave right before. Default, and after null: each collection is asked for its index builds. */
  readonly indexCount?: number | null;
}

export type SwapStep =
  | { readonly kind: 'setAside'; readonly name: string; readonly old: string; readonly uuid: string }
  | { readonly kind: 'promote'; readonly name: string; readonly staged: string; readonly uuid: string }
  | { readonly kind: 'view'; readonly name: string; readonly options: string }
  | { readonly kind: 'dropView'; readonly name: string }
  | { readonly kind: 'timeseries'; readonly name: string; readonly options: string; readonly indexes: readonly string[]; readonly stagedBuckets: string; readonly stagedUuid: string; readonly liveUuid: string | null; readonly oldBuckets: string | null }
  | { readonly kind: 'dropTimeseries'; readonly name: string; readonly liveUuid: string; readonly oldBuckets: string }
  | { readonly kind: 'ttl'; readonly name: string; readonly uuid: string | null; readonly index: string | null; readonly expireAfterSeconds: number };

export interface SwapReport {
  readonly replaced: readonly string[];
  readonly added: readonly string[];
  readonly dropped: readonly string[];
  /** Live names that the product re-created during SWAP: kept under another name, never dropped. */
  readonly interlopers: readonly { readonly name: string; readonly kept: string; readonly documents: number }[];
  /** Live names that somebody dropped before they could be set aside: nothing of them can be archived any more. */
  readonly gone: readonly string[];
  readonly warnings: readonly string[];
}

/** What MERGE does with a document that is live and in the archive, and differs. */
export type MergeConflict = 'KEEP_LIVE' | 'TAKE_ARCHIVE';

/** Numbers of documents of one collection. Each document of the archive is in exactly one of them. */
export interface MergeCounts {
  readonly name: string;
  /** In the archive alone. */
  readonly inserted: number;
  /** In both, byte for byte the same. */
  readonly equal: number;
  /** In both and different: the live one stays (KEEP_LIVE). */
  readonly kept: number;
  /** In both and different: the archive's takes the place of the live one (TAKE_ARCHIVE). */
  readonly replaced: number;
  /** Not written, since another document has the same key in a unique index, or the live collection refuses it for another reason. */
  readonly clashes: number;
}

/** What a dry pass of MERGE found: only collections that are there on both sides. */
export interface MergeForecast {
  readonly collections: readonly MergeCounts[];
  readonly clashes: readonly { readonly name: string; readonly index: string; readonly documents: number }[];
}

/** MERGE, decided before its first write; plain JSON, written to the journal by the commit point. */
export interface MergePlan {
  readonly conflict: MergeConflict;
  /** The staged collections that are missing live become the live ones: a SWAP that sets nothing aside, to be done first. */
  readonly create: SwapPlan;
  /** Collections that are merged, in this order. */
  readonly targets: readonly {
    readonly name: string;
    readonly uuid: string;
    readonly staged: string;
    readonly stagedUuid: string;
    /** The ids of documents that clashed in the dry pass of the same worker and are left out; null where none did. */
    readonly clashes: { readonly name: string; readonly uuid: string } | null;
  }[];
  /** The collection that holds the fence: token, place and counts, written by the same transactions as the documents. */
  readonly fence: { readonly name: string; readonly uuid: string };
}

export interface MergeReport {
  readonly collections: readonly MergeCounts[];
  readonly warnings: readonly string[];
}

/** A collection of counters (`{ _id: 'invoice', seq: 1042 }`) that starts anew: `value` is written to the top-level `field` of each document, in the numeric type that it has. */
export interface CounterReset {
  readonly name: string;
  readonly field: string;
  /** From 0 to 2^31 - 1. */
  readonly value: number;
}

export interface EngineSession {
  inspect(): Promise<TargetInspection>;
  /** Throws TARGET_PRIVILEGE_MISSING naming every missing privilege; reads and writes nothing of the tenant's. */
  requirePrivileges(purpose: 'BACKUP' | 'RESTORE'): Promise<void>;
  /** Live namespaces as a user knows them (none of those that Holdfast itself made), sorted by name. */
  catalogue(): Promise<readonly NamespaceState[]>;
  /** The same namespaces, by one command: the catalogue asks the server for each. */
  namespaces(): Promise<readonly ExpectedNamespace[]>;
  /**
   * What the sink got from a call that threw is of no use; each call needs a new sink. After COLLECTION_CHANGED another call on the same
   * session reads the collections that were lost before all others, which makes it unlikely that they are lost again. After
   * SNAPSHOT_TOO_OLD only `fuzzy` helps. Errors of the sink pass unchanged.
   */
  dump(sink: FrameSink, options: DumpOptions, work: Work): Promise<DumpResult>;

  /**
   * What an archive of these live collections and time series would hold if they had no documents: the same options, validators and indexes. Those of `counters`
   * keep their documents, with the counter set. Throws LIVE_CHANGED for a name that is not there or is a view now, COUNTERS_TOO_LARGE.
   */
  hollow(names: readonly string[], counters: readonly CounterReset[], work: Work): Promise<PayloadSource>;
  /** Builds everything beside the live data; idempotent for one (operation, token). */
  stage(source: PayloadSource, work: LeasedWork): Promise<StagedDatabase>;
  /** Re-reads the stage: documents, bytes, sums, options, indexes. Throws STAGE_MISMATCH naming the collection. */
  checkStage(staged: StagedDatabase, source: PayloadSource, work: Work): Promise<void>;
  /** Drops every `hf_<operation>_*` collection of STAGE, whatever token made it; live and `old` ones are not touched. Idempotent. */
  dropStage(operationId: string, work: Work): Promise<void>;
  /** Looks for index builds on thousands of collections, so that `planSwap` need not: how many indexes the database has; null while one is being built, or where `planSwap` may as well look itself. To be asked right before the users are shut out. */
  settledIndexCount(work: Work): Promise<number | null>;
  /** Compares live UUIDs with `expected` (LIVE_CHANGED), refuses open transactions and index builds (SWAP_BLOCKED), and decides every step. */
  planSwap(staged: StagedDatabase, expected: readonly ExpectedNamespace[], work: LeasedWork, options?: SwapOptions): Promise<SwapPlan>;
  /** Forward only and idempotent: real UUIDs decide what is done. `beforeStep` is awaited before each step (fault points, logs). */
  swap(plan: SwapPlan, work: LeasedWork, beforeStep?: (index: number, step: SwapStep) => Promise<void>): Promise<SwapReport>;
  /** False only if it is certain that nothing was written to the set-aside collections after `clusterTime`. Marks the time beside the stage. */
  wasWrittenSince(clusterTime: string | null, plan: SwapPlan, work: LeasedWork): Promise<boolean>;
  /**
   * The dry pass of MERGE: compares what is staged with what is live, by `_id` and byte by byte, and tries the keys of unique indexes on a copy of them.
   * Writes nothing live. Throws MERGE_UNSUPPORTED naming capped collections, time series and views.
   */
  forecastMerge(staged: StagedDatabase, conflict: MergeConflict, work: LeasedWork): Promise<MergeForecast>;
  /** Compares live UUIDs with `expected` (LIVE_CHANGED), makes the fence beside the stage, and decides what is merged and what is created. Throws MERGE_UNSUPPORTED. */
  planMerge(staged: StagedDatabase, expected: readonly ExpectedNamespace[], conflict: MergeConflict, work: LeasedWork): Promise<MergePlan>;
  /**
   * Forward only and idempotent: goes on where the fence says, and takes it from every worker with a smaller token. A worker that has lost
   * it writes nothing more (LEASE_LOST). `create` must be done. `beforeBatch` is awaited before each transaction.
   */
  merge(plan: MergePlan, work: LeasedWork, beforeBatch?: (batch: number) => Promise<void>): Promise<MergeReport>;
  /** Whether the live collections of these names were written to after `clusterTime`; null where the server cannot tell. Marks the time beside the stage. */
  wasLiveWrittenSince(clusterTime: string | null, names: readonly string[], work: LeasedWork): Promise<boolean | null>;
  /** Whether anybody has inserted or changed documents of the session's database since then, of the last hour at most; null where the server cannot tell. What is deleted, as by a TTL, does not count. */
  wasUsedSince(since: Date, work: LeasedWork): Promise<boolean | null>;
  /** Live names of the set-aside collections that are not there any more: somebody else has dropped them. */
  missingOld(plan: SwapPlan, work: LeasedWork): Promise<readonly string[]>;
  /** Drops the set-aside collections by UUID; idempotent. */
  dropOld(plan: SwapPlan, work: LeasedWork): Promise<void>;
  /**
   * Drops all that the session's database holds, which `database` must name once more. Idempotent. `beforeDrop` is awaited each time that the collections are known and none is dropped yet: whoever
   * asserts a fencing token there drops nothing of a successor, as collections are dropped by the UUID that they had before. Throws LIVE_CHANGED where somebody goes on creating collections there.
   */
  dropDatabase(database: string, work: Work, beforeDrop?: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export interface TenantEngine {
  readonly name: EngineName;
  /**
   * Connects and refuses what is not supported: TARGET_INVALID, TARGET_UNREACHABLE (within 10 s), TARGET_AUTH_FAILED, TARGET_UNSUPPORTED.
   *
   * @param pace of all documents that the session reads and stages; null: as fast as it goes. Several sessions may share one
   */
  open(target: Target, pace?: Pace | null): Promise<EngineSession>;
}
