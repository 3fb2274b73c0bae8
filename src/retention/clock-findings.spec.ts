import { describe, expect, it } from '@jest/globals';
import { clockFinding } from './clock-findings.js';
import type { ClockReading } from './retention-clock.js';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const start = Date.UTC(2024, 0, 1);

function reading(elapsedMs: number, over: { readonly database?: number; readonly process?: number } = {}): ClockReading {
  return { database: new Date(start + elapsedMs + (over.database ?? 0)), process: new Date(start + elapsedMs + (over.process ?? over.database ?? 0)), monotonicMs: 5_000 + elapsedMs };
}

const before = reading(0);

describe('the clock', () => {
  it('is believed as long as all clocks go on side by side', () => {
    expect(clockFinding(before, null, null)).toBeNull();
    expect(clockFinding(reading(10 * minute, { database: 2 * minute, process: -2 * minute }), before, before.database)).toBeNull();
    expect(clockFinding(reading(25 * hour), null, before.database)).toBeNull();
  });

  it('is not believed when it goes forward under the eyes of a process, by however little or much', () => {
    expect(clockFinding(reading(10 * minute, { database: 6 * minute }), before, before.database)).toMatchObject({ trouble: 'AHEAD', holdMs: 7 * day });
    expect(clockFinding(reading(10 * minute, { database: 365 * day }), before, before.database)).toMatchObject({ trouble: 'AHEAD', text: expect.stringContaining('365 days') });
  });

  it('is not believed after a silence that a jump may hide in', () => {
    expect(clockFinding(reading(365 * day), null, before.database)).toMatchObject({ trouble: 'SILENCE', holdMs: day });
    expect(clockFinding(reading(27 * hour), null, before.database)).toMatchObject({ trouble: 'SILENCE' });
  });

  it('is not believed when it goes back, whoever saw the later time', () => {
    expect(clockFinding(reading(0, { database: -day }), null, before.database)).toMatchObject({ trouble: 'BACK', holdMs: day });
    expect(clockFinding(reading(10 * minute, { database: -hour }), before, before.database)).toMatchObject({ trouble: 'BACK' });
  });

  it('is not believed while the database and the process disagree', () => {
    expect(clockFinding(reading(10 * minute, { database: 0, process: -hour }), before, before.database)).toMatchObject({ trouble: 'APART' });
    expect(clockFinding(reading(0, { database: 0, process: 2 * day }), null, null)).toMatchObject({ trouble: 'APART' });
  });
});
