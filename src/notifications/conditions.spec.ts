import { describe, expect, it } from '@jest/globals';
import { quotaStates } from './quota-states.js';
import { unusualFrom } from './size-anomaly.js';

describe('the size of a backup', () => {
  it.each([
    [100, [100, 110, 90, 100, 95], null],
    [49, [100, 110, 90, 100, 95], 100],
    [50, [100, 110, 90, 100, 95], null],
    [200, [100, 100, 100, 100, 100], null],
    [201, [100, 100, 100, 100, 100], 100],
    [10, [100, 1, 100, 100], 100],
    [1, [100, 100], null],
    [0, [], null],
  ])('%s after %j is unusual against %s', (size, earlier, median) => {
    expect(unusualFrom(size, earlier)).toBe(median);
  });
});

describe('the quota', () => {
  const on = (used: number, quota: number | null): string[] => quotaStates(used, quota).flatMap(({ subject, isOn }) => (isOn ? [subject] : []));
  it.each([
    [79, 100, []],
    [80, 100, ['quota-80']],
    [94, 100, ['quota-80']],
    [95, 100, ['quota-80', 'quota-95']],
    [500, 100, ['quota-80', 'quota-95']],
    [5, null, []],
    [0, 0, ['quota-80', 'quota-95']],
  ] as const)('%s of %s: %j', (used, quota, expected) => {
    expect(on(used, quota)).toEqual(expected);
  });
});
