import { randomUUID } from 'node:crypto';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { RetentionClock, type ClockReading } from '../../src/retention/retention-clock.ts';
import { RetentionSweep } from '../../src/retention/retention-sweep.ts';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { storeFolder } from '../support/store-faults.ts';

const dayMs = 24 * 3_600_000;
const days = 730;
const first = Date.UTC(2022, 0, 1);

/** What retention takes for the time, in every process of the test. Real time passes beside it, and means nothing to retention. */
class FakeTime {
  nowMs = first;
  private monotonicMs = 0;

  install(app: TestApp, read: () => ClockReading = () => this.reading()): void {
    Object.assign(app.nest.get(RetentionClock, { strict: false }), { read: () => Promise.resolve(read()) });
  }

  reading(databaseJumpMs = 0, processJumpMs = databaseJumpMs): ClockReading {
    return { database: new Date(this.nowMs + databaseJumpMs), process: new Date(this.nowMs + processJumpMs), monotonicMs: this.monotonicMs };
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.monotonicMs += ms;
  }
}

interface Taken {
  readonly id: string;
  readonly line: string;
  readonly at: Date;
  readonly trigger: string;
  readonly scope: string;
  readonly good: boolean;
  pinned: boolean;
  held: boolean;
  readonly expiresAt: Date | null;
  readonly file: string;
}

let app: TestApp;
let admin: GraphqlClient;
const time = new FakeTime();
const apps: TestApp[] = [];

async function another(): Promise<TestApp> {
  const started = await startTestApp({ env: { HOLDFAST_ROLE: 'api', ...(apps[0] === undefined ? {} : { HOLDFAST_DATA_DIR: apps[0].config.dataDir }) }, ...(apps[0] === undefined ? {} : { databaseUrl: apps[0].config.databaseUrl }) });
  apps.push(started);
  time.install(started);
  return started;
}

beforeAll(async () => {
  // Processes that answer alone: nothing looks at the backups but the test.
  app = await another();
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  for (const one of apps) await one.stop();
});

const sql = <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(text, [...values]);
const look = (of: TestApp = app): Promise<void> => of.nest.get(RetentionSweep, { strict: false }).look();

/** A workspace's backups as the test knows them, whatever has become of them. */
class Workspace {
  readonly taken: Taken[] = [];
  private constructor(
    readonly id: string,
    private readonly operationId: string,
    readonly schedules: ReadonlyMap<string, string>,
  ) {}

  static async make(policy: object, rules: Readonly<Record<string, object>>): Promise<Workspace> {
    const tenant = await createTestTenant(admin);
    const id = parseGlobalId(tenant.id)!.uuid;
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, ...policy } });
    const schedules = new Map<string, string>();
    for (const [name, { cadence, retention, scope }] of Object.entries(rules) as [string, { cadence: string; retention: object; scope?: string }][]) {
      const { scheduleCreate } = await admin.run<{ scheduleCreate: { schedule: { id: string } } }>('mutation ($input: ScheduleCreateInput!) { scheduleCreate(input: $input) { schedule { id } userErrors { code message } } }', {
        input: { tenantId: tenant.id, name, cadence, retention, ...(scope === undefined ? {} : { scope }) },
      });
      schedules.set(name, parseGlobalId(scheduleCreate.schedule.id)!.uuid);
    }
    const [operation] = await sql<{ id: string }>(
      `insert into operation (id, tenant_id, kind, state, exclusive, input, deadline, finished_at, settled_at) values (gen_random_uuid(), $1, 'BACKUP', 'COMPLETED', true, '{}', now(), now(), now()) returning id`,
      [id],
    );
    return new Workspace(id, operation!.id, schedules);
  }

  /** A finished backup: its row as a backup leaves it, and a small file where its archive would lie. */
  async take(line: string, over: { readonly label?: string; readonly trigger?: string; readonly scope?: string; readonly state?: 'COMPLETED' | 'FAILED'; readonly ok?: boolean; readonly pinned?: boolean; readonly held?: boolean; readonly keptMs?: number } = {}): Promise<Taken> {
    // No two at the same moment: which of them is the last good one would be a matter of chance.
    time.pass(1000);
    const { label = 'daily', trigger = 'SCHEDULE', scope = 'ALL', state = 'COMPLETED', ok = true, pinned = false, held = false, keptMs } = over;
    const id = randomUUID();
    const storeKey = `${this.id}/db-backups/${line}_${id}.gz.enc`;
    const file = join(storeFolder(app), storeKey);
    const at = new Date(time.nowMs);
    const expiresAt = keptMs === undefined ? null : new Date(time.nowMs + keptMs);
    await sql(
      `insert into backup (id, tenant_id, operation_id, schedule_id, name, label, trigger, scope, collections, codec, state, store_key, file_name, encrypted, size_bytes, verification, pinned, held, expires_at, created_at, finished_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'GZIP', $10, $11, $11, true, 4, $12, $13, $14, $15, $16, $16)`,
      [id, this.id, this.operationId, this.schedules.get(line) ?? null, line, label, trigger, scope, scope === 'ALL' ? null : '["a"]', state, storeKey, { at: at.toISOString(), ok, code: null, message: '' }, pinned, held, expiresAt, at],
    );
    const taken = { id, line, at, trigger, scope, good: ok && state === 'COMPLETED', pinned, held, expiresAt, file };
    if (state === 'COMPLETED') {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, 'DBK1');
      this.taken.push(taken);
    }
    return taken;
  }

  async keep(taken: Taken, what: 'pinned' | 'held', value: boolean): Promise<void> {
    taken[what] = value;
    await sql(`update backup set ${what} = $2 where id = $1`, [taken.id, value]);
  }

  /** Ids of the rows that are still backups. */
  async left(): Promise<Set<string>> {
    const rows = await sql<{ id: string }>(`select id from backup where tenant_id = $1 and state = 'COMPLETED' and deleted_at is null`, [this.id]);
    return new Set(rows.map(({ id }) => id));
  }

  of(line: string): Taken[] {
    return this.taken.filter((one) => one.line === line);
  }

  lastGood(): Taken | undefined {
    return this.taken.findLast(({ good, scope, trigger }) => good && scope === 'ALL' && trigger !== 'SAFETY' && trigger !== 'IMPORT');
  }
}

const berlin = new Intl.DateTimeFormat('en-CA', { timeZone: 'Europe/Berlin', year: 'numeric', month: '2-digit', day: '2-digit' });
const localDays = new Map<number, string>();
function localDay({ at }: Taken): string {
  const day = localDays.get(at.getTime()) ?? berlin.format(at);
  localDays.set(at.getTime(), day);
  return day;
}

/** The Monday of its week. */
function localWeek(taken: Taken): string {
  const day = new Date(`${localDay(taken)}T00:00:00Z`);
  return new Date(day.getTime() - ((day.getUTCDay() + 6) % 7) * dayMs).toISOString().slice(0, 10);
}

const newest = (taken: readonly Taken[]): Taken[] => taken.filter(({ good }) => good).toReversed();

function lastOfPeriods(taken: readonly Taken[], count: number, periodOf: (one: Taken) => string): Taken[] {
  const seen = new Map<string, Taken>();
  for (const one of newest(taken)) if (!seen.has(periodOf(one))) seen.set(periodOf(one), one);
  return [...seen.values()].slice(0, count);
}

/** Formatting takes longer than everything else of a day's check. */
const offsets = new Map<number, number>();
function offset(at: number): number {
  const known = offsets.get(at) ?? new Date(new Date(at).toLocaleString('en-US', { timeZone: 'Europe/Berlin' })).getTime() - new Date(new Date(at).toLocaleString('en-US', { timeZone: 'UTC' })).getTime();
  offsets.set(at, known);
  return known;
}

/** Not older than so many days on the clock of Berlin, to the minute. */
function younger(taken: readonly Taken[], count: number): Taken[] {
  return taken.filter(({ at }) => {
    const naive = at.getTime() + count * dayMs;
    return naive + offset(at.getTime()) - offset(naive) > time.nowMs;
  });
}

type Wanted = (workspace: Workspace) => readonly (Taken | undefined)[];

/** Asserts that what is left is just what has to be, of what is good, row by row; and that the last good one is there with its file. */
async function check(workspace: Workspace, wanted: Wanted, day: number): Promise<void> {
  const left = await workspace.left();
  const right = new Set([...wanted(workspace), ...workspace.taken.filter(({ pinned, held }) => pinned || held), workspace.lastGood()].flatMap((one) => (one === undefined ? [] : [one.id])));
  const wrong = workspace.taken.filter(({ id, good }) => (good ? left.has(id) !== right.has(id) : right.has(id) && !left.has(id)));
  expect({ day, wrong: wrong.map(({ id, line, at }) => `${line} ${at.toISOString()} ${left.has(id) ? 'is still there' : 'is gone'}`) }).toEqual({ day, wrong: [] });
  const last = workspace.lastGood();
  if (last !== undefined) await access(last.file);
}

async function openAlerts(): Promise<string[]> {
  const rows = await sql<{ event: string; subject: string }>(`select event, subject from alert where resolved_at is null and event in ('RETENTION_REFUSED', 'LAST_GOOD_KEPT') order by 1, 2`);
  return rows.map(({ event, subject }) => `${event} ${subject}`);
}

const count5 = { cadence: 'DAILY_AT', retention: { mode: 'COUNT', count: 5 } };
const age20 = { cadence: 'DAILY_AT', retention: { mode: 'AGE', days: 20 } };
const gfs = { cadence: 'DAILY_AT', retention: { mode: 'GFS', daily: 7, weekly: 5, monthly: 12, yearly: 2 } };
const byFrequency = { cadence: 'EVERY_15_DAYS', retention: { mode: 'BY_FREQUENCY' } };
const forever = { cadence: 'WEEKLY', retention: { mode: 'FOREVER' } };

const wantedOfBusy: Wanted = (workspace) => [
  ...newest(workspace.of('count')).slice(0, 5),
  ...younger(workspace.of('age'), 20),
  ...[[7, localDay], [5, localWeek], [12, (one: Taken) => localDay(one).slice(0, 7)], [2, (one: Taken) => localDay(one).slice(0, 4)]].flatMap(([count, periodOf]) => lastOfPeriods(workspace.of('gfs'), count as number, periodOf as (one: Taken) => string)),
  ...newest(workspace.of('frequency')).slice(0, 12), ...younger(workspace.of('frequency'), 180),
  ...workspace.of('forever'),
  ...newest(workspace.of('manual')).slice(0, 3),
  ...workspace.of('import'),
];

const wantedOfTroubled: Wanted = (workspace) => [
  ...younger(workspace.of('age'), 20),
  newest(workspace.of('partial'))[0], ...younger(workspace.of('partial'), 9),
  ...workspace.of('safety').filter(({ expiresAt }) => expiresAt!.getTime() > time.nowMs),
];

describe('two years of retention', () => {
  it('keep on every day just what the rules say, what is pinned and held, and the last good one', async () => {
    await sql('update retention_clock set last_seen_at = null');
    const busy = await Workspace.make({ manualRetention: { mode: 'COUNT', count: 3 } }, { count: count5, age: age20, gfs, frequency: byFrequency, forever });
    const troubled = await Workspace.make({}, { age: age20, partial: { cadence: 'DAILY_AT', retention: { mode: 'AGE', days: 9 }, scope: 'MASTER' } });
    let lonelyDays = 0;
    for (let day = 0; day < days; day += 1) {
      // Late in the evening of UTC: the day of Berlin is the next one for half of the year.
      time.pass(first + day * dayMs + 22.5 * 3_600_000 - time.nowMs);
      if (day % 3 === 0) await busy.take('count', { ok: day % 23 !== 5, pinned: day === 51 });
      await busy.take('age', { held: day === 100 });
      if (day % 2 === 0) await busy.take('gfs', { ok: day % 31 !== 8 });
      if (day % 15 === 0) await busy.take('frequency', { label: '15-day' });
      if (day % 7 === 0) await busy.take('forever', { label: 'weekly' });
      if (day % 30 === 3) await busy.take('manual', { label: 'manual', trigger: 'MANUAL' });
      if (day % 200 === 9) await busy.take('import', { label: 'imported', trigger: 'IMPORT' });
      // Two months without a good one, twice.
      const fails = day % 300 > 240;
      if (day % 3 === 0) await troubled.take('age', fails ? (day % 6 === 0 ? { state: 'FAILED' } : { ok: false }) : {});
      if (day % 6 === 0) await troubled.take('partial', { scope: 'MASTER' });
      if (day % 10 === 0) await troubled.take('safety', { label: 'safety', trigger: 'SAFETY', keptMs: 7 * dayMs });
      if (day === 400) await busy.keep(busy.of('count')[17]!, 'pinned', false);
      if (day === 500) await busy.keep(busy.of('age')[100]!, 'held', false);
      time.pass(1_800_000);
      await look();
      await check(busy, wantedOfBusy, day);
      await check(troubled, wantedOfTroubled, day);
      const isLonely = younger(troubled.of('age'), 20).filter(({ good }) => good).length === 0;
      lonelyDays += isLonely ? 1 : 0;
      expect({ day, alerts: await openAlerts() }).toEqual({ day, alerts: isLonely ? ['LAST_GOOD_KEPT last-good'] : [] });
    }
    expect(lonelyDays).toBeGreaterThan(60);
    // Told once each time, not once a day.
    expect(await sql(`select 1 from alert where event = 'LAST_GOOD_KEPT'`)).toHaveLength(2);
    const files = await Promise.all(busy.taken.map(({ file }) => access(file).then(() => 1, () => 0)));
    expect(files.reduce<number>((sum, n) => sum + n, 0)).toBe((await busy.left()).size);
    expect(await sql(`select 1 from backup where tenant_id = $1 and deleted_at is not null and state <> 'DELETED'`, [busy.id])).toEqual([]);

    await jumps(busy, troubled);
  }, 600_000);
});

/** After the two years: a clock that is wrong, in every way that one can be. */
async function jumps(busy: Workspace, troubled: Workspace): Promise<void> {
  const before = [await busy.left(), await troubled.left()];
  const unchanged = async (): Promise<void> => expect([await busy.left(), await troubled.left()]).toEqual(before);
  const alert = async (): Promise<string> => (await sql<{ text: string }>(`select text from alert where event = 'RETENTION_REFUSED' and subject = 'clock' and resolved_at is null`)).map(({ text }) => text).join();
  const held = async (): Promise<Date | null> => (await sql<{ held_until: Date | null }>('select held_until from retention_clock'))[0]!.held_until;

  // The database's clock jumps by a year under the eyes of a process, with the process's own or without.
  const year = 365 * dayMs;
  for (const own of [year, 0]) {
    time.install(app, () => time.reading(year, own));
    await look();
    await unchanged();
    expect(await alert()).toMatch(/went forward by 365 days/);
    // It is set right again: nothing goes, and the hold that was counted from next year is counted anew.
    time.install(app);
    await look();
    await unchanged();
    expect(await alert()).toMatch(/went back/);
    expect((await held())!.getTime() - time.nowMs).toBe(dayMs);
    time.pass(dayMs + 1000);
    await look();
    expect([await held(), await openAlerts()]).toEqual([null, []]);
    before.splice(0, 2, await busy.left(), await troubled.left());
  }

  // The server was off, and came back a year later by its clock.
  const restarted = await another();
  time.install(restarted, () => time.reading(year));
  await look(restarted);
  await unchanged();
  expect(await alert()).toMatch(/Nobody has looked for 365 days/);
  // It is a year later, then: after a day the clock is believed. What has become due at once is held back all the same.
  time.pass(dayMs + 1000);
  await look(restarted);
  await unchanged();
  expect(await alert()).toBe('');
  expect(await openAlerts()).toEqual(expect.arrayContaining(['LAST_GOOD_KEPT last-good', 'RETENTION_REFUSED many', 'RETENTION_REFUSED many']));
  await look(restarted);
  // Three days later it goes, bit by bit, and what has to stay stays.
  for (let day = 0; day < 6; day += 1) {
    time.pass(dayMs);
    await look(restarted);
  }
  expect((await busy.left()).size).toBeLessThan(before[0]!.size);
  for (const workspace of [busy, troubled]) {
    const left = await workspace.left();
    expect(left.has(workspace.lastGood()!.id)).toBe(true);
    await access(workspace.lastGood()!.file);
  }
  const kept = await busy.left();
  for (const one of [...busy.of('forever'), ...busy.of('import'), ...newest(busy.of('count')).slice(0, 5), ...newest(busy.of('frequency')).slice(0, 12)]) expect(kept.has(one.id)).toBe(true);

  // An operator who says that the time is right need not wait.
  time.install(restarted, () => time.reading(2 * year));
  await look(restarted);
  expect(await held()).not.toBeNull();
  const { retentionConfirm } = await admin.run<{ retentionConfirm: { confirmed: boolean } }>('mutation { retentionConfirm(input: {}) { confirmed userErrors { code } } }');
  expect(retentionConfirm.confirmed).toBe(true);
  expect(await held()).toBeNull();
}
