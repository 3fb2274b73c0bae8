import { describe, expect, it } from '@jest/globals';
import { BytePace, type PaceClock } from './byte-pace.js';

/** Time passes only when everybody sleeps; whoever sleeps wakes a little late, as timers do. */
class TestClock implements PaceClock {
  private now = 0;
  private readonly sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];

  constructor(private readonly lateMs = 0) {}

  nowMs(): number {
    return this.now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.sleepers.push({ atMs: this.now + ms + this.lateMs, wake: resolve });
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }

  async run(work: Promise<unknown>): Promise<void> {
    let isOver = false;
    void work.then(() => (isOver = true));
    for (;;) {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      if (isOver) return;
      this.sleepers.sort((a, b) => b.atMs - a.atMs);
      const next = this.sleepers.pop();
      if (next === undefined) throw new Error('Nobody sleeps, and the work is not over');
      this.now = Math.max(this.now, next.atMs);
      next.wake();
    }
  }
}

const second = 1_000;
const rate = 4_000_000;
const piece = 1_048_576;

/** Reads pieces one after the other, each as slowly as the server is. */
async function read(pace: BytePace, clock: TestClock, pieces: number, serverMs: number): Promise<void> {
  for (let done = 0; done < pieces; done++) {
    await clock.sleep(serverMs);
    await pace.take(piece);
  }
}

describe('a pace', () => {
  it.each([
    { readers: 1, serverMs: 0, lateMs: 0 },
    { readers: 1, serverMs: 100, lateMs: 30 },
    { readers: 4, serverMs: 20, lateMs: 30 },
    { readers: 16, serverMs: 500, lateMs: 5 },
  ])('lets $readers at once pass as many bytes as it says, neither more nor 10 % fewer', async ({ readers, serverMs, lateMs }) => {
    const clock = new TestClock(lateMs);
    const pace = new BytePace(rate, clock);
    const each = Math.ceil(100 / readers);
    await clock.run(Promise.all(Array.from({ length: readers }, () => read(pace, clock, each, serverMs))));
    const achieved = (each * readers * piece * second) / clock.nowMs();
    expect(achieved).toBeLessThanOrEqual(rate);
    expect(achieved).toBeGreaterThan(0.9 * rate);
  });

  it('saves nothing up while nobody asks', async () => {
    const clock = new TestClock();
    const pace = new BytePace(rate, clock);
    await clock.run(pace.take(rate));
    await clock.run(clock.sleep(60 * second));
    const before = clock.nowMs();
    await clock.run(Promise.all([pace.take(rate), pace.take(rate)]));
    expect(clock.nowMs() - before).toBe(2 * second);
  });

  it('lets go at once of whoever is told to stop, and does not make the next one wait for that', async () => {
    const clock = new TestClock();
    const pace = new BytePace(rate, clock);
    const stop = new AbortController();
    const stopped = pace.take(100 * rate, stop.signal);
    stop.abort(new Error('canceled'));
    await expect(stopped).rejects.toThrow('canceled');
    await expect(pace.take(1, stop.signal)).rejects.toThrow('canceled');
    await clock.run(pace.take(rate));
    expect(clock.nowMs()).toBe(second);
  });
});
