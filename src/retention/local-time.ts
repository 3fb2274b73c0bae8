import { DateTime, type Zone } from 'luxon';
import { timeZone } from '../platform/time/time-zone.js';

export const tiers = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
/** From the smallest to the biggest. */
export type Tier = (typeof tiers)[number];

/** More than the backups that one round looks at, and little memory. */
const mostKnown = 20_000;
const zones = new Map<string, LocalTime>();

/** Days and periods on the clock of a zone. What was worked out is remembered: the same backups are looked at again and again. */
export class LocalTime {
  private readonly known = new Map<string, Date | string | null>();

  private constructor(private readonly zone: Zone) {}

  /** A zone that is not known counts as UTC: without it all times would fall into one period. */
  static of(name: string): LocalTime {
    const found = zones.get(name) ?? new LocalTime(timeZone(timeZone(name).isValid ? name : 'UTC'));
    zones.set(name, found);
    return found;
  }

  /** The same time of day so many days later; null where that is no date. */
  plusDays(at: Date, days: number): Date | null {
    if (!Number.isFinite(days)) return null;
    return this.once(`${at.getTime()} ${days}`, () => {
      const later = this.local(at).plus({ days });
      return later.isValid ? later.toJSDate() : null;
    });
  }

  /** The same text for all times of one period, and for no other. Of an hour that comes twice both are periods. */
  period(at: Date, tier: Tier): string {
    return this.once(`${at.getTime()} ${tier}`, () => periodOf(this.local(at), tier));
  }

  private local(at: Date): DateTime {
    return DateTime.fromJSDate(at, { zone: this.zone });
  }

  private once<Value extends Date | string | null>(key: string, work: () => Value): Value {
    if (this.known.size >= mostKnown) this.known.clear();
    if (!this.known.has(key)) this.known.set(key, work());
    return this.known.get(key) as Value;
  }
}

function periodOf(local: DateTime, tier: Tier): string {
  switch (tier) {
    case 'hourly':
      return `${local.year}-${local.ordinal}-${local.hour}-${local.offset}`;
    case 'daily':
      return `${local.year}-${local.ordinal}`;
    case 'weekly':
      return `${local.weekYear}-${local.weekNumber}`;
    case 'monthly':
      return `${local.year}-${local.month}`;
    case 'yearly':
      return String(local.year);
  }
}
