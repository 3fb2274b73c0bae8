import { registerEnumType } from '@nestjs/graphql';
import type { StoredBackup } from '../backups/stored-backup.js';
import type { RetentionRule } from '../policies/retention-rule.js';
import { termOf } from './frequency-terms.js';
import { LocalTime, type Tier, tiers } from './local-time.js';

export const RetentionReason = {
  HELD: 'HELD', PINNED: 'PINNED', LAST_GOOD: 'LAST_GOOD', IN_USE: 'IN_USE', UNDO: 'UNDO', SAFETY: 'SAFETY', IMPORTED: 'IMPORTED', REGISTERED: 'REGISTERED', FUTURE: 'FUTURE',
  FOREVER: 'FOREVER', COUNT: 'COUNT', AGE: 'AGE', HOURLY: 'HOURLY', DAILY: 'DAILY', WEEKLY: 'WEEKLY', MONTHLY: 'MONTHLY', YEARLY: 'YEARLY', GFS: 'GFS', BY_FREQUENCY: 'BY_FREQUENCY',
} as const;
export type RetentionReason = keyof typeof RetentionReason;
registerEnumType(RetentionReason, { name: 'RetentionReason', description: 'What keeps a backup, or, of one that is due, the rule that lets it go.' });

export type JudgedBackup = Omit<StoredBackup, 'createdAt' | 'sizeBytes'>;

export interface JudgedSchedule {
  readonly id: string;
  /** Null: the policy's. */
  readonly rule: RetentionRule | null;
  /** Of the backups that it takes now. */
  readonly labels: readonly string[];
}

export interface RetentionFacts {
  readonly now: Date;
  /** IANA, the tenant's. */
  readonly timeZone: string;
  /** Of schedules that have none, of schedules that are gone, and of crons. */
  readonly policyRule: RetentionRule;
  /** Of what people take. */
  readonly manualRule: RetentionRule;
  readonly schedules: readonly JudgedSchedule[];
  readonly lastGoodId: string | null;
  /** Read or written by unfinished work, or about to be. */
  readonly inUse: ReadonlySet<string>;
  /** Safety backups that undo can still read. */
  readonly undoable: ReadonlySet<string>;
}

export interface Verdict {
  readonly due: boolean;
  readonly reason: RetentionReason;
  /** A sentence for people. */
  readonly text: string;
  /** Null: nobody can say when, because it depends on other backups or on people. */
  readonly until: Date | null;
}

/** Backups that one rule looks at together: of one origin and one kind, so that a partial one never takes the place of a whole one. */
interface Line {
  readonly rule: RetentionRule;
  readonly labels: readonly string[] | null;
  readonly newestFirst: readonly JudgedBackup[];
}

const periodNames: Readonly<Record<Tier, string>> = { hourly: 'hour', daily: 'day', weekly: 'week', monthly: 'month', yearly: 'year' };
const tierReasons = { hourly: 'HOURLY', daily: 'DAILY', weekly: 'WEEKLY', monthly: 'MONTHLY', yearly: 'YEARLY' } as const satisfies Record<Tier, RetentionReason>;

/**
 * Says of each backup of one tenant whether it is kept or due, why, and until when. Pure: the same facts, the same answer. Whatever speaks for keeping a backup keeps it;
 * damaged ones and ones from the future are not counted, so that they push no good one out.
 */
export function judge(backups: readonly JudgedBackup[], facts: RetentionFacts): ReadonlyMap<string, Verdict> {
  const byRule = new Map<string, Verdict>();
  const ruled: JudgedBackup[] = [];
  for (const backup of backups) {
    const verdict = withoutRule(backup, facts);
    if (verdict === null) ruled.push(backup);
    else byRule.set(backup.id, verdict);
  }
  for (const line of linesOf(ruled, facts)) {
    for (const [id, verdict] of judgeLine(line, facts)) byRule.set(id, verdict);
  }
  const lastOfKind = floorOf(backups, facts);
  return new Map(backups.map((backup) => [backup.id, strongest(backup, byRule.get(backup.id), lastOfKind, facts)]));
}

function strongest(backup: JudgedBackup, verdict: Verdict | undefined, lastOfKind: ReadonlyMap<string, string>, facts: RetentionFacts): Verdict {
  if (backup.held) return kept('HELD', 'Held by the provider; nobody deletes it until it is released');
  if (backup.pinned) return kept('PINNED', 'Pinned; nobody deletes it until it is unpinned');
  if (verdict === undefined) throw new Error(`No rule has looked at the backup ${backup.id}`);
  if (!verdict.due) return verdict;
  const last = lastOfKind.get(backup.id);
  if (last !== undefined) return kept('LAST_GOOD', last);
  if (facts.inUse.has(backup.id)) return kept('IN_USE', 'Read by work that has not finished yet, or that somebody has prepared');
  return verdict;
}

/**
 * The newest good ones, which stay whatever the rules say. Where no good one is left the newest stays as it is: a verification fails as well where the store or the key was away, and what can be
 * read of a damaged one may be all there is.
 */
function floorOf(backups: readonly JudgedBackup[], { lastGoodId, now }: RetentionFacts): ReadonlyMap<string, string> {
  const floor = new Map<string, string>();
  const taken = newestFirst(backups.filter(({ trigger, isDamaged, at }) => trigger !== 'SAFETY' && trigger !== 'IMPORT' && !isDamaged && at <= now));
  for (const scope of ['TRANSACTIONS', 'MASTER'] as const) {
    const partial = taken.find((backup) => !backup.isWhole && backup.scope === scope);
    if (partial !== undefined) floor.set(partial.id, 'The last good one of its kind, which always stays');
  }
  const whole = "The workspace's last good backup, which always stays";
  const newest = taken.find(({ isWhole }) => isWhole);
  if (newest !== undefined) floor.set(newest.id, whole);
  if (lastGoodId !== null) floor.set(lastGoodId, whole);
  if (newest !== undefined || lastGoodId !== null) return floor;
  const left = newestFirst(backups.filter(({ isWhole, at }) => isWhole && at <= now));
  const damaged = left.find(({ trigger }) => trigger !== 'SAFETY' && trigger !== 'IMPORT') ?? left[0];
  if (damaged !== undefined) floor.set(damaged.id, 'The newest of the whole database; its verification failed, but no good one is left');
  return floor;
}

/** Null where a rule decides. */
function withoutRule(backup: JudgedBackup, { now, undoable }: RetentionFacts): Verdict | null {
  const { trigger, expiresAt } = backup;
  if (trigger === 'SAFETY') {
    if (expiresAt === null) return kept('SAFETY', 'A safety backup without an end');
    if (expiresAt <= now) return due('SAFETY', 'A safety backup whose 7 days are over');
    return undoable.has(backup.id) ? kept('UNDO', 'What it was taken before can be undone by it', expiresAt) : kept('SAFETY', 'A safety backup, kept for 7 days', expiresAt);
  }
  if (backup.at > now) return kept('FUTURE', 'By its date it is yet to be taken: a clock was wrong, so it stays and is not counted');
  if (trigger === 'IMPORT') return kept('IMPORTED', 'Imported: it stays until somebody deletes it');
  if (backup.isRegistered) return kept('REGISTERED', 'Registered from the archive store, without what it was taken by: it stays until somebody deletes it');
  return null;
}

function linesOf(backups: readonly JudgedBackup[], { schedules, policyRule, manualRule }: RetentionFacts): Line[] {
  const lines = Map.groupBy(backups, ({ trigger, scheduleId, scope }) => `${trigger} ${String(scheduleId)} ${scope}`);
  return [...lines.values()].map((members) => {
    const [first] = members;
    if (first?.trigger === 'MANUAL') return { rule: manualRule, labels: null, newestFirst: newestFirst(members) };
    if (first?.trigger === 'CRON') return { rule: policyRule, labels: null, newestFirst: newestFirst(members) };
    const schedule = schedules.find(({ id }) => id === first?.scheduleId);
    return { rule: schedule?.rule ?? policyRule, labels: schedule?.labels ?? [], newestFirst: newestFirst(members) };
  });
}

function judgeLine(line: Line, { now, timeZone }: RetentionFacts): ReadonlyMap<string, Verdict> {
  const { rule } = line;
  const time = LocalTime.of(timeZone);
  switch (rule.mode) {
    case 'FOREVER':
      return new Map(line.newestFirst.map(({ id }) => [id, kept('FOREVER', 'Kept until somebody deletes it')]));
    case 'COUNT':
      return byCount(line.newestFirst, rule.count ?? Infinity);
    case 'AGE':
      return new Map(line.newestFirst.map(({ id, at }) => [id, byAge(time.plusDays(at, rule.days ?? Infinity), rule.days ?? Infinity, now)]));
    case 'GFS':
      return byPeriods(line.newestFirst, rule, time);
    case 'BY_FREQUENCY':
      return byFrequency(line, time, now);
  }
}

function byCount(newest: readonly JudgedBackup[], count: number): ReadonlyMap<string, Verdict> {
  const last = keepLast(newest, count, ({ id }) => id);
  return new Map(
    newest.map(({ id }) => {
      const newer = last.get(id);
      return [id, newer === undefined ? due('COUNT', count === 1 ? 'A newer one is kept' : `${count} newer ones are kept`) : kept('COUNT', `${count === 1 ? 'The newest' : `One of the newest ${count}`}; it goes when ${newer} newer ${newer === 1 ? 'one has' : 'ones have'} been taken`)];
    }),
  );
}

function byAge(until: Date | null, days: number, now: Date): Verdict {
  if (until !== null && until <= now) return due('AGE', `Older than the ${days} days that it was to be kept`);
  return kept('AGE', `Kept for ${days} days`, until);
}

/** The biggest period that keeps a backup says so. */
function byPeriods(newest: readonly JudgedBackup[], rule: RetentionRule, time: LocalTime): ReadonlyMap<string, Verdict> {
  const verdicts = new Map<string, Verdict>(newest.map(({ id }) => [id, due('GFS', 'A newer one of the same period is kept, or its period is over')]));
  for (const tier of tiers) {
    for (const [id, later] of keepLast(newest, rule[tier] ?? 0, ({ at }) => time.period(at, tier))) {
      const name = periodNames[tier];
      verdicts.set(id, kept(tierReasons[tier], `The last one of its ${name}; it stays until ${later} later ${name}${later === 1 ? ' has' : 's have'} a backup`));
    }
  }
  return verdicts;
}

/** By the frequency that was the active one when a backup was taken: for as long as that asks for, and the newest ones of the frequency that is active now however old they are. */
function byFrequency({ labels, newestFirst: newest }: Line, time: LocalTime, now: Date): ReadonlyMap<string, Verdict> {
  const verdicts = new Map<string, Verdict>();
  for (const [label, members] of Map.groupBy(newest, (backup) => backup.label)) {
    const { count, days } = termOf(label);
    const last = keepLast(members, labels === null || labels.includes(label) ? count : 0, ({ id }) => id);
    for (const { id, at } of members) {
      const until = time.plusDays(at, days);
      if (last.has(id)) verdicts.set(id, kept('BY_FREQUENCY', `One of the newest ${count} of its frequency (${label})`));
      else if (until === null || until > now) verdicts.set(id, kept('BY_FREQUENCY', `Kept for ${days} days, as its frequency (${label}) asks for`, until));
      else verdicts.set(id, due('BY_FREQUENCY', `Older than the ${days} days that its frequency (${label}) asks for`));
    }
  }
  return verdicts;
}

/** The newest one of each of the last `limit` periods that have a good one, with how many later periods it takes to push it out. A damaged one stands in where a period has no good one, uncounted. */
function keepLast(newest: readonly JudgedBackup[], limit: number, periodOf: (backup: JudgedBackup) => string): ReadonlyMap<string, number> {
  const last = new Map<string, number>();
  let counted = 0;
  if (limit <= 0) return last;
  for (const members of Map.groupBy(newest, periodOf).values()) {
    if (counted >= limit) break;
    const good = members.find(({ isDamaged }) => !isDamaged);
    const one = good ?? members[0];
    if (one !== undefined) last.set(one.id, limit - counted);
    if (good !== undefined) counted += 1;
  }
  return last;
}

function newestFirst(backups: readonly JudgedBackup[]): JudgedBackup[] {
  return backups.toSorted((a, b) => b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : -1));
}

function kept(reason: RetentionReason, text: string, until: Date | null = null): Verdict {
  return { due: false, reason, text, until };
}

function due(reason: RetentionReason, text: string): Verdict {
  return { due: true, reason, text, until: null };
}
