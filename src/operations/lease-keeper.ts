import { setTimeout as delay } from 'node:timers/promises';
import type { OperationTiming } from './operation-timing.js';

export interface LeaseEars {
  /** Read with each renewal, in case the notice of the cancel was lost. */
  onCancelRequested(): void;
  onLost(cause?: unknown): void;
  /** Past the commit point the work goes on to the very end of the lease, before it it stops with time to spare. */
  isCommitted(): boolean;
}

type Renewal = { readonly cancelRequested: boolean } | null;

/**
 * Renews one lease. Its end is reckoned by this process's monotonic clock from before each request was sent, so it is never later than the
 * database's: whatever becomes of the network, `remainingMs` reaches 0 before anybody else can take the operation.
 */
export class LeaseKeeper {
  private readonly stopped = new AbortController();
  private endsAtMs: number;
  private expiry: NodeJS.Timeout | undefined;

  constructor(
    private readonly renew: () => Promise<Renewal>,
    private readonly timing: OperationTiming,
    claimedAtMs: number,
    private readonly ears: LeaseEars,
  ) {
    this.endsAtMs = claimedAtMs + timing.leaseMs;
  }

  start(): void {
    this.armExpiry();
    void this.run();
  }

  stop(): void {
    this.stopped.abort();
    clearTimeout(this.expiry);
  }

  remainingMs(): number {
    return Math.max(0, this.endsAtMs - performance.now());
  }

  /** Somebody may have taken the lease away: asks at once. */
  check(): void {
    void this.answered().then((renewal) => renewal === null && !this.stopped.signal.aborted && this.lose(), () => undefined);
  }

  private get marginMs(): number {
    return this.timing.leaseMs / (this.ears.isCommitted() ? 40 : 5);
  }

  private async run(): Promise<void> {
    const { signal } = this.stopped;
    // At once, too: a cancel that was asked for before this process began to listen is found by it.
    let pauseMs = 0;
    while (!signal.aborted) {
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const askedAtMs = performance.now();
      try {
        const renewal = await this.answered();
        if (signal.aborted) return;
        if (renewal === null) return this.lose();
        this.endsAtMs = askedAtMs + this.timing.leaseMs;
        this.armExpiry();
        if (renewal.cancelRequested) this.ears.onCancelRequested();
        pauseMs = this.timing.renewEveryMs;
      } catch {
        // The database is away; the expiry timer decides how long this may go on.
        pauseMs = this.timing.renewEveryMs / 5;
      }
    }
  }

  /** An unanswered request must not keep the next one from being sent; if it is answered later, the lease is only longer than we think. */
  private async answered(): Promise<Renewal> {
    const timeout = new AbortController();
    const tooLate = delay(this.timing.renewEveryMs, undefined, { signal: timeout.signal }).then(() => {
      throw new Error('The renewal of the lease was not answered in time');
    });
    try {
      return await Promise.race([this.renew(), tooLate]);
    } finally {
      timeout.abort();
      tooLate.catch(() => undefined);
    }
  }

  private armExpiry(): void {
    clearTimeout(this.expiry);
    if (this.stopped.signal.aborted) return;
    const inMs = this.remainingMs() - this.marginMs;
    // Asked again when it fires: the commit point may have been passed in between, which moves the end.
    this.expiry = setTimeout(() => (this.remainingMs() > this.marginMs ? this.armExpiry() : this.lose()), Math.max(0, inMs));
  }

  private lose(): void {
    this.stop();
    this.ears.onLost();
  }
}
