/** Takes byte runs of exact length out of a stream of chunks. Memory grows only with bytes that have arrived. */
export class ByteReader {
  private readonly chunks: AsyncIterator<Buffer>;
  private rest: Buffer = Buffer.alloc(0);
  private hasEnded = false;

  constructor(input: AsyncIterable<Buffer>) {
    this.chunks = input[Symbol.asyncIterator]();
  }

  /** `length` bytes, or fewer when the input ends before: a view of the input's chunk, or a copy where they span two. */
  async take(length: number): Promise<Buffer> {
    if (this.rest.length >= length) {
      const bytes = this.rest.subarray(0, length);
      this.rest = this.rest.subarray(length);
      return bytes;
    }
    return this.takeCopy(length);
  }

  /** As `take`, always in memory of its own. */
  async takeCopy(length: number): Promise<Buffer> {
    // Copied before the next chunk is asked for: its owner may reuse the memory then.
    let bytes: Buffer = Buffer.allocUnsafe(Math.min(length, Math.max(this.rest.length * 2, 1 << 17)));
    let filled = this.rest.copy(bytes);
    this.rest = this.rest.subarray(filled);
    while (filled < length) {
      const chunk = await this.nextChunk();
      if (chunk === null) break;
      const wanted = Math.min(chunk.length, length - filled);
      if (filled + wanted > bytes.length) {
        const larger = Buffer.allocUnsafe(Math.min(length, Math.max(filled + wanted, bytes.length * 2)));
        bytes.copy(larger, 0, 0, filled);
        bytes = larger;
      }
      chunk.copy(bytes, filled, 0, wanted);
      filled += wanted;
      this.rest = chunk.subarray(wanted);
    }
    return bytes.subarray(0, filled);
  }

  private async nextChunk(): Promise<Buffer | null> {
    while (!this.hasEnded) {
      const next = await this.chunks.next();
      if (next.done === true) this.hasEnded = true;
      else if (next.value.length > 0) return next.value;
    }
    return null;
  }

  /** Lets go of the input. */
  async close(): Promise<void> {
    if (!this.hasEnded) {
      this.hasEnded = true;
      await this.chunks.return?.();
    }
  }
}
