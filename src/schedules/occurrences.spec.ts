import { describe, expect, it } from '@jest/globals';
import { DateTime } from 'luxon';
import { Cadence } from '../policies/policy-enums.js';
import { cronProblem, labelOf, nextAfter, nextRuns, type Recurrence } from './occurrences.js';

const daily = (over: Partial<Recurrence> = {}): Recurrence => ({ cadence: 'DAILY_AT', atTime: '02:30', timeZone: 'Europe/Berlin', cron: null, anchor: new Date('2026-01-10T12:00:00Z'), ...over });
const local = (date: Date | null, zone = 'Europe/Berlin'): string => DateTime.fromJSDate(date ?? new Date(0), { zone }).toFormat('yyyy-LL-dd HH:mm');
const runs = (recurrence: Recurrence, after: string, count: number): string[] => nextRuns(recurrence, new Date(after), count).map((date) => local(date, recurrence.timeZone));

describe('the clock on the wall', () => {
  it('that jumps over a time shows it as much later, once', () => {
    expect(runs(daily(), '2026-03-28T00:00:00Z', 3)).toEqual(['2026-03-28 02:30', '2026-03-29 03:30', '2026-03-30 02:30']);
  });

  it('that shows a time twice counts it once', () => {
    const found = nextRuns(daily(), new Date('2026-10-24T12:00:00Z'), 2);
    expect(found.map((date) => date.toISOString())).toEqual(['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z']);
  });

  it('does not move a steady pace', () => {
    const found = nextRuns(daily({ cadence: 'EVERY_8H', atTime: '01:00' }), new Date('2026-03-28T20:00:00Z'), 4);
    expect(found.map((date, index) => (index === 0 ? 8 : (date.getTime() - (found[index - 1]?.getTime() ?? 0)) / 3_600_000))).toEqual([8, 8, 8, 8]);
  });
});

describe('a cadence', () => {
  it.each([
    ['WEEKLY', ['2026-01-17 02:30', '2026-01-24 02:30']],
    ['EVERY_3_DAYS', ['2026-01-13 02:30', '2026-01-16 02:30']],
    ['EVERY_7_DAYS', ['2026-01-17 02:30', '2026-01-24 02:30']],
    ['EVERY_15_DAYS', ['2026-01-25 02:30', '2026-02-09 02:30']],
    ['EVERY_30_DAYS', ['2026-02-09 02:30', '2026-03-11 02:30']],
    ['MONTHLY', ['2026-02-10 02:30', '2026-03-10 02:30']],
  ] as const)('of %s', (cadence, expected) => {
    expect(runs(daily({ cadence }), '2026-01-10T12:00:00Z', 2)).toEqual(expected);
  });

  it('comes in the same order one by one and several at once', () => {
    for (const timeZone of ['UTC', 'Europe/Berlin', 'Pacific/Apia']) {
      for (const cadence of Object.values(Cadence)) {
        const recurrence = daily({ cadence, timeZone, ...(cadence === 'CRON' ? { cron: '30 2 * * *', atTime: null } : {}) });
        const together = nextRuns(recurrence, new Date('2026-03-20T00:00:00Z'), 12);
        let last: Date | null = new Date('2026-03-20T00:00:00Z');
        for (const time of together) {
          last = last && nextAfter(recurrence, last);
          expect([cadence, timeZone, time]).toEqual([cadence, timeZone, last]);
        }
        expect([cadence, together.length]).toEqual([cadence, 12]);
      }
    }
  });

  it('of months keeps to the last day of a short one, and comes back to its own', () => {
    expect(runs(daily({ cadence: 'MONTHLY', anchor: new Date('2026-01-31T12:00:00Z') }), '2026-01-31T12:00:00Z', 3)).toEqual(['2026-02-28 02:30', '2026-03-31 02:30', '2026-04-30 02:30']);
  });

  it('by CRON reads the clock of its zone', () => {
    expect(runs(daily({ cadence: 'CRON', atTime: null, cron: '15 4 * * 1', timeZone: 'Asia/Kolkata' }), '2026-01-10T12:00:00Z', 2)).toEqual(['2026-01-12 04:15', '2026-01-19 04:15']);
    expect([cronProblem('15 4 * * 1'), cronProblem('* * * *'), cronProblem('61 * * * *'), cronProblem('0 0 31 2 *')]).toEqual([null, expect.stringContaining('five fields'), 'cannot be read', 'never comes']);
  });

  it('goes on, always later, in every zone and at every moment of two years', () => {
    for (const timeZone of ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'Pacific/Apia']) {
      for (const cadence of Object.values(Cadence)) {
        const recurrence = daily({ cadence, timeZone, ...(cadence === 'CRON' ? { cron: '30 2 * * *', atTime: null } : {}) });
        let at = new Date('2026-01-10T12:00:00Z');
        for (let count = 0; count < 60; count++) {
          const next = nextAfter(recurrence, at);
          if (next === null || next <= at) throw new Error(`${cadence} in ${timeZone} after ${at.toISOString()}: ${String(next)}`);
          // From any moment between two, the same one comes next.
          const between = nextAfter(recurrence, new Date((at.getTime() + next.getTime()) / 2));
          if (between?.getTime() !== next.getTime()) throw new Error(`${cadence} in ${timeZone} between ${at.toISOString()} and ${next.toISOString()}: ${String(between)}`);
          at = count % 10 === 9 ? new Date(next.getTime() + 40 * 86_400_000) : next;
        }
      }
    }
  });

  it('names its backups', () => {
    expect(Object.values(Cadence).map((cadence) => labelOf(cadence, 'nightly'))).toEqual(['monthly', 'weekly', 'daily', '8-hour', '12-hour', '24-hour', '3-day', '7-day', '15-day', 'monthly', 'nightly']);
  });
});
