import type { ClockReading } from './retention-clock.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** As far as clocks may be apart, and one may be off in the time between two looks of a process. */
const toleranceMs = 5 * minuteMs;
/** After a longer silence nobody can tell a pause from a jump; what a shorter one hides deletes at most so much too early. */
const longestSilenceMs = 26 * hourMs;

/** AHEAD: set forward while a process looked on. SILENCE: nobody looked for long. BACK: set back. APART: the database and the process disagree. */
export type ClockTrouble = 'AHEAD' | 'SILENCE' | 'BACK' | 'APART';

export interface ClockFinding {
  readonly trouble: ClockTrouble;
  /** A sentence for people. */
  readonly text: string;
  /** For how long nothing is deleted from now on, unless somebody confirms the time. */
  readonly holdMs: number;
}

/**
 * What speaks against believing the clock; null where nothing does.
 *
 * @param before the last reading of this process, from which its steady clock counts; null at its first
 * @param lastSeenAt the database's time at the last look of any process
 */
export function clockFinding(now: ClockReading, before: ClockReading | null, lastSeenAt: Date | null): ClockFinding | null {
  const sinceLast = lastSeenAt === null ? 0 : now.database.getTime() - lastSeenAt.getTime();
  if (sinceLast < -toleranceMs) return { trouble: 'BACK', text: `The database's clock went back from ${lastSeenAt?.toISOString()} to ${now.database.toISOString()}`, holdMs: dayMs };
  const gained = before === null ? 0 : now.database.getTime() - before.database.getTime() - (now.monotonicMs - before.monotonicMs);
  if (gained > toleranceMs) return { trouble: 'AHEAD', text: `The database's clock went forward by ${inWords(gained)} to ${now.database.toISOString()}`, holdMs: 7 * dayMs };
  const apart = now.database.getTime() - now.process.getTime();
  if (Math.abs(apart) > toleranceMs) return { trouble: 'APART', text: `The database's clock says ${now.database.toISOString()}, that of this server ${now.process.toISOString()}`, holdMs: hourMs };
  if (sinceLast > longestSilenceMs) return { trouble: 'SILENCE', text: `Nobody has looked for ${inWords(sinceLast)}, or the clock was set forward`, holdMs: dayMs };
  return null;
}

function inWords(ms: number): string {
  if (ms >= 2 * dayMs) return `${Math.round(ms / dayMs)} days`;
  return ms >= 2 * hourMs ? `${Math.round(ms / hourMs)} hours` : `${Math.round(ms / minuteMs)} minutes`;
}
