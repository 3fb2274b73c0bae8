import { describe, expect, it } from '@jest/globals';
import { addRange, coversWhole, type SentRange } from './sent-ranges.js';

const sent = (...ranges: SentRange[]) => ranges.reduce<SentRange[]>((all, range) => addRange(all, range), []);

describe('ranges that have gone out', () => {
  it('merges what touches or overlaps', () => {
    expect(sent([10, 20], [0, 5], [5, 12])).toEqual([[0, 20]]);
    expect(sent([10, 20], [0, 5])).toEqual([[0, 5], [10, 20]]);
  });

  it('covers the whole file only when no byte is missing', () => {
    expect(coversWhole(sent([0, 60], [50, 100]), 100)).toBe(true);
    expect(coversWhole(sent([0, 49], [50, 100]), 100)).toBe(false);
    expect(coversWhole(sent([1, 100]), 100)).toBe(false);
    expect(coversWhole(sent([0, 99]), 100)).toBe(false);
  });
});
