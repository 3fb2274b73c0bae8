import { setTimeout as delay } from 'node:timers/promises';
import type { Pace } from './port.js';

/** A reader that comes back later than it might have makes up for it, up to this much; whoever was idle longer has saved nothing. */
const creditMs = 1_000;

export interface PaceClock {
  nowMs(): number;
  /** Rejects when `signal` is aborted. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

const realClock: PaceClock = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
};

/**
 * Lets so many bytes pass in a second, whoever asks: they queue, each waits until all bytes before its own and its own are due. It starts empty, so that no more than
 * `bytesPerSecond` times the seconds since the first call have ever passed.
 */
export class BytePace implements Pace {
  private dueAtMs = -Infinity;

  constructor(
    readonly bytesPerSecond: number,
    private readonly clock: PaceClock = realClock,
  ) {}

  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const nowMs = this.clock.nowMs();
    const costMs = (bytes * 1000) / this.bytesPerSecond;
    const fromMs = nowMs - this.dueAtMs > creditMs ? nowMs : this.dueAtMs;
    this.dueAtMs = fromMs + costMs;
    const waitMs = this.dueAtMs - nowMs;
    if (waitMs <= 0) return;
    try {
      await this.clock.sleep(waitMs, signal);
    } catch (error) {
      // Whoever works for the tenant next does not wait for bytes that never passed.
      this.dueAtMs -= costMs;
      signal?.throwIfAborted();
      throw error;
    }
  }
}
