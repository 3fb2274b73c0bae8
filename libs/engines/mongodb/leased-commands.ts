import { setTimeout as delay } from 'node:timers/promises';
import type { Document } from 'mongodb';
import { AppError } from '#errors';
import type { LeasedWork, Work } from '../port.js';
import type { MongodbContext } from './connection.js';
import { isLost, serverCode, serverCodeOf, throwTargetError, toTargetError } from './errors.js';
import { toKnownOutcome } from './known-outcome.js';

const longestMs = 10_000;
// What a command may still need on its way to the server and back once its time is over.
const marginMs = 2_000;
const shortestMs = 250;
/** With one last attempt to find the server again (8 s) less than half a minute. */
const longestAwayMs = 20_000;
/** A primary writes its journal this often by itself. */
const journalMs = 100;
const firstBarrierMs = 5;
// Matches nothing and creates nothing: the server then waits for its latest write.
const barrier = { update: 'hf_barrier', updates: [{ q: { _id: 0 }, u: { $set: { _id: 0 } } }] };

/**
 * Runs commands that change the tenant's database: with a majority write concern, and with a time limit that ends
 * before the lease does, so that no command of ours is still at work when another worker has taken over.
 */
export class LeasedCommands {
  constructor(
    readonly context: MongodbContext,
    readonly work: Work & { leaseRemainingMs?: LeasedWork['leaseRemainingMs'] },
  ) {}

  /** Throws LEASE_LOST when too little is left for any command. */
  maxTimeMS(longest = longestMs): number {
    this.work.signal.throwIfAborted();
    const left = (this.work.leaseRemainingMs?.() ?? Infinity) - marginMs;
    if (left < shortestMs) throw new AppError('LEASE_LOST', 'The lease of the operation ends before the next command could');
    return Math.floor(Math.min(left, longest));
  }

  /** One attempt. Driver errors pass unchanged; a missed write concern throws like a lost connection. */
  async once(command: Document, on: { readonly database?: 'admin'; readonly longestMs?: number } = {}): Promise<Document> {
    return this.send(command, { maxTimeMS: this.maxTimeMS(on.longestMs) }, on);
  }

  /** `once` for what makes a collection: whoever drops what was made after an abort must not miss it, so its end is awaited for a moment. */
  async creating(command: Document): Promise<Document> {
    const limit = { maxTimeMS: this.maxTimeMS() };
    return toKnownOutcome(this.work.signal, (signal) => this.send(command, limit, { signal }));
  }

  /** One attempt without a time limit, for work whose end nobody can know (copies, index builds) and that is harmless when late. */
  async unbounded(command: Document): Promise<Document> {
    this.maxTimeMS();
    return this.send(command, {});
  }

  /**
   * `unbounded` for `createIndexes`. The server begins to read once its own note of the build has reached a majority; where the primary alone is one, that is when it next writes its journal, unless
   * somebody waits for it. So we do.
   */
  async building(command: Document): Promise<Document> {
    const ended = new AbortController();
    void this.hasten(ended.signal);
    try {
      return await this.unbounded(command);
    } finally {
      ended.abort();
    }
  }

  /** Runs `attempt`, which must be idempotent, again for some 20 s while connection or primary are away. Throws TARGET_LOST after that. */
  async repeat<T>(doing: string, attempt: () => Promise<T>): Promise<T> {
    let failingSince = Infinity;
    for (let tries = 0; ; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        this.work.signal.throwIfAborted();
        if (!isPassing(error)) throw error;
        failingSince = Math.min(failingSince, Date.now());
        if (Date.now() - failingSince > longestAwayMs) throw isLost(error) ? toTargetError(error, doing) : tooSlow(error, doing);
        await this.pause(tries, doing, error);
      }
    }
  }

  /** `once`, repeated, with errors mapped. */
  async run(doing: string, command: Document, on: { readonly database?: 'admin' } = {}): Promise<Document> {
    try {
      return await this.repeat(doing, () => this.once(command, on));
    } catch (error) {
      throwTargetError(error, doing, this.work.signal);
    }
  }

  /** Returns when everything written so far, by whomever, has reached a majority. */
  async majority(doing: string): Promise<void> {
    await this.run(doing, barrier);
  }

  /** Waits a little longer each time, up to a second; throws when the lease has ended or the work was aborted. */
  async pause(tries: number, doing: string, cause: unknown): Promise<void> {
    try {
      await delay(Math.min(1_000, 25 * 2 ** Math.min(tries, 6)), undefined, { signal: this.work.signal });
    } catch {
      throwTargetError(cause, doing, this.work.signal);
    }
    this.maxTimeMS();
  }

  /** Nothing depends on it, and nobody waits for it: it never rejects, and its commands end before the lease does. */
  private async hasten(ended: AbortSignal): Promise<void> {
    try {
      for (let ms = firstBarrierMs; ms < journalMs; ms *= 2) {
        await delay(ms, undefined, { signal: ended });
        await this.once(barrier);
      }
    } catch {
      // The build has ended, or says what is wrong.
    }
  }

  private async send(command: Document, limit: Document, { database, signal = this.work.signal }: { readonly database?: 'admin'; readonly signal?: AbortSignal } = {}): Promise<Document> {
    const db = database === undefined ? this.context.db : this.context.client.db(database);
    const reply = await db.command({ ...command, ...limit, writeConcern: { w: 'majority' } }, { signal, readPreference: 'primary' });
    if (reply['writeConcernError'] !== undefined) throw new TryAgain();
    return reply;
  }
}

/** The command had no error that ends the work, but must be sent again: it has not reached a majority yet, say. */
export class TryAgain extends Error {
  override readonly name = 'TryAgain';
}

/** The same command may succeed in a moment. */
function isPassing(error: unknown): boolean {
  const code = serverCodeOf(error);
  return error instanceof TryAgain || code === serverCode.maxTimeExpired || code === serverCode.writeConflict || isLost(error);
}

function tooSlow(cause: unknown, doing: string): AppError {
  const reason = cause instanceof TryAgain ? 'Too few members of the replica set confirmed' : 'The database server was too slow';
  return new AppError('TARGET_LOST', `${reason} while ${doing}`, { cause });
}
