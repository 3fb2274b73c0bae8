import type { Document } from 'mongodb';
import { type DocumentSums, release } from '#archive';
import { AppError } from '#errors';
import type { Batch } from './batches.js';
import { serverCodeOf, throwTargetError } from './errors.js';
import { TryAgain, type LeasedCommands } from './leased-commands.js';
import { toUuid } from './find-namespaces.js';
import { RawWriter, type RawWriteOptions } from './raw-insert.js';
import { documentsWithZeroTimestamp, keepsZeroTimestamps, rewriteStatement } from './zero-timestamps.js';

/** One collection that is being filled. */
export interface Destination {
  /** Physical name. */
  readonly name: string;
  readonly uuid: string;
  /** What messages call it. */
  readonly label: string;
  /** Batch after batch, for capped collections, whose order counts. */
  readonly ordered: boolean;
  /**
   * A batch that is sent again is known by its number: where order counts, as its first document would be refused and the rest left out; and in a collection whose documents a user may delete while a
   * batch that was thought lost is still at work. In a staged copy of its own the documents are known by their `_id`, which costs the server less, and what comes late finds no collection of the name.
   */
  readonly numbered: boolean;
  /** Buckets are validated: a malformed one could harm the server. Everything else is taken as it was. */
  readonly validated: boolean;
  /** Counts the documents that are left out as one with the same `_id` is there already; null where that is an error. Not for what is `ordered`: the server stops at the first of them. */
  readonly repeated: DocumentSums | null;
  /** Makes the collection take buckets whose measurements differ in type. */
  allowMixedSchema?(): Promise<void>;
}

const duplicateKey = 11_000;
const mixedSchemaBuckets = 408;
/** A message that holds such a document is refused as a whole, before it is a write. */
const unreadable = new Map([[15, 'it is nested too deeply'], [22, 'it is no valid BSON']]);
const statementsBytes = 8 * 1024 * 1024;

/** Writes batches over several connections. A batch that is sent again, after a lost reply or a stepdown, is written once. */
export class BatchWriter {
  private readonly idle: RawWriter[];
  private readonly waiting: (() => void)[] = [];
  private readonly running = new Set<Promise<void>>();
  private readonly tails = new Map<Destination, Promise<void>>();
  private failure: { readonly error: unknown } | null = null;

  constructor(
    private readonly commands: LeasedCommands,
    connections: number,
  ) {
    const { client, db } = commands.context;
    this.idle = Array.from({ length: connections }, () => new RawWriter(client, db));
  }

  /**
   * Writes a batch to all of the destinations and gives its memory back. Returns when the writes have begun, which they do when the pace lets them, so that no more than one batch
   * per connection waits in memory. Throws what an earlier batch failed with.
   */
  async write(destinations: readonly Destination[], batch: Batch): Promise<void> {
    const writes: Promise<void>[] = [];
    try {
      for (const destination of destinations) writes.push((await this.begin(destination, batch)).done);
    } finally {
      void Promise.all(writes).then(() => release(batch.bytes));
    }
  }

  private async begin(destination: Destination, batch: Batch): Promise<{ readonly done: Promise<void> }> {
    const { context, work } = this.commands;
    await context.pace?.take(batch.bytes.length, work.signal);
    if (destination.ordered) await this.tails.get(destination);
    while (this.failure === null && this.idle.length === 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
    if (this.failure !== null) throw this.failure.error;
    const writer = this.idle.pop() as RawWriter;
    const done = this.insert(writer, destination, batch)
      .catch((error: unknown) => {
        this.failure ??= { error };
      })
      .finally(() => {
        this.idle.push(writer);
        this.running.delete(done);
        // All of them look: on a failure each has to stop.
        for (const wake of this.waiting.splice(0)) wake();
      });
    this.running.add(done);
    if (destination.ordered) this.tails.set(destination, done);
    return { done };
  }

  /** Returns when everything is written. */
  async drain(): Promise<void> {
    await Promise.all(this.running);
    if (this.failure !== null) throw this.failure.error;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.running);
    await Promise.all(this.idle.map((writer) => writer.close()));
  }

  private async insert(writer: RawWriter, destination: Destination, batch: Batch): Promise<void> {
    const doing = `writing collection "${destination.label}"`;
    const numbered = destination.numbered && this.commands.context.server.topology === 'replicaSet';
    const options = (): RawWriteOptions => ({
      uuid: toUuid(destination.uuid),
      ordered: destination.ordered,
      numbered,
      bypassDocumentValidation: !destination.validated,
      bypassEmptyTsReplacement: keepsZeroTimestamps(this.commands.context.server.versionNumbers),
      maxTimeMS: this.commands.maxTimeMS(),
      signal: this.commands.work.signal,
    });
    try {
      writer.begin();
      let sent = 0;
      let written = batch.bytes;
      await this.commands.repeat(doing, async () => {
        sent += 1;
        const reply = await writer.insert(destination.name, { pieces: [batch.bytes], documents: batch.documents }, options());
        if (await mendMixedSchema(destination, reply)) throw new TryAgain();
        const isBlindResend = !numbered && sent > 1;
        // A resend without a number finds its own documents. CHECK compares the sums anyway.
        const [errors, known] = partition(writeErrorsOf(reply), ({ code }) => code !== duplicateKey || (!isBlindResend && destination.repeated === null));
        if (!isBlindResend && known.length > 0) written = withoutRepeated(batch.bytes, known, destination.repeated);
        requireWritten(destination, reply, errors, isBlindResend ? null : batch.documents - known.length);
      });
      if (keepsZeroTimestamps(this.commands.context.server.versionNumbers)) return;
      for (const statements of rewrites(written)) {
        writer.begin();
        await this.commands.repeat(doing, async () => {
          const reply = await writer.update(destination.name, statements, { ...options(), ordered: false });
          requireWritten(destination, reply, writeErrorsOf(reply), statements.length);
        });
      }
    } catch (error) {
      const reason = unreadable.get(serverCodeOf(error) ?? 0);
      if (reason !== undefined) throw new AppError('STAGE_REJECTED', `The server refuses a document of collection "${destination.label}": ${reason}`, { cause: error });
      throwTargetError(error, doing, this.commands.work.signal);
    }
  }
}

/** The resend writes only what was refused: the server knows the rest by its transaction number. */
async function mendMixedSchema(destination: Destination, reply: Document): Promise<boolean> {
  if (destination.allowMixedSchema === undefined || !writeErrorsOf(reply).some(({ code }) => code === mixedSchemaBuckets)) return false;
  await destination.allowMixedSchema();
  return true;
}

/** Of a batch that the server took but for some documents: the others. */
function withoutRepeated(bytes: Buffer, refused: readonly Document[], repeated: DocumentSums | null): Buffer {
  const indexes = new Set(refused.map(({ index }) => Number(index)));
  const taken: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index += 1) {
    const document = bytes.subarray(at, at + bytes.readInt32LE(at));
    at += document.length;
    if (indexes.has(index)) repeated?.add(document);
    else taken.push(document);
  }
  return Buffer.concat(taken);
}

function* rewrites(bytes: Buffer): Generator<Buffer[], void, undefined> {
  let statements: Buffer[] = [];
  let length = 0;
  for (const document of documentsWithZeroTimestamp(bytes)) {
    const statement = rewriteStatement(document);
    statements.push(statement);
    length += statement.length;
    if (length >= statementsBytes) {
      yield statements;
      statements = [];
      length = 0;
    }
  }
  if (statements.length > 0) yield statements;
}

/** @param expected null: nobody knows */
function requireWritten({ label }: Destination, reply: Document, [first]: readonly Document[], expected: number | null): void {
  if (first !== undefined) throw rejectedDocument(label, first);
  if (reply['writeConcernError'] !== undefined) throw new TryAgain();
  if (expected !== null && reply['n'] !== expected) {
    throw new AppError('STAGE_REJECTED', `The server took ${String(reply['n'])} of ${expected} documents of collection "${label}"`);
  }
}

function partition<T>(items: readonly T[], isFirst: (item: T) => boolean): readonly [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

function writeErrorsOf(reply: Document): Document[] {
  return Array.isArray(reply['writeErrors']) ? (reply['writeErrors'] as Document[]) : [];
}

/** The server's own message may quote documents; it stays out. */
function rejectedDocument(label: string, error: Document): AppError {
  if (error['code'] === duplicateKey) return new AppError('STAGE_REJECTED', `Two documents of collection "${label}" have the same _id`);
  if (error['code'] === 361) return new AppError('STAGE_REJECTED', `The staged copy of collection "${label}" was replaced meanwhile`);
  return new AppError('STAGE_REJECTED', `The server refuses a document of collection "${label}" (server code ${String(error['code'])})`);
}
