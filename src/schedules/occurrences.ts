import { Cron } from 'croner';
import { DateTime } from 'luxon';
import { timeZone } from '../platform/time/time-zone.js';
import type { Cadence } from '../policies/policy-enums.js';

/** When something happens again and again, on a clock of its own. */
export interface Recurrence {
  readonly cadence: Cadence;
  /** `HH:MM` on that clock; null for CRON. */
  readonly atTime: string | null;
  /** IANA. */
  readonly timeZone: string;
  /** Five fields; null for all other cadences. */
  readonly cron: string | null;
  /** Weeks, months and runs of days and hours count from here. */
  readonly anchor: Date;
}

const hours: Partial<Record<Cadence, number>> = { EVERY_8H: 8, EVERY_12H: 12, EVERY_24H: 24 };
const days: Partial<Record<Cadence, number>> = { DAILY_AT: 1, EVERY_3_DAYS: 3, EVERY_7_DAYS: 7, WEEKLY: 7, EVERY_15_DAYS: 15, EVERY_30_DAYS: 30 };

/** The first occurrence after `after`; null where a CRON never comes again. */
export function nextAfter(recurrence: Recurrence, after: Date): Date | null {
  return nextRuns(recurrence, after, 1)[0] ?? null;
}

export function nextRuns(recurrence: Recurrence, after: Date, count: number): Date[] {
  const runs: Date[] = [];
  for (const time of occurrencesAfter(recurrence, after)) {
    if (runs.length >= count) break;
    runs.push(time);
  }
  return runs;
}

/**
 * One after the other. Cadences of hours pass at a steady pace; all others keep to the clock on the wall: a time that the clock jumps over
 * comes as much later as it jumps, and one that it shows twice comes once, the first time.
 */
function* occurrencesAfter(recurrence: Recurrence, after: Date): Generator<Date, void, undefined> {
  const { cadence, cron } = recurrence;
  if (cadence === 'CRON') {
    const clock = cron === null ? null : new Cron(cron, { timezone: recurrence.timeZone });
    for (let time = clock?.nextRun(after); time != null; time = clock?.nextRun(time)) yield time;
    return;
  }
  const everyHours = hours[cadence];
  if (everyHours !== undefined) {
    const paceMs = everyHours * 3_600_000;
    for (let time = steady(recurrence, paceMs, after); ; time = new Date(time.getTime() + paceMs)) yield time;
  }
  const zone = timeZone(recurrence.timeZone);
  const start = DateTime.fromJSDate(recurrence.anchor, { zone });
  // No time would ever be late enough, and the search would not end.
  if (!start.isValid) throw new RangeError(`There is no time zone ${recurrence.timeZone}`);
  const at = (step: number): Date => (cadence === 'MONTHLY' ? onDay(start.plus({ months: step }), recurrence) : onDay(start.plus({ days: step * (days[cadence] ?? 1) }), recurrence));
  // Near by what has passed, then on to the first one that is late enough: a clock change shifts it by a day at most.
  const passed = DateTime.fromJSDate(after, { zone }).diff(start, cadence === 'MONTHLY' ? 'months' : 'days');
  const near = cadence === 'MONTHLY' ? passed.months : passed.days / (days[cadence] ?? 1);
  let last = after;
  for (let step = Math.max(0, Math.floor(near) - 1); ; step += 1) {
    const time = at(step);
    if (time <= last || time < recurrence.anchor) continue;
    last = time;
    yield time;
  }
}

const labels: Readonly<Record<Exclude<Cadence, 'CRON'>, string>> = {
  MONTHLY: 'monthly', EVERY_30_DAYS: 'monthly', EVERY_15_DAYS: '15-day', EVERY_7_DAYS: '7-day', WEEKLY: 'weekly', EVERY_3_DAYS: '3-day', EVERY_24H: '24-hour', EVERY_12H: '12-hour', EVERY_8H: '8-hour', DAILY_AT: 'daily',
};

/** What stays on the backups that it makes; a CRON has its own name. */
export function labelOf(cadence: Cadence, name: string): string {
  return cadence === 'CRON' ? name : labels[cadence];
}

/** @returns what is wrong with a CRON expression, null where it is good */
export function cronProblem(cron: string): string | null {
  if (cron.trim().split(/\s+/).length !== 5) return 'must have five fields: minute, hour, day of month, month, day of week';
  try {
    return new Cron(cron, { timezone: 'UTC' }).nextRun() === null ? 'never comes' : null;
  } catch {
    return 'cannot be read';
  }
}

function steady(recurrence: Recurrence, paceMs: number, after: Date): Date {
  const first = onDay(DateTime.fromJSDate(recurrence.anchor, { zone: timeZone(recurrence.timeZone) }), recurrence).getTime();
  // The first one at or after the anchor, whatever the time of day says.
  const begin = first + Math.max(0, Math.ceil((recurrence.anchor.getTime() - first) / paceMs)) * paceMs;
  const step = Math.max(0, Math.floor((after.getTime() - begin) / paceMs) + 1);
  return new Date(begin + step * paceMs);
}

function onDay(day: DateTime, { atTime }: Recurrence): Date {
  const [hour = 0, minute = 0] = (atTime ?? '00:00').split(':').map(Number);
  const time = day.set({ hour, minute, second: 0, millisecond: 0 });
  return (time.getPossibleOffsets()[0] ?? time).toJSDate();
}
