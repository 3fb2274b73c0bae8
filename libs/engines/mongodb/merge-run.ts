import { type ClientSession, type Document, MongoError, MongoServerError } from 'mongodb';
import { AppError } from '#errors';
import type { LeasedWork, MergePlan, MergeReport } from '../port.js';
import type { MongodbContext } from './connection.js';
import { isLost, serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { toUuid } from './find-namespaces.js';
import { LeasedCommands, TryAgain } from './leased-commands.js';
import { compare, type Compared, idOf, keyOf, type Known, stagedBatches } from './merge-compare.js';
import { type FenceState, MergeFence, nothing, type Tally } from './merge-fence.js';
import { valueOf } from './ordered-bson.js';
import { sequence } from './raw-insert.js';
import { documentsWithZeroTimestamp, keepsZeroTimestamps, rewriteStatement } from './zero-timestamps.js';

export type BeforeBatch = (batch: number) => Promise<void>;

type Target = MergePlan['targets'][number];

const { maxTimeExpired, writeConflict, namespaceNotFound, collectionUuidMismatch, unauthorized } = serverCode;
// Lock timeouts, and a transaction that the server has ended.
const passingCodes = new Set<number>([maxTimeExpired, writeConflict, 24, 46, 112, 225, 251]);

/** Carries out a MERGE from where the fence says; every batch is one transaction that also matches and writes the fence. */
export async function runMerge(context: MongodbContext, plan: MergePlan, work: LeasedWork, beforeBatch: BeforeBatch = async () => undefined): Promise<MergeReport> {
  const run = new MergeRun(context, plan, work, beforeBatch);
  try {
    return await run.run();
  } catch (error) {
    throwTargetError(error, 'merging the archive', work.signal);
  }
}

class MergeRun {
  private readonly commands: LeasedCommands;
  private readonly fence: MergeFence;
  private state: FenceState = { batch: 0, at: 0, last: null, counts: [], gone: [] };

  constructor(
    private readonly context: MongodbContext,
    private readonly plan: MergePlan,
    private readonly work: LeasedWork,
    private readonly beforeBatch: BeforeBatch,
  ) {
    this.commands = new LeasedCommands(context, work);
    this.fence = new MergeFence(this.commands, plan, work.fencingToken);
  }

  async run(): Promise<MergeReport> {
    await this.persist('taking the fence', async () => {
      this.state = await this.fence.take();
    });
    for (let target = this.plan.targets[this.state.at]; target !== undefined; target = this.plan.targets[this.state.at]) {
      const now = target;
      await this.persist(`merging "${now.name}"`, () => this.mergeTarget(now));
      await this.commit([], now, { at: this.state.at + 1, last: null });
    }
    await this.commands.majority('waiting for the replicas');
    return this.report();
  }

  private async mergeTarget(target: Target): Promise<void> {
    if (this.state.gone.includes(this.state.at)) return;
    const staged = { name: target.staged, uuid: target.stagedUuid };
    for await (const documents of stagedBatches(this.context, staged, this.state.last, this.work.signal)) {
      await this.beforeBatch(this.state.batch);
      try {
        await this.mergeBatch(documents, target, await this.clashing(documents, target));
      } catch (error) {
        if (!(error instanceof LiveGone)) throw error;
        await this.commit([], target, { gone: true });
        return;
      }
      this.work.report({ bytesDone: 0, bytesTotal: null, itemsDone: done(this.state), itemsTotal: null, current: target.name });
    }
  }

  /** A document that the server refuses ends its transaction: the batch is halved until that document stands alone, and left out. */
  private async mergeBatch(documents: readonly Buffer[], target: Target, leaveOut: ReadonlySet<Buffer>): Promise<void> {
    try {
      await this.commit(documents, target, { leaveOut });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (documents.length === 1) return this.commit(documents, target, { leaveOut: new Set(documents) });
      const middle = Math.ceil(documents.length / 2);
      await this.mergeBatch(documents.slice(0, middle), target, leaveOut);
      await this.mergeBatch(documents.slice(middle), target, leaveOut);
    }
  }

  /** Those that the dry pass saw clash: to find each of them by a broken transaction would take long. */
  private async clashing(documents: readonly Buffer[], { clashes }: Target): Promise<ReadonlySet<Buffer>> {
    if (clashes === null) return new Set();
    const compared = await compare(this.context, clashes, documents, 'KEEP_LIVE', this.work.signal);
    return new Set(compared.filter(({ live }) => live !== null).map(({ document }) => document));
  }

  /** One transaction. Called again after whatever broke it off, it finds in the fence whether it was committed after all. */
  private async commit(documents: readonly Buffer[], target: Target, how: { readonly leaveOut?: ReadonlySet<Buffer>; readonly gone?: boolean; readonly at?: number; readonly last?: null }): Promise<void> {
    const before = this.state;
    await this.persist(`merging "${target.name}"`, async () => {
      const session = this.context.client.startSession({ causalConsistency: false });
      try {
        session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' }, readPreference: 'primary', maxCommitTimeMS: this.commands.maxTimeMS() });
        if (!(await this.fence.match(session, before.batch))) {
          await session.abortTransaction();
          const found = await this.fence.read();
          if (found.batch !== before.batch + 1) throw new AppError('LEASE_LOST', 'Another worker has taken the merge over');
          this.state = found;
          return;
        }
        const written = documents.filter((document) => how.leaveOut?.has(document) !== true);
        const tally = { ...(await this.write(session, written, target)), clashes: documents.length - written.length };
        const last = documents.at(-1);
        // The tally belongs to the target that was merged, also where the place moves on to the next.
        const counts = this.plan.targets.map((_, index) => (index === before.at ? add(before.counts[index] ?? nothing, tally) : (before.counts[index] ?? nothing)));
        const gone = how.gone === true ? [...before.gone, before.at] : before.gone;
        const after: FenceState = { batch: before.batch + 1, at: how.at ?? before.at, last: how.last === null ? null : last === undefined ? before.last : idOf(last), counts, gone };
        await this.fence.note(session, after);
        this.commands.maxTimeMS();
        await this.finish(session, target);
        this.state = after;
      } finally {
        await session.endSession();
      }
    });
  }

  /** A commit whose reply was lost is asked for again: a transaction that is left open would hold the fence for a minute. */
  private async finish(session: ClientSession, { name }: Target): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await session.commitTransaction();
      } catch (error) {
        this.work.signal.throwIfAborted();
        if (!(error instanceof MongoError) || !error.hasErrorLabel('UnknownTransactionCommitResult')) throw error;
        await this.commands.pause(tries, `merging "${name}"`, error);
      }
    }
  }

  private async write(session: ClientSession, documents: readonly Buffer[], target: Target): Promise<Tally> {
    if (documents.length === 0) return nothing;
    const live: Known = { name: target.name, uuid: target.uuid };
    const compared = await compare(this.context, live, documents, this.plan.conflict, this.work.signal, session).catch((error: unknown) => {
      throw isGone(error) ? new LiveGone() : error;
    });
    const inserts = compared.filter(({ verdict }) => verdict === 'inserted');
    const replaces = compared.filter(({ verdict }) => verdict === 'replaced');
    // The server may find ids the same whose bytes differ, and refuses to change one into the other.
    const [renamed, inPlace] = [replaces.filter((item) => !hasSameId(item)), replaces.filter(hasSameId)];
    if (renamed.length > 0) {
      if (await this.areArchived(renamed, target)) throw new Refused();
      const deletes = renamed.map(({ live: there }) => ({ q: { _id: { $eq: valueOf(idOf(there as Buffer)) } }, limit: 1 }));
      await this.send(session, live, { delete: live.name, deletes }, deletes.length);
    }
    // First, since they may free unique keys that the others take.
    await this.rewrite(session, live, inPlace.map(({ document }) => document));
    const added = [...inserts, ...renamed].map(({ document }) => document);
    if (added.length > 0) await this.send(session, live, { insert: live.name, documents: sequence('documents', added) }, added.length);
    if (!keepsZeroTimestamps(this.context.server.versionNumbers)) await this.rewrite(session, live, added.flatMap(documentsWithZeroTimestamp));
    return tallyOf(compared);
  }

  /** Whether one of the live documents that are to go is itself one of the archive's: two of these have one id under the live collation, and the first one stays. */
  private async areArchived(renamed: readonly Compared[], { staged: name, stagedUuid: uuid }: Target): Promise<boolean> {
    const found = await compare(this.context, { name, uuid }, renamed.map(({ live }) => live as Buffer), 'KEEP_LIVE', this.work.signal);
    return found.some(hasSameId);
  }

  private async rewrite(session: ClientSession, live: Known, documents: readonly Buffer[]): Promise<void> {
    if (documents.length > 0) await this.send(session, live, { update: live.name, updates: sequence('updates', documents.map(rewriteStatement)) }, documents.length);
  }

  private async send(session: ClientSession, { uuid }: Known, command: Document, expected: number): Promise<void> {
    const bypass = 'delete' in command ? {} : { bypassDocumentValidation: true };
    const zeroes = keepsZeroTimestamps(this.context.server.versionNumbers) && !('delete' in command) ? { bypassEmptyTsReplacement: true } : {};
    const whole = { ...command, ordered: true, collectionUUID: toUuid(uuid), ...bypass, ...zeroes, maxTimeMS: this.commands.maxTimeMS() };
    let reply: Document;
    try {
      reply = await this.context.db.command(whole, { session, signal: this.work.signal });
    } catch (error) {
      if (isGone(error)) throw new LiveGone();
      if (serverCodeOf(error) === 11_000) throw new Refused();
      throw error;
    }
    const [refused] = (reply['writeErrors'] as { readonly code?: number }[] | undefined) ?? [];
    if (refused !== undefined) throw refusalOf(refused.code ?? 0);
    // What it writes to was read in this very transaction, so another try would find the same: two documents of the archive have one id under the live collation.
    if (reply['n'] !== expected) throw new Refused();
  }

  /** After the commit point there is no way back: whatever may pass is waited for. */
  private async persist(doing: string, attempt: () => Promise<void>): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        this.work.signal.throwIfAborted();
        if (!isPassing(error)) throw error;
        if (tries % 10 === 0) this.work.log(`Held up while ${doing}; trying again`);
        await this.commands.pause(tries, doing, error);
      }
    }
  }

  private report(): MergeReport {
    const collections = this.plan.targets.map(({ name }, index) => ({ name, ...(this.state.counts[index] ?? nothing) }));
    const warnings = this.plan.targets.flatMap(({ name }, index) => {
      const clashes = this.state.counts[index]?.clashes ?? 0;
      return [
        ...(clashes > 0 ? [`${clashes} ${clashes === 1 ? 'document' : 'documents'} of "${name}" ${clashes === 1 ? 'was' : 'were'} left out: a unique key was taken, or the collection refused ${clashes === 1 ? 'it' : 'them'}`] : []),
        ...(this.state.gone.includes(index) ? [`"${name}" was dropped or replaced during the merge; the rest of it was not merged`] : []),
      ];
    });
    return { collections, warnings };
  }
}

/** The server does not take a document as it is. */
class Refused extends Error {}

/** The live collection is no longer the one that the plan knows. */
class LiveGone extends Error {}

function refusalOf(code: number): Error {
  if (code === namespaceNotFound || code === collectionUuidMismatch) return new LiveGone();
  if (code === unauthorized) return new AppError('TARGET_PRIVILEGE_MISSING', 'The database user lacks a privilege for writing');
  return passingCodes.has(code) ? new TryAgain() : new Refused();
}

function isGone(error: unknown): boolean {
  const code = serverCodeOf(error);
  return code === namespaceNotFound || code === collectionUuidMismatch;
}

function isPassing(error: unknown): boolean {
  if (error instanceof TryAgain || isLost(error)) return true;
  if (error instanceof MongoError && (error.hasErrorLabel('TransientTransactionError') || error.hasErrorLabel('UnknownTransactionCommitResult'))) return true;
  return error instanceof MongoServerError && passingCodes.has(Number(error.code));
}

function hasSameId({ document, live }: Compared): boolean {
  return live !== null && keyOf(idOf(document)) === keyOf(idOf(live));
}

function tallyOf(compared: readonly Compared[]): Tally {
  const tally = { ...nothing };
  for (const { verdict } of compared) tally[verdict] += 1;
  return tally;
}

function add(left: Tally, right: Tally): Tally {
  return {
    inserted: left.inserted + right.inserted, equal: left.equal + right.equal, kept: left.kept + right.kept, replaced: left.replaced + right.replaced, clashes: left.clashes + right.clashes,
  };
}

function done({ counts }: FenceState): number {
  return counts.reduce((sum, { inserted, equal, kept, replaced, clashes }) => sum + inserted + equal + kept + replaced + clashes, 0);
}
