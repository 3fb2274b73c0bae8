import type { RetentionReason } from './judgement.js';
import type { Judgement } from './tenant-judge.js';

/** What a tenant's last run left. */
export interface RunRecord {
  /** Null: there was none. */
  readonly ranAt: Date | null;
  /** How many were due at its end. */
  readonly dueSeen: number;
  readonly heldSince: Date | null;
  /** How many were due when it began to be held back. */
  readonly heldDue: number | null;
  readonly confirmedAt: Date | null;
}

export interface HoldDecision {
  /** Null: what is due may go. */
  readonly heldSince: Date | null;
  readonly heldDue: number | null;
}

/** Unless somebody confirms it earlier. */
export const bulkHoldMs = 3 * 24 * 3_600_000;

const free: HoldDecision = { heldSince: null, heldDue: null };

/** What a run finds. */
export interface Findings {
  readonly due: number;
  /** Stored backups that rules may let go at all, those that are due included. */
  readonly mortal: number;
  /** How many backups were taken since the last run: each may push out one, without anybody's mistake. */
  readonly taken: number;
}

/** More than so many that become due between two runs look like a mistake, of a clock or of a person. */
export function mostAtOnce({ mortal, taken }: Findings): number {
  return Math.max(3, Math.floor(mortal / 5)) + taken;
}

/** Whether so many are due that they do not go without somebody's word or some time for it. */
export function decideHold({ dueSeen, heldSince, heldDue, confirmedAt }: RunRecord, findings: Findings, now: Date): HoldDecision {
  const isTooMany = (since: number): boolean => findings.due - since > mostAtOnce(findings);
  if (!isTooMany(dueSeen)) return free;
  const anew: HoldDecision = { heldSince: now, heldDue: findings.due };
  if (heldSince === null || isTooMany(heldDue ?? 0)) return anew;
  const isConfirmed = confirmedAt !== null && confirmedAt >= heldSince;
  return isConfirmed || now.getTime() - heldSince.getTime() >= bulkHoldMs ? free : { heldSince, heldDue };
}

const lasting: ReadonlySet<RetentionReason> = new Set(['FOREVER', 'IMPORTED', 'REGISTERED', 'PINNED', 'HELD']);

export function findingsOf({ backups, verdicts }: Judgement, { ranAt }: RunRecord): Findings {
  const all = [...verdicts.values()];
  return {
    due: all.filter(({ due }) => due).length,
    mortal: all.filter(({ reason }) => !lasting.has(reason)).length,
    taken: ranAt === null ? 0 : backups.filter(({ at }) => at > ranAt).length,
  };
}
