// The driver makes three copies of each batch; larger ones gained nothing but a larger process.
const batchBytes = 768 * 1024;
// The server takes at most 100,000 documents in a command.
const batchDocuments = 100_000;

/** Whole BSON documents, one after the other, in memory of their own: whoever has written them gives it back with `release`. */
export interface Batch {
  readonly bytes: Buffer;
  readonly documents: number;
}

/** Gathers whole documents into batches of at most 768 KiB, or of one larger document: a message may have 48 MB. */
export class BatchBuilder {
  private batch: Buffer | null = null;
  private filled = 0;
  private documents = 0;

  /** Copies a run of documents and yields the batches that are full. The run's memory is its owner's again at the end. */
  *add(run: Buffer): Generator<Batch, void, undefined> {
    let from = 0;
    let at = 0;
    while (at < run.length) {
      const end = at + run.readInt32LE(at);
      if (this.documents > 0 && (this.filled + end - from > batchBytes || this.documents >= batchDocuments)) {
        this.append(run.subarray(from, at));
        from = at;
        yield this.take();
      }
      this.documents += 1;
      at = end;
    }
    this.append(run.subarray(from));
  }

  /** What is left, maybe nothing. */
  *rest(): Generator<Batch, void, undefined> {
    if (this.documents > 0) yield this.take();
  }

  private append(documents: Buffer): void {
    if (documents.length === 0) return;
    this.batch ??= Buffer.allocUnsafeSlow(Math.max(batchBytes, documents.length));
    this.filled += documents.copy(this.batch, this.filled);
  }

  private take(): Batch {
    const { batch, filled, documents } = this;
    if (batch === null) throw new Error('No batch was begun');
    this.batch = null;
    this.filled = 0;
    this.documents = 0;
    return { bytes: batch.subarray(0, filled), documents };
  }
}
