import { createHash } from 'node:crypto';
import { nextAfter } from './occurrences.js';
import { recurrenceAt, type ScheduleEntity } from './schedule.entity.js';

const spreadMs = 10 * 60 * 1000;

export interface NextRun {
  /** Nominal. */
  readonly nextRunAt: Date | null;
  readonly dueAt: Date | null;
}

/** The next run after a moment. It starts within ten minutes of its time, always as much later for one schedule, so that not all start at once. */
export function nextRunAfter(schedule: ScheduleEntity, after: Date): NextRun {
  const own = nextAfter(recurrenceAt(schedule, after), after);
  const { bump } = schedule;
  // The first run after a bump's end is the schedule's own.
  const until = bump === null ? null : new Date(bump.until);
  const nextRunAt = until !== null && after < until && own !== null && own >= until ? nextAfter(recurrenceAt(schedule, until), after) : own;
  return { nextRunAt, dueAt: nextRunAt && new Date(nextRunAt.getTime() + delayOf(schedule.id)) };
}

function delayOf(id: string): number {
  return createHash('sha256').update(id).digest().readUInt32BE() % spreadMs;
}
