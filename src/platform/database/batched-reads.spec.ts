import { describe, expect, it } from '@jest/globals';
import { BatchedReads } from './batched-reads.js';

describe('reads in batches', () => {
  function lengths(): { readonly asked: (readonly string[])[]; readonly reads: BatchedReads<string, number> } {
    const asked: (readonly string[])[] = [];
    return {
      asked,
      reads: new BatchedReads((keys) => {
        asked.push(keys);
        return keys.includes('broken') ? Promise.reject(new Error('broken')) : Promise.resolve(new Map(keys.filter((key) => key !== 'none').map((key) => [key, key.length])));
      }),
    };
  }

  it('ask once for all that is wanted at the same moment, and answer each', async () => {
    const { asked, reads } = lengths();
    const later = Promise.resolve().then(() => reads.find('four'));
    expect(await Promise.all([reads.find('a'), reads.find('none'), reads.find('a'), reads.find('bc'), later])).toEqual([1, null, 1, 2, 4]);
    expect(asked).toEqual([['a', 'none', 'bc', 'four']]);
  });

  it('ask once for what comes in by several callbacks that are due together, as those of many sockets are', async () => {
    const { asked, reads } = lengths();
    const due = ['a', 'bc', 'def'].map((key) => new Promise<number | null>((resolve) => setTimeout(() => resolve(reads.find(key)), 0)));
    // Set in one millisecond or in two, they are all due once these have passed.
    for (const until = performance.now() + 5; performance.now() < until; );
    expect(await Promise.all(due)).toEqual([1, 2, 3]);
    expect(asked).toEqual([['a', 'bc', 'def']]);
  });

  it('ask anew for what is wanted later, so that a change is seen', async () => {
    const { asked, reads } = lengths();
    await reads.find('a');
    await reads.find('a');
    expect(asked).toEqual([['a'], ['a']]);
  });

  it('fail for all whom the failing read was for, and for nobody after them', async () => {
    const { reads } = lengths();
    const outcomes = await Promise.allSettled([reads.find('a'), reads.find('broken')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await reads.find('a')).toBe(1);
  });
});
