import { Long, type ClientSession, type Db, type Document } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { discarded } from '#archive';
import type { Pace } from '../port.js';
import type { MongodbContext } from './connection.js';
import { isLost } from './errors.js';
import { settlingMs, toKnownOutcome } from './known-outcome.js';
import { bsonType, documentsOf, findElement, textOf } from './raw-bson.js';

/**
 * A cursor that hands out whole reply batches as the server's bytes: no document is decoded or turned into an object.
 * It runs find and getMore itself because the driver's cursors only hand out single documents. A lost reply is an
 * error: a getMore that is sent again would skip a batch.
 */
export class RawCursor {
  #id: Long;
  #batch: Buffer | null;

  private constructor(
    private readonly db: Db,
    private readonly session: ClientSession,
    private readonly ownsSession: boolean,
    private readonly signal: AbortSignal | undefined,
    private readonly pace: Pace | null,
    first: CursorReply,
  ) {
    this.#id = first.id;
    this.collection = first.collection;
    this.atClusterTime = first.atClusterTime;
    this.#batch = first.batch;
  }

  /** The name that getMore asks for; `$cmd.listCollections` and the like for commands. */
  readonly collection: string;
  /** The reply's `atClusterTime` as an unsigned 64-bit number (seconds, then ordinal); undefined without a snapshot. */
  readonly atClusterTime: bigint | undefined;

  /**
   * Runs a command that makes a cursor. Driver errors pass unchanged; `signal` ends a running command. With `transaction` it reads inside
   * the transaction of that session, which stays the caller's and does not wait for the pace.
   */
  static async open(context: MongodbContext, command: Document, signal?: AbortSignal, transaction?: ClientSession): Promise<RawCursor> {
    // find and getMore must share a session; without causal consistency the driver leaves readConcern alone.
    const session = transaction ?? context.client.startSession({ causalConsistency: false });
    try {
      // The end of its transaction frees a cursor; any other would stay on the server for minutes.
      const first = transaction ? await run(context.db, command, session, signal) : await toKnownOutcome(signal, (late) => run(context.db, command, session, late));
      const cursor = new RawCursor(context.db, session, transaction === undefined, signal, transaction === undefined ? context.pace : null, first);
      if (signal?.aborted) await cursor.close();
      signal?.throwIfAborted();
      return cursor;
    } catch (error) {
      if (transaction === undefined) await session.endSession();
      signal?.throwIfAborted();
      throw error;
    }
  }

  /** The next batch, a BSON array of documents (maybe empty), or null after the last. `size` is the most documents of a getMore. It comes when the pace lets its bytes pass. */
  async nextBatch(size?: number): Promise<Buffer | null> {
    const batch = await this.receive(size);
    if (batch !== null) await this.pace?.take(batch.length, this.signal);
    return batch;
  }

  private async receive(size?: number): Promise<Buffer | null> {
    const first = this.#batch;
    if (first) {
      this.#batch = null;
      return first;
    }
    if (this.#id.isZero()) return null;
    const command: Document = { getMore: this.#id, collection: this.collection };
    if (size !== undefined) command['batchSize'] = size;
    try {
      const reply = await run(this.db, command, this.session, this.signal);
      this.#id = reply.id;
      return reply.batch;
    } catch (error) {
      // Asking a server that went away to free the cursor would wait for it to come back.
      if (isLost(error) && !this.signal?.aborted) this.#id = Long.ZERO;
      throw error;
    }
  }

  /** Frees the server's cursor; never throws, waits no longer than two seconds, and may be called again. */
  async close(): Promise<void> {
    const id = this.#id;
    this.#id = Long.ZERO;
    this.#batch = null;
    const freed = this.free(id);
    const limit = new AbortController();
    await Promise.race([freed, delay(settlingMs, undefined, { signal: limit.signal }).catch(() => undefined)]);
    limit.abort();
  }

  private async free(id: Long): Promise<void> {
    try {
      if (!id.isZero()) await this.db.command({ killCursors: this.collection, cursors: [id] }, { session: this.session });
    } catch {
      // The server that held the cursor is gone, and the cursor with it; else it times out there.
    } finally {
      if (this.ownsSession) await this.session.endSession();
    }
  }
}

/** All documents that a cursor command answers; for listings, not for data. */
export async function readAll(context: MongodbContext, command: Document, signal?: AbortSignal): Promise<Buffer[]> {
  const cursor = await RawCursor.open({ ...context, pace: null }, command, signal);
  try {
    const found: Buffer[] = [];
    for (let batch = await cursor.nextBatch(); batch; batch = await cursor.nextBatch()) {
      // Copied, so that a few bytes do not keep the whole reply in memory.
      found.push(...documentsOf(batch).map((document) => Buffer.from(document)));
    }
    return found;
  } finally {
    await cursor.close();
  }
}

interface CursorReply {
  readonly id: Long;
  readonly collection: string;
  readonly batch: Buffer;
  readonly atClusterTime: bigint | undefined;
}

async function run(db: Db, command: Document, session: ClientSession, signal: AbortSignal | undefined): Promise<CursorReply> {
  signal?.throwIfAborted();
  // With `raw` the driver leaves embedded documents undecoded: `cursor` is a view on the reply's bytes.
  const reply = await db.command(command, { session, raw: true, readPreference: 'primary', ...(signal ? { signal } : {}) });
  const cursor: unknown = reply['cursor'];
  if (!(cursor instanceof Uint8Array)) throw new TypeError('The reply has no cursor');
  // What came from the socket, and the reply before this one.
  discarded(2 * cursor.byteLength);
  const bytes = Buffer.from(cursor.buffer, cursor.byteOffset, cursor.byteLength);
  const batch = findElement(bytes, 'firstBatch') ?? findElement(bytes, 'nextBatch');
  const id = findElement(bytes, 'id');
  const ns = textOf(findElement(bytes, 'ns'));
  if (batch?.type !== bsonType.array || id?.type !== bsonType.int64 || ns === undefined) throw new TypeError('The reply has no batch');
  return {
    id: Long.fromBytesLE([...id.value]),
    collection: ns.slice(ns.indexOf('.') + 1),
    batch: batch.value,
    atClusterTime: findElement(bytes, 'atClusterTime')?.value.readBigUInt64LE(0),
  };
}
