import { describe, expect, it, jest } from '@jest/globals';
import { DateTime, IANAZone } from 'luxon';
import { timeZone } from './time-zone.js';

describe('timeZone', () => {
  it.each(['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Kathmandu', 'America/St_Johns', 'Africa/Casablanca', 'UTC'])('has the offsets of %s, whatever is asked first', (name) => {
    const exact = IANAZone.create(name);
    const step = 1_800_000;
    const times = Array.from({ length: (2 * 365 * 86_400_000) / step / 8 }, (_, number) => Date.UTC(2011, 0, 1) + number * step * 8 + (number % 8) * step);
    expect([...times].reverse().map((at) => timeZone(name).offset(at))).toEqual([...times].reverse().map((at) => exact.offset(at)));
    expect(times.map((at) => timeZone(name).offset(at))).toEqual(times.map((at) => exact.offset(at)));
  });

  it('tells both sides of a change of the clock to the minute', () => {
    const change = Date.UTC(2026, 2, 29, 1);
    expect([change - 60_000, change - 1, change, change + 60_000].map((at) => timeZone('Europe/Berlin').offset(at))).toEqual([60, 60, 120, 120]);
  });

  it('is not valid where there is no such zone', () => {
    expect(timeZone('Europe/Nowhere').isValid).toBe(false);
    expect(DateTime.fromMillis(0, { zone: timeZone('Europe/Nowhere') }).isValid).toBe(false);
  });

  it('asks Intl once for a day, however often its offset is asked', () => {
    const zone = timeZone('Asia/Tokyo');
    const asked = jest.spyOn(IANAZone.prototype, 'offset');
    try {
      const midnight = Date.UTC(2031, 5, 1);
      for (let hour = 0; hour < 24; hour += 1) zone.offset(midnight + hour * 3_600_000);
      expect(asked.mock.calls).toEqual([[midnight], [midnight + 86_400_000]]);
    } finally {
      asked.mockRestore();
    }
  });
});
