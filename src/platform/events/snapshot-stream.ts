/**
 * The current state at once, then each newer one as its events come. It asks its source of events first, so nothing is missed, and passes `return()` on at once,
 * which an async generator that waits for an event would not.
 */
export class SnapshotStream<Snapshot> implements AsyncIterableIterator<Snapshot> {
  private newest = Number.NEGATIVE_INFINITY;
  private begun = false;

  /**
   * @param events says that there may be news; what it says is not looked at
   * @param read the whole state; what it throws ends the stream and reaches the reader
   */
  constructor(
    private readonly events: AsyncIterableIterator<unknown>,
    private readonly read: () => Promise<Snapshot>,
    private readonly revisionOf: (snapshot: Snapshot) => number,
  ) {}

  async next(): Promise<IteratorResult<Snapshot, undefined>> {
    for (;;) {
      if (this.begun && (await this.events.next()).done === true) return { done: true, value: undefined };
      this.begun = true;
      const snapshot = await this.read().catch(async (error: unknown) => {
        await this.return();
        throw error;
      });
      const revision = this.revisionOf(snapshot);
      if (revision <= this.newest) continue;
      this.newest = revision;
      return { done: false, value: snapshot };
    }
  }

  async return(): Promise<IteratorResult<Snapshot, undefined>> {
    await this.events.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
