import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { LeaseKeeper } from './lease-keeper.js';
import { operationTiming } from './operation-timing.js';

describe('LeaseKeeper', () => {
  it('finds out at once, when it is told to look, that the lease was taken away', async () => {
    const lost = Promise.withResolvers<void>();
    const renewals: ({ readonly cancelRequested: boolean } | null)[] = [{ cancelRequested: false }, null];
    const keeper = new LeaseKeeper(() => Promise.resolve(renewals.shift() ?? null), { ...operationTiming, leaseMs: 600_000, renewEveryMs: 300_000 }, performance.now(), {
      onCancelRequested: () => undefined,
      onLost: () => lost.resolve(),
      isCommitted: () => true,
    });
    keeper.start();
    while (renewals.length > 1) await setImmediate();
    keeper.check();
    await expect(lost.promise).resolves.toBeUndefined();
    keeper.stop();
  });
});
