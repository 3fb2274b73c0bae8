import { BSON, Long, type Binary, type ClientSession, type Db, type Document, type MongoClient } from 'mongodb';
import { discarded } from '#archive';

/** Whole BSON documents, one after the other, in pieces that hold whole documents each. */
export interface RawBatch {
  readonly pieces: readonly Buffer[];
  readonly documents: number;
}

export interface RawWriteOptions {
  /** The write fails with 361 unless the collection of this name still has this UUID. */
  readonly uuid: Binary;
  readonly ordered: boolean;
  /**
   * Carries the transaction number of `begin`: however often it is sent, it is written once, and a resend that was answered leaves none of its kind at work. A standalone knows no such numbers. They
   * make each entry of the oplog larger.
   */
  readonly numbered: boolean;
  readonly bypassDocumentValidation: boolean;
  /** Keeps top-level Timestamp(0,0) values; only on servers that know the option. */
  readonly bypassEmptyTsReplacement: boolean;
  readonly maxTimeMS: number;
  readonly signal: AbortSignal;
}

/** What the driver's wire layer sends as a kind 1 section of OP_MSG. */
interface RawSequence {
  push(document: Document, buffer: Uint8Array): number;
}
type RawSequenceConstructor = new (field: string) => RawSequence;

/**
 * The driver's internal class, or null where a driver upgrade has moved it: then batches are decoded and sent as
 * ordinary documents, which is slower. The only place that knows of it.
 */
export const DocumentSequence: RawSequenceConstructor | null = await loadDocumentSequence();

async function loadDocumentSequence(): Promise<RawSequenceConstructor | null> {
  const path = 'mongodb/lib/cmap/commands.js';
  try {
    const module = (await import(path)) as { DocumentSequence?: RawSequenceConstructor; default?: { DocumentSequence?: RawSequenceConstructor } };
    const found = module.DocumentSequence ?? module.default?.DocumentSequence;
    return typeof (found?.prototype as { push?: unknown } | undefined)?.push === 'function' ? (found ?? null) : null;
  } catch {
    return null;
  }
}

/** Sends raw documents in a session of its own, one batch at a time. */
export class RawWriter {
  private readonly session: ClientSession;

  constructor(
    client: MongoClient,
    private readonly db: Db,
  ) {
    this.session = client.startSession({ causalConsistency: false });
  }

  /** Makes the next command a new one; without it the next command is a resend of the last. */
  begin(): void {
    const server = this.session.serverSession;
    server.txnNumber += 1;
  }

  /** The reply is unchecked: look at `n` and `writeErrors`. */
  async insert(collection: string, batch: RawBatch, options: RawWriteOptions): Promise<Document> {
    return this.send({ insert: collection }, 'documents', batch.pieces, options);
  }

  /** `statements` are raw update statements (`{q, u, ...}`), one after the other. */
  async update(collection: string, statements: readonly Buffer[], options: RawWriteOptions): Promise<Document> {
    return this.send({ update: collection }, 'updates', statements, options);
  }

  async close(): Promise<void> {
    await this.session.endSession();
  }

  private async send(command: Document, field: string, pieces: readonly Buffer[], options: RawWriteOptions): Promise<Document> {
    const reply = await this.db.command(
      {
        ...command,
        ordered: options.ordered,
        collectionUUID: options.uuid,
        ...(options.bypassDocumentValidation ? { bypassDocumentValidation: true } : {}),
        ...(options.bypassEmptyTsReplacement ? { bypassEmptyTsReplacement: true } : {}),
        maxTimeMS: options.maxTimeMS,
        writeConcern: { w: 'majority' },
        ...(options.numbered ? { txnNumber: Long.fromNumber(this.session.serverSession.txnNumber) } : {}),
        [field]: sequence(field, pieces),
      },
      { session: this.session, signal: options.signal },
    );
    // The driver puts the message together in three steps.
    discarded(3 * pieces.reduce((bytes, piece) => bytes + piece.length, 0));
    return reply;
  }
}

/** Raw documents as a field of a command. */
export function sequence(field: string, pieces: readonly Buffer[]): RawSequence | Document[] {
  if (DocumentSequence === null) return pieces.flatMap(decodeAll);
  const raw = new DocumentSequence(field);
  // Not document by document: the wire format is their concatenation anyway.
  for (const piece of pieces) raw.push({}, piece);
  return raw;
}

/** Slow path. Duplicate field names do not survive it; CHECK finds that out. */
export function decodeAll(bytes: Buffer): Document[] {
  const documents: Document[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const size = bytes.readInt32LE(offset);
    documents.push(BSON.deserialize(bytes.subarray(offset, offset + size), { promoteValues: false, promoteBuffers: false, bsonRegExp: true }));
    offset += size;
  }
  return documents;
}
