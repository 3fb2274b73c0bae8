import type { RawBatch } from './raw-insert.js';

const batchBytes = 1024 * 1024;
// The server takes at most 100,000 documents in a command.
const batchDocuments = 100_000;

/** Gathers runs of whole documents into batches of about 1 MiB, which the driver copies three times, and so far below the 48 MB that a message may have. */
export class BatchBuilder {
  private pieces: Buffer[] = [];
  private bytes = 0;
  private documents = 0;

  /** Adds a run and yields the batches that are full. */
  *add(run: Buffer): Generator<RawBatch, void, undefined> {
    let from = 0;
    for (let at = 0; at < run.length; ) {
      at += run.readInt32LE(at);
      this.documents += 1;
      if (this.bytes + at - from >= batchBytes || this.documents >= batchDocuments) {
        this.append(run.subarray(from, at));
        from = at;
        yield this.take();
      }
    }
    if (from < run.length) this.append(run.subarray(from));
  }

  /** What is left, maybe nothing. */
  *rest(): Generator<RawBatch, void, undefined> {
    if (this.documents > 0) yield this.take();
  }

  private append(piece: Buffer): void {
    this.pieces.push(piece);
    this.bytes += piece.length;
  }

  private take(): RawBatch {
    const batch = { pieces: this.pieces, documents: this.documents };
    this.pieces = [];
    this.bytes = 0;
    this.documents = 0;
    return batch;
  }
}
