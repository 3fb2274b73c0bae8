import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { ScheduleTicks } from '../../src/schedules/schedule-ticks.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, seedShop, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let second: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  second = await startTestApp({ databaseUrl: app.config.databaseUrl, env: { HOLDFAST_DATA_DIR: app.config.dataDir } });
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await second?.stop();
  await app?.stop();
});

interface ScheduleAnswer {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  readonly cadence: string;
  readonly atTime: string | null;
  readonly timeZone: string;
  readonly label: string;
  readonly nextRuns: readonly string[];
  readonly retention: { readonly mode: string; readonly days: number | null };
  readonly bump: { readonly cadence: string } | null;
}

const fields = 'id name active cadence atTime timeZone label nextRuns retention { mode days } bump { cadence }';

async function call(client: GraphqlClient, name: string, input: Readonly<Record<string, unknown>>): Promise<{ readonly schedule: ScheduleAnswer | null; readonly userErrors: readonly UserErrorAnswer[] }> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const answer = await client.run<Record<string, { schedule: ScheduleAnswer | null; userErrors: UserErrorAnswer[] }>>(
    `mutation ($input: ${type}!) { ${name}(input: $input) { schedule { ${fields} } userErrors { code message field hint } } }`,
    { input },
  );
  return answer[name]!;
}

async function create(tenant: TestTenant, input: Readonly<Record<string, unknown>> = {}): Promise<ScheduleAnswer> {
  const { schedule, userErrors } = await call(admin, 'scheduleCreate', { tenantId: tenant.id, name: 'Nightly', cadence: 'EVERY_15_DAYS', ...input });
  if (schedule === null) throw new Error(JSON.stringify(userErrors));
  return schedule;
}

async function shop(): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 10));
  return tenant;
}

const query = (sql: string, values: readonly unknown[]): Promise<unknown> => app.nest.get(DataSource).query(sql, [...values]);
const makeDue = (name: string, ago = '1 minute'): Promise<unknown> => query(`update schedule set next_run_at = now() - $2::interval, due_at = now() - $2::interval where name = $1`, [name, ago]);
const ticks = (of: TestApp) => of.nest.get(ScheduleTicks, { strict: false });
const tickBoth = async (): Promise<void> => void (await Promise.all([ticks(app).tick(), ticks(second).tick(), ticks(app).tick(), ticks(second).tick()]));

async function backupsOf(tenant: TestTenant): Promise<{ id: string; label: string; trigger: string; state: string; createdBy: { name: string } }[]> {
  const answer = await admin.run<{ tenant: { backups: { edges: { node: { id: string; label: string; trigger: string; state: string; createdBy: { name: string } } }[] } } }>(
    'query ($id: ID!) { tenant(id: $id) { backups { edges { node { id label trigger state createdBy { name } } } } } }',
    { id: tenant.id },
  );
  return answer.tenant.backups.edges.map(({ node }) => node);
}

/** Until the workspace's newest operation has ended. */
async function settled(tenant: TestTenant): Promise<void> {
  const { tenant: shown } = await admin.run<{ tenant: { operations: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(first: 1) { edges { node { id } } } } }', { id: tenant.id });
  const [newest] = shown.operations.edges;
  if (newest !== undefined) await ended(admin, newest.node.id);
}

describe('a schedule', () => {
  it('shows its next runs on the clock of its zone, and is changed, switched off after a confirmation, and deleted', async () => {
    const tenant = await createTestTenant(admin);
    const made = await create(tenant, { cadence: 'DAILY_AT', atTime: '03:15', timeZone: 'Asia/Kolkata', retention: { mode: 'AGE', days: 30 } });
    expect(made).toMatchObject({ active: true, label: 'daily', atTime: '03:15', retention: { mode: 'AGE', days: 30 } });
    expect(made.nextRuns.map((at) => new Date(at).toISOString().slice(11, 16))).toEqual(Array.from({ length: 5 }, () => '21:45'));
    const { tenant: shown } = await admin.run<{ tenant: { nextRunAt: string } }>('query ($id: ID!) { tenant(id: $id) { nextRunAt } }', { id: tenant.id });
    expect(shown.nextRunAt).toBe(made.nextRuns[0]);
    expect((await call(admin, 'scheduleUpdate', { scheduleId: made.id, cadence: 'EVERY_8H' })).schedule).toMatchObject({ cadence: 'EVERY_8H', label: '8-hour' });
    expect(await call(admin, 'scheduleSetActive', { scheduleId: made.id, active: false })).toMatchObject({ schedule: null, userErrors: [{ code: 'CONFIRMATION_MISSING', message: expect.stringContaining('No further automatic backups') }] });
    expect((await call(admin, 'scheduleSetActive', { scheduleId: made.id, active: false, confirm: true })).schedule).toMatchObject({ active: false, nextRuns: [] });
    expect((await call(admin, 'scheduleSetActive', { scheduleId: made.id, active: true })).schedule?.nextRuns).toHaveLength(5);
    expect((await call(admin, 'scheduleDelete', { scheduleId: made.id })).userErrors).toEqual([]);
    await expect(admin.run('query ($id: ID!) { schedule(id: $id) { id } }', { id: made.id })).rejects.toThrow('no such schedule');
  });

  it('runs once however many processes tick, and its label stays on the backup', async () => {
    const tenant = await shop();
    const name = `once-${tenant.slug}`;
    const schedule = await create(tenant, { name, cadence: 'EVERY_3_DAYS' });
    await makeDue(name);
    await tickBoth();
    await settled(tenant);
    expect(await backupsOf(tenant)).toEqual([expect.objectContaining({ label: '3-day', trigger: 'SCHEDULE', state: 'COMPLETED', createdBy: { name } })]);
    await call(admin, 'scheduleUpdate', { scheduleId: schedule.id, cadence: 'WEEKLY' });
    await tickBoth();
    expect((await backupsOf(tenant)).map(({ label }) => label)).toEqual(['3-day']);
  });

  it.each([
    ['RUN_ONCE', 1],
    ['SKIP', 0],
  ])('that was missed for weeks is made up for as the policy says: %s', async (catchUp, count) => {
    const tenant = await shop();
    const name = `late-${tenant.slug}`;
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, catchUp } });
    await create(tenant, { name, cadence: 'EVERY_8H' });
    await makeDue(name, '40 days');
    await tickBoth();
    await tickBoth();
    await settled(tenant);
    expect(await backupsOf(tenant)).toHaveLength(count);
  });

  it('waits while the workspace is busy, and while it is suspended', async () => {
    const tenant = await shop();
    const name = `busy-${tenant.slug}`;
    await create(tenant, { name });
    const gate = Promise.withResolvers<void>();
    const offs = [app, second].map((one) => one.at('backup.prelude', () => gate.promise));
    const running = idOf(await backupCreate(admin, tenant.id));
    await makeDue(name);
    await tickBoth();
    for (const off of offs) off();
    gate.resolve();
    await ended(admin, running);
    expect(await backupsOf(tenant)).toHaveLength(1);
    const suspend = (what: string): Promise<unknown> => admin.run(`mutation ($input: Tenant${what}Input!) { tenant${what}(input: $input) { userErrors { code } } }`, { input: { tenantId: tenant.id } });
    await suspend('Suspend');
    await query('update schedule set due_at = now() where name = $1', [name]);
    await tickBoth();
    expect(await backupsOf(tenant)).toHaveLength(1);
    await suspend('Resume');
    await tickBoth();
    await settled(tenant);
    expect((await backupsOf(tenant)).map(({ trigger }) => trigger).sort()).toEqual(['MANUAL', 'SCHEDULE']);
  });

  it('with a bump runs more often until its end, and then falls back by itself', async () => {
    const tenant = await createTestTenant(admin);
    const { id } = await create(tenant, { cadence: 'EVERY_15_DAYS', atTime: '01:00' });
    const until = new Date(Date.now() + 3 * 86_400_000).toISOString();
    const bumped = (await call(admin, 'scheduleUpdate', { scheduleId: id, bump: { cadence: 'EVERY_24H', until } })).schedule!;
    expect(bumped).toMatchObject({ cadence: 'EVERY_15_DAYS', label: '24-hour', bump: { cadence: 'EVERY_24H' } });
    const gaps = bumped.nextRuns.slice(1).map((at, index) => (Date.parse(at) - Date.parse(bumped.nextRuns[index]!)) / 86_400_000);
    expect([Math.min(...gaps), Math.max(...gaps)]).toEqual([1, expect.any(Number)]);
    expect(Math.max(...gaps)).toBeGreaterThan(10);
    await query(`update schedule set bump = jsonb_set(bump, '{until}', to_jsonb((now() - interval '1 second')::text)) where tenant_id = (select id from tenant where slug = $1)`, [tenant.slug]);
    const { schedule } = await admin.run<{ schedule: ScheduleAnswer }>(`query ($id: ID!) { schedule(id: $id) { ${fields} } }`, { id });
    expect(schedule).toMatchObject({ label: '15-day', bump: null });
  });

  it('that cannot be run at all keeps no other one from running, and is told of when it has waited for two hours', async () => {
    const [broken, healthy] = [await shop(), await shop()];
    const [first, later] = [`broken-${broken.slug}`, `healthy-${healthy.slug}`];
    await create(broken, { name: first, cadence: 'EVERY_24H' });
    await create(healthy, { name: later });
    // As a server leaves it whose table of time zones has lost one.
    await query(`update schedule set time_zone = 'Nowhere/Nothing', cadence = 'DAILY_AT' where name = $1`, [first]);
    await makeDue(first, '3 hours');
    await makeDue(later);
    await tickBoth();
    await settled(healthy);
    expect(await backupsOf(healthy)).toMatchObject([{ state: 'COMPLETED' }]);
    expect(await backupsOf(broken)).toEqual([]);
    const { tenant: told } = await admin.run<{ tenant: { alerts: { edges: { node: { event: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { alerts { edges { node { event } } } } }', { id: broken.id });
    expect(told.alerts.edges.map(({ node }) => node.event)).toEqual(['BACKUP_MISSED']);
    await query('delete from schedule where name = $1', [first]);
  });

  it('is not forgotten for years after a clock was set far forward and back', async () => {
    const tenant = await shop();
    const names = ['hours', 'days', 'months', 'yearly'].map((one) => `${one}-${tenant.slug}`);
    const cadences = [{ cadence: 'EVERY_8H' }, { cadence: 'DAILY_AT' }, { cadence: 'MONTHLY' }, { cadence: 'CRON', cron: '0 3 29 2 *' }];
    const before = await Promise.all(cadences.map((input, index) => create(tenant, { name: names[index], ...input })));
    const rows = (): Promise<{ next: Date; due: Date }[]> => query('select next_run_at as next, due_at as due from schedule where name = any($1) order by array_position($1, name)', [names]) as Promise<{ next: Date; due: Date }[]>;
    const right = await rows();
    await query(`update schedule set next_run_at = next_run_at + interval '3 years', due_at = due_at + interval '3 years' where name = any($1) and cadence <> 'CRON'`, [names]);
    Object.assign(ticks(app), { bringBackAtMs: 0 });
    await ticks(app).tick();
    expect(await rows()).toEqual(right);
    expect(right.map(({ next }) => next.toISOString())).toEqual(before.map(({ nextRuns }) => nextRuns[0]));
  });

  it('can be run at once, beside its times', async () => {
    const tenant = await shop();
    const { id, nextRuns } = await create(tenant, { cadence: 'MONTHLY' });
    const { scheduleRunNow } = await admin.run<{ scheduleRunNow: { operation: { id: string }; backup: { label: string } } }>('mutation ($input: ScheduleRunNowInput!) { scheduleRunNow(input: $input) { operation { id } backup { label } } }', { input: { scheduleId: id } });
    expect(scheduleRunNow.backup.label).toBe('monthly');
    expect((await ended(admin, scheduleRunNow.operation.id)).state).toBe('COMPLETED');
    expect((await admin.run<{ schedule: ScheduleAnswer }>(`query ($id: ID!) { schedule(id: $id) { ${fields} } }`, { id })).schedule.nextRuns[0]).toBe(nextRuns[0]);
  });

  it('whose backup is not there two hours after its time is told to people, once', async () => {
    const tenant = await shop();
    const name = `missed-${tenant.slug}`;
    await create(tenant, { name });
    await query(`update schedule set last_due_at = now() - interval '3 hours' where name = $1`, [name]);
    await tickBoth();
    await tickBoth();
    const { tenant: told } = await admin.run<{ tenant: { alerts: { edges: { node: { event: string; text: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { alerts { edges { node { event text } } } } }', { id: tenant.id });
    expect(told.alerts.edges.map(({ node }) => node)).toEqual([{ event: 'BACKUP_MISSED', text: expect.stringContaining(name) }]);
  });

  it('is refused where it cannot be', async () => {
    const tenant = await createTestTenant(admin);
    const input = { tenantId: tenant.id, name: 'x' };
    await expect(call(admin, 'scheduleCreate', { ...input, cadence: 'CRON', cron: '61 * * * *' })).rejects.toThrow('cron: cannot be read');
    await expect(call(admin, 'scheduleCreate', { ...input, cadence: 'CRON' })).rejects.toThrow('cron: is needed');
    await expect(call(admin, 'scheduleCreate', { ...input, cadence: 'DAILY_AT', atTime: '25:00' })).rejects.toThrow('atTime');
    await expect(call(admin, 'scheduleCreate', { ...input, cadence: 'DAILY_AT', timeZone: 'Mars/Base' })).rejects.toThrow('timeZone');
    await expect(call(admin, 'scheduleCreate', { ...input, cadence: 'DAILY_AT', retention: { mode: 'AGE' } })).rejects.toThrow('retention.days');
  });
});

describe('a workspace whose schedule the provider assigns', () => {
  it('has one every 15 days at 01:00, may only ask for another, and has no daily one in production', async () => {
    const tenant = await createTestTenant(admin);
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code message } } }', { input: { tenantId: tenant.id, preset: 'MANAGED' } });
    const { tenant: shown } = await owner.run<{ tenant: { schedules: { edges: { node: ScheduleAnswer }[] } } }>(`query ($id: ID!) { tenant(id: $id) { schedules { edges { node { ${fields} } } } } }`, { id: tenant.id });
    const [assigned] = shown.schedules.edges.map(({ node }) => node);
    expect(assigned).toMatchObject({ cadence: 'EVERY_15_DAYS', label: '15-day', atTime: '01:00', timeZone: 'Europe/Berlin', active: true });
    for (const refused of [
      call(owner, 'scheduleCreate', { tenantId: tenant.id, name: 'Mine', cadence: 'EVERY_24H' }),
      call(owner, 'scheduleUpdate', { scheduleId: assigned!.id, cadence: 'EVERY_24H' }),
      call(owner, 'scheduleDelete', { scheduleId: assigned!.id }),
    ]) expect(await refused).toMatchObject({ schedule: null, userErrors: [{ code: 'POLICY_FORBIDS' }] });
    const { scheduleRequestChange } = await owner.run<{ scheduleRequestChange: { userErrors: unknown[] } }>('mutation ($input: ScheduleRequestChangeInput!) { scheduleRequestChange(input: $input) { tenant { id } userErrors { code } } }', {
      input: { tenantId: tenant.id, cadence: 'EVERY_24H', reason: 'Year-end' },
    });
    expect(scheduleRequestChange.userErrors).toEqual([]);
    expect((await call(admin, 'scheduleUpdate', { scheduleId: assigned!.id, cadence: 'DAILY_AT' })).schedule?.label).toBe('daily');
    await query(`update tenant set environment = 'PRODUCTION' where slug = $1`, [tenant.slug]);
    expect(await call(admin, 'scheduleUpdate', { scheduleId: assigned!.id, cadence: 'DAILY_AT' })).toMatchObject({ userErrors: [{ code: 'POLICY_FORBIDS', field: ['cadence'] }] });
  });
});

describe('a cron key', () => {
  const post = (slug: string, key: string | null): Promise<Response> => fetch(`${app.url}/cron/${slug}`, { method: 'POST', ...(key === null ? {} : { headers: { authorization: `Bearer ${key}` } }) });
  const rotate = async (tenant: TestTenant): Promise<string> =>
    (await admin.run<{ cronKeyRotate: { cronKey: string } }>('mutation ($input: CronKeyRotateInput!) { cronKeyRotate(input: $input) { cronKey } }', { input: { tenantId: tenant.id } })).cronKeyRotate.cronKey;

  it('starts a backup, is shown masked, and ends with the next one', async () => {
    const tenant = await shop();
    const key = await rotate(tenant);
    const { tenant: shown } = await admin.run<{ tenant: { cronKey: { masked: string } } }>('query ($id: ID!) { tenant(id: $id) { cronKey { masked } } }', { id: tenant.id });
    expect(shown.cronKey.masked).toBe(`hfc_…${key.slice(-4)}`);
    const response = await post(tenant.slug, key);
    expect(response.status).toBe(202);
    const { operation } = (await response.json()) as { operation: string };
    expect((await ended(admin, operation)).state).toBe('COMPLETED');
    expect(await backupsOf(tenant)).toMatchObject([{ label: 'cron', trigger: 'CRON', state: 'COMPLETED' }]);
    const next = await rotate(tenant);
    expect((await post(tenant.slug, key)).status).toBe(401);
    const again = await post(tenant.slug, next);
    expect(again.status).toBe(202);
    await ended(admin, ((await again.json()) as { operation: string }).operation);
  });

  it('is answered 409 while an operation runs', async () => {
    const tenant = await shop();
    const key = await rotate(tenant);
    const gate = Promise.withResolvers<void>();
    const offs = [app, second].map((one) => one.at('backup.prelude', () => gate.promise));
    const running = idOf(await backupCreate(admin, tenant.id));
    expect((await post(tenant.slug, key)).status).toBe(409);
    for (const off of offs) off();
    gate.resolve();
    await ended(admin, running);
  });

  it('that is wrong, missing, or for a workspace that is not there is answered alike, and not for ever', async () => {
    const tenant = await shop();
    const other = await shop();
    const key = await rotate(other);
    await takeBackup(admin, tenant.id);
    const answers = [await post(tenant.slug, null), await post(tenant.slug, key), await post('no-such-workspace', key)];
    expect(new Set(await Promise.all(answers.map(async (answer) => `${answer.status} ${await answer.text()}`))).size).toBe(1);
    expect(answers[0]?.status).toBe(401);
    for (let count = 0; count < 10; count++) await post(tenant.slug, 'wrong');
    expect((await post(tenant.slug, 'wrong')).status).toBe(429);
    expect((await post(other.slug, key)).status).toBe(202);
    await settled(other);
  });
});
