import { describe, expect, it } from '@jest/globals';
import { Slots } from './slots.ts';

describe('slots', () => {
  it('are so many for each holder and so many in all, and each is given back once', () => {
    const slots = new Slots(2, 3);
    const first = slots.take('a');
    expect([slots.take('a'), slots.take('b')]).not.toContain(null);
    expect([slots.take('a'), slots.take('b'), slots.take('c')]).toEqual([null, null, null]);
    first?.();
    first?.();
    expect(slots.take('c')).not.toBeNull();
    expect([slots.take('a'), slots.take('c')]).toEqual([null, null]);
  });
});
