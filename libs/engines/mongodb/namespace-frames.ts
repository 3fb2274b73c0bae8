import { DocumentSums, encodeNamespaceEnd, encodeNamespaceHeader, terminator } from '#archive';
import { frameBytes, type FramePool } from './frame-pool.js';
import { documentEnd, documentStart } from './raw-bson.js';

/** Room for the block that closes a namespace, beside its name twice. */
const endBytes = 256;

/**
 * Builds the frames of one namespace: each is one block of documents, the last one also closes the namespace. Documents
 * are copied as they are.
 */
export class NamespaceFrames {
  /** Of the blocks that are closed. */
  readonly sums = new DocumentSums();
  private readonly header: Buffer;
  private frame: Buffer | null = null;
  private filled = 0;

  constructor(
    private readonly index: number,
    private readonly database: string,
    private readonly collection: string,
    private readonly pool: FramePool,
  ) {
    this.header = encodeNamespaceHeader(database, collection);
  }

  /** Adds every document of a reply's batch, which is a BSON array; returns what it held. */
  async addBatch(batch: Buffer): Promise<{ documents: number; bytes: number }> {
    let documents = 0;
    let bytes = 0;
    const end = batch.length - 1;
    for (let at = 4; at < end; ) {
      const start = documentStart(batch, at);
      at = documentEnd(batch, start);
      const room = this.frame === null ? 0 : this.frame.length - terminator.length - this.filled;
      if (at - start > room) await this.begin(at - start);
      this.copy(batch, start, at);
      documents += 1;
      bytes += at - start;
    }
    return { documents, bytes };
  }

  /** Writes what is left and the closing block. */
  async end(): Promise<void> {
    if (this.frame === null) await this.begin(0);
    const frame = this.endBlock();
    const closing = encodeNamespaceEnd(this.database, this.collection, this.sums.crc);
    if (frame.length - this.filled >= closing.length) {
      this.filled += closing.copy(frame, this.filled);
      this.hand(frame);
      return;
    }
    this.hand(frame);
    const last = await this.pool.lend(closing.length);
    this.filled = closing.copy(last, 0);
    this.hand(last);
  }

  private copy(batch: Buffer, start: number, end: number): void {
    if (this.frame === null) throw new Error('No frame was begun');
    this.filled += batch.copy(this.frame, this.filled, start, end);
  }

  private async begin(documentBytes: number): Promise<void> {
    if (this.frame !== null) this.hand(this.endBlock());
    const needed = this.header.length + documentBytes + terminator.length + endBytes;
    const frame = await this.pool.lend(Math.max(needed, frameBytes));
    this.filled = this.header.copy(frame, 0);
    this.frame = frame;
  }

  private endBlock(): Buffer {
    const { frame } = this;
    if (frame === null) throw new Error('No frame was begun');
    this.sums.addAll(frame.subarray(this.header.length, this.filled));
    this.filled += terminator.copy(frame, this.filled);
    return frame;
  }

  private hand(frame: Buffer): void {
    this.frame = null;
    this.pool.write(this.index, frame, this.filled);
  }
}
