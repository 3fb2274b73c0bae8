/** Lets so many in at once, in the order in which they come; who waits can be turned away. */
export class Semaphore {
  private readonly waiting: PromiseWithResolvers<void>[] = [];
  private closed: { readonly error: unknown } | null = null;

  /** Throws RangeError unless `free` is a whole number from 1. */
  constructor(private free: number) {
    if (!Number.isInteger(free) || free < 1) throw new RangeError(`A semaphore has at least one slot, not ${free}`);
  }

  /** Resolves when a slot is free, which is then the caller's until `release`. Rejects with the error of `close`. */
  async acquire(): Promise<void> {
    this.requireOpen();
    if (this.free > 0) {
      this.free -= 1;
      return;
    }
    const turn = Promise.withResolvers<void>();
    this.waiting.push(turn);
    await turn.promise;
    // Closed since its turn came.
    this.requireOpen();
  }

  release(): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free += 1;
    else next.resolve();
  }

  /** Nobody is let in any more: all who wait and all who come are told `error`; the first one counts. */
  close(error: unknown): void {
    this.closed ??= { error };
    for (const turn of this.waiting.splice(0)) turn.reject(this.closed.error);
  }

  /** Throws the error of `close`. */
  requireOpen(): void {
    if (this.closed !== null) throw this.closed.error;
  }
}
