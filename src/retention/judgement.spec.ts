import { describe, expect, it } from '@jest/globals';
import { retentionRule } from '../policies/retention-rule.js';
import { judge, type JudgedBackup, type RetentionFacts, type Verdict } from './judgement.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const now = new Date('2024-07-15T12:00:00Z');
const rule = (mode: string, values: Readonly<Record<string, number>> = {}) => retentionRule.parse({ mode, ...values });
const forever = rule('FOREVER');

let made = 0;
function backup(at: Date | string, over: Partial<JudgedBackup> = {}): JudgedBackup {
  made += 1;
  return {
    id: `b-${String(made).padStart(6, '0')}`, trigger: 'SCHEDULE', scope: 'ALL', scheduleId: 's', label: 'daily', at: new Date(at), isWhole: true, isDamaged: false, isRegistered: false, pinned: false, held: false, expiresAt: null,
    ...over,
  };
}
const ago = (days: number, over: Partial<JudgedBackup> = {}): JudgedBackup => backup(new Date(now.getTime() - days * dayMs), over);

function facts(backups: readonly JudgedBackup[], over: Partial<RetentionFacts> = {}): RetentionFacts {
  const good = backups.filter(({ isWhole, isDamaged, trigger }) => isWhole && !isDamaged && trigger !== 'SAFETY' && trigger !== 'IMPORT').toSorted((a, b) => b.at.getTime() - a.at.getTime());
  return { now, timeZone: 'UTC', policyRule: forever, manualRule: forever, schedules: [{ id: 's', rule: null, labels: ['daily'] }], lastGoodId: good[0]?.id ?? null, inUse: new Set(), undoable: new Set(), ...over };
}
const by = (mode: string, values?: Readonly<Record<string, number>>): Partial<RetentionFacts> => ({ policyRule: rule(mode, values) });

function judged(backups: readonly JudgedBackup[], over: Partial<RetentionFacts>): { readonly kept: string[]; readonly due: string[]; readonly of: (one: JudgedBackup) => Verdict } {
  const verdicts = judge(backups, facts(backups, over));
  const ids = (due: boolean) => backups.filter(({ id }) => verdicts.get(id)?.due === due).map(({ id }) => id);
  return { kept: ids(false), due: ids(true), of: ({ id }) => verdicts.get(id)! };
}

/** The same numbers each time, so that a failure can be repeated. */
function randomly(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function anyBackups(random: () => number): JudgedBackup[] {
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  return Array.from({ length: Math.floor(random() * 60) }, () => {
    const trigger = pick(['SCHEDULE', 'SCHEDULE', 'SCHEDULE', 'CRON', 'MANUAL', 'SAFETY', 'IMPORT'] as const);
    const scope = trigger === 'SCHEDULE' ? pick(['ALL', 'ALL', 'MASTER'] as const) : 'ALL';
    return ago(random() * 800 - 5, {
      trigger, scope, isWhole: scope === 'ALL', scheduleId: trigger === 'SCHEDULE' ? pick(['s', 't', 'gone']) : null, label: pick(['daily', '15-day', 'monthly']), isDamaged: random() < 0.2, isRegistered: random() < 0.05,
      pinned: random() < 0.05, held: random() < 0.05, expiresAt: trigger === 'SAFETY' ? new Date(now.getTime() + (random() - 0.5) * 14 * dayMs) : null,
    });
  });
}

function anyRule(random: () => number) {
  const some = () => Math.floor(random() * 6);
  return [
    rule('COUNT', { count: 1 + some() }), rule('AGE', { days: 1 + some() * 40 }), rule('GFS', { hourly: some(), daily: 1 + some(), weekly: some(), monthly: some(), yearly: some() }), rule('BY_FREQUENCY'), forever,
  ][Math.floor(random() * 5)]!;
}

describe('what is kept', () => {
  it('COUNT: the newest so many good ones, and it says how many newer ones push one out', () => {
    const backups = [1, 2, 3, 4, 5].map((days) => ago(days));
    const { due, of } = judged(backups, by('COUNT', { count: 3 }));
    expect(due).toEqual(backups.slice(3).map(({ id }) => id));
    expect(of(backups[0]!)).toEqual({ due: false, reason: 'COUNT', text: 'One of the newest 3; it goes when 3 newer ones have been taken', until: null });
    expect(of(backups[2]!).text).toContain('when 1 newer one has been taken');
    expect(of(backups[3]!)).toEqual({ due: true, reason: 'COUNT', text: '3 newer ones are kept', until: null });
  });

  it('AGE: for so many days of the clock on the wall, across its changes', () => {
    // In Berlin the clock went forward on 2024-03-31: 30 days later it is the same time of day, 719 hours on.
    const one = backup('2024-03-10T11:30:00Z');
    const newer = backup('2024-04-09T00:00:00Z');
    const at = (time: string) => judged([one, newer], { ...by('AGE', { days: 30 }), timeZone: 'Europe/Berlin', now: new Date(time) });
    expect(at('2024-04-09T10:29:59Z').of(one)).toMatchObject({ due: false, reason: 'AGE', until: new Date('2024-04-09T10:30:00Z') });
    expect(at('2024-04-09T10:30:00Z').due).toEqual([one.id]);
  });

  it('GFS: the last one of each period of the clock on the wall; what a bigger period keeps stays', () => {
    const backups = Array.from({ length: 800 }, (_, day) => ago(day));
    const { kept, of } = judged(backups, by('GFS', { daily: 7, weekly: 4, monthly: 6, yearly: 3 }));
    const reasons = backups.map((one) => of(one)).filter(({ due }) => !due).map(({ reason }) => reason);
    expect(kept.slice(0, 7)).toEqual(backups.slice(0, 7).map(({ id }) => id));
    expect(new Set(reasons)).toEqual(new Set(['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY']));
    expect(reasons.filter((reason) => reason === 'YEARLY')).toHaveLength(3);
    // The newest one of this year and of this month is the same.
    expect(reasons.filter((reason) => reason === 'MONTHLY')).toHaveLength(5);
    expect(of(backups[0]!)).toMatchObject({ reason: 'YEARLY', text: 'The last one of its year; it stays until 3 later years have a backup' });
    const months = backups.filter((one) => ['MONTHLY', 'YEARLY'].includes(of(one).reason)).map(({ at }) => at.toISOString().slice(0, 10));
    expect(months).toEqual(['2024-07-15', '2024-06-30', '2024-05-31', '2024-04-30', '2024-03-31', '2024-02-29', '2023-12-31', '2022-12-31']);
  });

  it('GFS: an hour that comes twice is two, and a day is the day of the zone', () => {
    // 02:00 to 03:00 came twice in Berlin on 2023-10-29.
    const hours = ['2023-10-28T23:30:00Z', '2023-10-29T00:30:00Z', '2023-10-29T01:30:00Z', '2023-10-29T02:30:00Z'].map((at) => backup(at));
    const at = new Date('2023-10-29T03:00:00Z');
    expect(judged(hours, { ...by('GFS', { hourly: 4 }), timeZone: 'Europe/Berlin', now: at }).due).toEqual([]);
    // 23:30 in New York is the next day in UTC.
    const days = [backup('2024-05-02T03:30:00Z'), backup('2024-05-02T12:00:00Z')];
    expect(judged(days, { ...by('GFS', { daily: 2 }), timeZone: 'America/New_York' }).due).toEqual([]);
    expect(judged(days, { ...by('GFS', { daily: 2 }), timeZone: 'UTC' }).due).toEqual([days[0]!.id]);
  });

  it('GFS: a zone that is not known makes no one period of all times', () => {
    const backups = [1, 2, 3].map((days) => ago(days));
    expect(judged(backups, { ...by('GFS', { daily: 3 }), timeZone: 'Nowhere/At_All' }).due).toEqual([]);
  });

  it('BY_FREQUENCY: as long as the frequency asks for, which was the active one when it was taken, and the newest of the active one always', () => {
    const daily = Array.from({ length: 60 }, (_, day) => ago(day + 100, { label: 'daily' }));
    const fortnightly = Array.from({ length: 20 }, (_, count) => ago(count * 15, { label: '15-day' }));
    const { due, of } = judged([...daily, ...fortnightly], { ...by('BY_FREQUENCY'), schedules: [{ id: 's', rule: null, labels: ['15-day'] }] });
    // Its frequency is not the active one any more.
    expect(due.filter((id) => daily.some((one) => one.id === id))).toHaveLength(60);
    expect(fortnightly.filter(({ id }) => !due.includes(id))).toHaveLength(12);
    expect(of(fortnightly[0]!)).toMatchObject({ reason: 'BY_FREQUENCY', text: 'One of the newest 12 of its frequency (15-day)' });
    // A schedule that pauses loses nothing; one that is gone keeps to the time.
    const old = fortnightly.map((one) => ({ ...one, at: new Date(one.at.getTime() - 400 * dayMs) }));
    expect(judged(old, { ...by('BY_FREQUENCY'), schedules: [{ id: 's', rule: null, labels: ['15-day'] }] }).kept).toHaveLength(12);
    expect(judged(old, { ...by('BY_FREQUENCY'), schedules: [] }).kept).toEqual([old[0]!.id]);
  });

  it("by the rule of its schedule, else the policy's; of what people take by their own", () => {
    const own = [ago(40), ago(1)];
    const other = [ago(40, { scheduleId: 't' }), ago(1, { scheduleId: 't' })];
    const cron = [ago(40, { trigger: 'CRON', scheduleId: null, label: 'cron' })];
    const manual = [ago(40, { trigger: 'MANUAL', scheduleId: null, label: 'manual' })];
    const over = { ...by('AGE', { days: 30 }), schedules: [{ id: 's', rule: rule('AGE', { days: 60 }), labels: ['daily'] }, { id: 't', rule: null, labels: ['daily'] }] };
    expect(judged([...own, ...other, ...cron, ...manual], over).due).toEqual([other[0]!.id, cron[0]!.id]);
    expect(judged([...own, ...manual], { ...over, manualRule: rule('AGE', { days: 39 }) }).due).toEqual([manual[0]!.id]);
  });

  it('what is pinned, held, imported, registered from the store, or read by unfinished work', () => {
    const old = (over: Partial<JudgedBackup>) => ago(400, over);
    const read = old({});
    const backups = [old({ pinned: true }), old({ held: true }), old({ trigger: 'IMPORT', scheduleId: null }), old({ isRegistered: true }), read, old({}), ago(1)];
    const { due, of } = judged(backups, { ...by('AGE', { days: 30 }), inUse: new Set([read.id]) });
    expect(due).toEqual([backups[5]!.id]);
    expect(backups.map((one) => of(one).reason)).toEqual(['PINNED', 'HELD', 'IMPORTED', 'REGISTERED', 'IN_USE', 'AGE', 'AGE']);
  });

  it('safety backups for their 7 days, and never as the only one', () => {
    const safety = (days: number) => ago(8, { trigger: 'SAFETY', scheduleId: null, label: 'safety', expiresAt: new Date(now.getTime() + days * dayMs) });
    const [undoable, expired, lasting, endless] = [safety(3), safety(-1), safety(2), { ...safety(0), expiresAt: null }];
    const { due, of } = judged([undoable, expired, lasting, endless, ago(1)], { ...by('AGE', { days: 30 }), undoable: new Set([undoable.id]) });
    expect(due).toEqual([expired.id]);
    expect(of(undoable)).toMatchObject({ reason: 'UNDO', until: undoable.expiresAt });
    expect(of(lasting)).toMatchObject({ reason: 'SAFETY', until: lasting.expiresAt });
    expect(judged([expired], { lastGoodId: expired.id }).of(expired)).toMatchObject({ due: false, reason: 'LAST_GOOD' });
  });

  it('the last good one, whatever its rule says: the newest whole one that its verification has not failed', () => {
    const backups = [ago(1, { isDamaged: true }), ago(2, { isWhole: false, scope: 'MASTER' }), ago(90), ago(100)];
    const { due, of } = judged(backups, by('AGE', { days: 30 }));
    expect(due).toEqual([backups[3]!.id]);
    expect(of(backups[2]!)).toMatchObject({ reason: 'LAST_GOOD' });
  });

  it('the newest one, where no good one is left: what failed its verification may be readable once more, when key or store are back', () => {
    const [safety, newest, older, partial] = [ago(20, { trigger: 'SAFETY', expiresAt: ago(13).at, isDamaged: true }), ago(40, { isDamaged: true }), ago(50, { isDamaged: true }), ago(30, { isWhole: false, scope: 'MASTER' })];
    const { kept, of } = judged([safety, newest, older, partial], by('AGE', { days: 7 }));
    expect(kept).toEqual([newest.id, partial.id]);
    expect(of(newest)).toMatchObject({ reason: 'LAST_GOOD', text: expect.stringMatching(/no good one is left/) });
    expect(judged([safety], by('AGE', { days: 7 })).kept).toEqual([safety.id]);
    expect(judged([newest, older, ago(60)], by('AGE', { days: 7 })).due).toEqual([newest.id, older.id]);
  });

  it('the last good one of each partial kind, and partial ones push no whole one out', () => {
    const whole = [ago(50), ago(51)];
    const partial = [ago(40, { isWhole: false, scope: 'MASTER' }), ago(41, { isWhole: false, scope: 'MASTER' })];
    expect(judged([...whole, ...partial], by('AGE', { days: 30 })).due).toEqual([whole[1]!.id, partial[1]!.id]);
    expect(judged([...whole, ...partial], by('COUNT', { count: 2 })).due).toEqual([]);
  });

  it('what by its date is yet to be taken, uncounted', () => {
    const backups = [backup('2025-07-01T00:00:00Z'), backup('2025-07-02T00:00:00Z'), ago(1), ago(2), ago(3)];
    const { due, of } = judged(backups, { ...by('COUNT', { count: 2 }), lastGoodId: backups[1]!.id });
    expect(due).toEqual([backups[4]!.id]);
    expect(of(backups[0]!).reason).toBe('FUTURE');
  });

  it('damaged ones push no good one out', () => {
    const backups = [ago(1, { isDamaged: true }), ago(2, { isDamaged: true }), ago(3), ago(4), ago(5, { isDamaged: true }), ago(6)];
    expect(judged(backups, by('COUNT', { count: 2 })).due).toEqual([backups[4]!.id, backups[5]!.id]);
    expect(judged(backups, by('GFS', { daily: 2 })).due).toEqual([backups[4]!.id, backups[5]!.id]);
  });
});

describe('whatever the backups and the rules are', () => {
  const cases = Array.from({ length: 400 }, (_, seed) => {
    const random = randomly(seed + 1);
    const backups = anyBackups(random);
    const over: Partial<RetentionFacts> = {
      policyRule: anyRule(random), manualRule: anyRule(random), timeZone: ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata'][seed % 4]!,
      schedules: [{ id: 's', rule: anyRule(random), labels: ['daily'] }, { id: 't', rule: null, labels: ['15-day'] }], inUse: new Set(backups.filter(() => random() < 0.05).map(({ id }) => id)),
    };
    return { seed, backups, over };
  });

  it('the newest good whole one stays, and nothing that is pinned, held, in use or undoable is due', () => {
    for (const { seed, backups, over } of cases) {
      const { due } = judged(backups, over);
      const newest = backups.filter((one) => one.isWhole && !one.isDamaged && one.trigger !== 'SAFETY' && one.trigger !== 'IMPORT' && one.at <= now).toSorted((a, b) => b.at.getTime() - a.at.getTime())[0];
      const wrong = backups.filter(({ id }) => due.includes(id)).filter((one) => one === newest || one.pinned || one.held || over.inUse!.has(one.id) || one.at > now || one.trigger === 'IMPORT' || (one.trigger === 'SAFETY' && one.expiresAt! > now));
      expect({ seed, wrong }).toEqual({ seed, wrong: [] });
    }
  });

  it('a second look, after what was due is gone, finds nothing due', () => {
    for (const { seed, backups, over } of cases) {
      const { due } = judged(backups, over);
      const left = backups.filter(({ id }) => !due.includes(id));
      expect({ seed, due: judged(left, over).due }).toEqual({ seed, due: [] });
    }
  });

  it('one more damaged backup makes no good one due', () => {
    for (const { seed, backups, over } of cases) {
      const before = judged(backups, over);
      const after = judged([...backups, ago(0.5, { isDamaged: true })], over);
      const lost = before.kept.filter((id) => after.due.includes(id) && backups.some((one) => one.id === id && !one.isDamaged));
      expect({ seed, lost }).toEqual({ seed, lost: [] });
    }
  });

  it('keeping more of any period makes nothing due that was kept', () => {
    for (const { seed, backups, over } of cases) {
      const tiers = { hourly: 0, daily: 2, weekly: 1, monthly: 1, yearly: 0 };
      const less = judged(backups, { ...over, policyRule: rule('GFS', tiers) });
      for (const tier of ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const) {
        const more = judged(backups, { ...over, policyRule: rule('GFS', { ...tiers, [tier]: tiers[tier] + 2 }) });
        expect({ seed, tier, lost: less.kept.filter((id) => more.due.includes(id)) }).toEqual({ seed, tier, lost: [] });
      }
    }
  });
});

describe('two years of fifty workspaces, a day at a time', () => {
  const rules = [rule('COUNT', { count: 7 }), rule('AGE', { days: 30 }), rule('GFS', { daily: 7, weekly: 5, monthly: 12, yearly: 2 }), rule('BY_FREQUENCY'), forever];
  const zones = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'UTC', 'Australia/Lord_Howe'];
  const keys = (zone: string) => {
    const format = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' });
    const known = new Map<number, string>();
    return (at: Date): string => {
      const day = known.get(at.getTime()) ?? format.format(at);
      known.set(at.getTime(), day);
      return day;
    };
  };

  it.each(rules.map((one) => [one.mode, one] as const))('%s keeps just what it says on every day', (mode, policyRule) => {
    for (let workspace = 0; workspace < 10; workspace += 1) {
      const random = randomly(workspace + 77);
      const timeZone = zones[workspace % zones.length]!;
      const dayOf = keys(timeZone);
      let stored: JudgedBackup[] = [];
      const all: JudgedBackup[] = [];
      const wrong: unknown[] = [];
      for (let day = 0; day < 730; day += 1) {
        const today = new Date(Date.UTC(2022, 0, 1, 3) + day * dayMs);
        // A fortnight without a good backup, now and then a day without any.
        const isOutage = day % 200 > 185;
        if (random() > 0.05) {
          const one = backup(new Date(today.getTime() - random() * 2 * hourMs), { pinned: random() < 0.01, isDamaged: isOutage || random() < 0.03 });
          stored.push(one);
          all.push(one);
        }
        const { due } = judged(stored, { policyRule, now: today, timeZone });
        stored = stored.filter(({ id }) => !due.includes(id));
        const good = all.filter(({ isDamaged }) => !isDamaged).toReversed();
        const has = (one: JudgedBackup | undefined): boolean => one === undefined || stored.includes(one);
        if (!has(good[0])) wrong.push({ day, last: good[0] });
        if (!all.filter(({ pinned }) => pinned).every(has)) wrong.push({ day, pinned: false });
        const plain = stored.filter(({ pinned, isDamaged }) => !pinned && !isDamaged).map(({ id }) => id);
        const wanted = new Set<string>();
        if (mode === 'COUNT') for (const { id } of good.slice(0, 7)) wanted.add(id);
        if (mode === 'AGE') for (const { id, at } of good) if (today.getTime() - at.getTime() < 30 * dayMs - 2 * hourMs) wanted.add(id);
        if (mode === 'BY_FREQUENCY') for (const { id } of good.slice(0, 30)) wanted.add(id);
        if (mode === 'GFS') {
          for (const [length, count] of [[10, 7], [7, 12], [4, 2]] as const) {
            const seen = new Map<string, string>();
            for (const { id, at } of good) if (!seen.has(dayOf(at).slice(0, length))) seen.set(dayOf(at).slice(0, length), id);
            for (const id of [...seen.values()].slice(0, count)) wanted.add(id);
          }
        }
        if (mode === 'FOREVER') for (const { id } of all) wanted.add(id);
        const pinnedIds = new Set(all.filter(({ pinned }) => pinned).map(({ id }) => id));
        const keptIds = new Set(stored.map(({ id }) => id));
        const missing = [...wanted].filter((id) => !pinnedIds.has(id) && !keptIds.has(id));
        // AGE: within two hours of the end both are right, because the clock may have changed. GFS: the last ones of five weeks. BY_FREQUENCY: 30 days. The last good one on top.
        const slack = 1 + (mode === 'COUNT' ? 0 : mode === 'GFS' ? 5 : 2);
        const surplus = plain.filter((id) => !wanted.has(id));
        if (missing.length > 0 || surplus.length > slack) wrong.push({ day, missing, surplus });
      }
      expect({ workspace, wrong }).toEqual({ workspace, wrong: [] });
    }
  });
});
