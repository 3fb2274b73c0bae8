import { access, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { BackupDeletion } from '../../src/backups/backup-deletion.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { RetentionSweep } from '../../src/retention/retention-sweep.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, makePlan, readBackup, restore, restoreUndo, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { faultsOf, storeFolder } from '../support/store-faults.ts';

let app: TestApp;
let second: TestApp;
let admin: GraphqlClient;
let faults: ReturnType<typeof faultsOf>;

beforeAll(async () => {
  app = await startTestApp();
  second = await startTestApp({ databaseUrl: app.config.databaseUrl, env: { HOLDFAST_DATA_DIR: app.config.dataDir, HOLDFAST_ROLE: 'api' } });
  admin = await app.loginAsAdmin();
  faults = faultsOf(app);
});

afterEach(() => {
  for (const name of Object.keys(faults) as (keyof typeof faults)[]) delete faults[name];
});

afterAll(async () => {
  await second?.stop();
  await app?.stop();
});

const sql = <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(text, [...values]);
const uuid = (globalId: string): string => parseGlobalId(globalId)!.uuid;

/** The run of the next hour. */
async function run(of: TestApp = app): Promise<void> {
  await sql("update retention_state set next_at = now() - interval '1 second'");
  await of.nest.get(RetentionSweep, { strict: false }).look();
}

async function shop(policy: Readonly<Record<string, unknown>>): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 5));
  await change(tenant, policy);
  return tenant;
}

async function change(tenant: TestTenant, policy: Readonly<Record<string, unknown>>): Promise<void> {
  const { tenantPolicyUpdate } = await admin.run<{ tenantPolicyUpdate: { userErrors: unknown[] } }>('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code message } } }', {
    input: { tenantId: tenant.id, ...policy },
  });
  expect(tenantPolicyUpdate.userErrors).toEqual([]);
}

interface Retention {
  readonly due: boolean;
  readonly reason: string;
  readonly text: string;
  readonly keptUntil: string | null;
}

async function retentionOf(id: string): Promise<{ readonly state: string; readonly expiresAt: string | null; readonly retention: Retention | null }> {
  const { backup } = await admin.run<{ backup: { state: string; expiresAt: string | null; retention: Retention | null } }>('query ($id: ID!) { backup(id: $id) { state expiresAt retention { due reason text keptUntil } } }', { id });
  return backup;
}

const states = async (backups: readonly BackupAnswer[]): Promise<string[]> => Promise.all(backups.map(async ({ id }) => (await readBackup(admin, id)).state));

async function alertsOf(tenant: TestTenant): Promise<{ event: string; resolvedAt: string | null }[]> {
  const answer = await admin.run<{ tenant: { alerts: { edges: { node: { event: string; resolvedAt: string | null } }[] } } }>('query ($id: ID!) { tenant(id: $id) { alerts { edges { node { event resolvedAt } } } } }', { id: tenant.id });
  return answer.tenant.alerts.edges.map(({ node }) => node).filter(({ event }) => event.startsWith('RETENTION') || event.startsWith('LAST_GOOD'));
}

/** Copies the newest backup's row, `count` times and a day apart, without files. */
async function copyRows(tenant: TestTenant, count: number): Promise<void> {
  await sql(
    `insert into backup (id, tenant_id, operation_id, name, label, trigger, scope, codec, state, encrypted, contents, size_bytes, verification, created_at, finished_at)
     select gen_random_uuid(), tenant_id, operation_id, 'Copy', label, trigger, scope, codec, state, encrypted, contents, 1000, verification, created_at - n * interval '1 day', finished_at - n * interval '1 day'
     from (select * from backup where tenant_id = $1 order by created_at desc limit 1) newest, generate_series(1, $2) n`,
    [uuid(tenant.id), count],
  );
}

interface Preview {
  readonly keptCount: number;
  readonly dueCount: number;
  readonly dueBytes: string;
  readonly heldBack: boolean;
  readonly backups: { readonly totalCount: number; readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }; readonly edges: readonly { readonly node: { readonly backup: { readonly id: string }; readonly retention: Retention } }[] };
}

async function preview(client: GraphqlClient, input: Readonly<Record<string, unknown>>, page: { readonly first?: number; readonly after?: string | null; readonly due?: boolean } = {}): Promise<Preview> {
  const answer = await client.run<{ retentionPreview: Preview }>(
    `query ($input: RetentionPreviewInput!, $first: Int, $after: String, $due: Boolean) { retentionPreview(input: $input) { keptCount dueCount dueBytes heldBack
       backups(first: $first, after: $after, due: $due) { totalCount pageInfo { hasNextPage endCursor } edges { node { backup { id } retention { due reason text keptUntil } } } } } }`,
    { input, ...page },
  );
  return answer.retentionPreview;
}

async function confirm(tenant: TestTenant): Promise<boolean> {
  const { retentionConfirm } = await admin.run<{ retentionConfirm: { confirmed: boolean } }>('mutation ($input: RetentionConfirmInput!) { retentionConfirm(input: $input) { confirmed userErrors { code } } }', { input: { tenantId: tenant.id } });
  return retentionConfirm.confirmed;
}

describe('what its rule lets go', () => {
  it('is deleted for good, and the row, the history and the audit log say by what', async () => {
    const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 1 } });
    const [oldest, older, last] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    const [stored] = await sql<{ store_key: string }>('select store_key from backup where id = $1', [uuid(oldest.id)]);
    expect(await retentionOf(oldest.id)).toMatchObject({ state: 'COMPLETED', retention: { due: true, reason: 'COUNT', text: 'A newer one is kept' } });
    expect(await retentionOf(last.id)).toMatchObject({ retention: { due: false, reason: 'COUNT', keptUntil: null } });
    await Promise.all([run(app), run(second), run(app)]);
    await run();
    expect(await states([oldest, older, last])).toEqual(['DELETED', 'DELETED', 'COMPLETED']);
    expect((await retentionOf(oldest.id)).retention).toBeNull();
    await expect(access(join(storeFolder(app), stored!.store_key))).rejects.toThrow('ENOENT');
    const { tenant: told } = await admin.run<{ tenant: { history: { edges: { node: { kind: string; state: string; user: { name: string }; backupId: string } }[] }; auditEvents: { edges: { node: { actor: { kind: string }; subject: { id: string } | null; detail: string } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { history(filter: {kinds: [DELETE]}) { edges { node { kind state user { name } backupId } } } auditEvents(filter: {action: "backup.deleted"}) { totalCount edges { node { actor { name } outcome } } } } }',
      { id: tenant.id },
    );
    expect(told.history.edges.map(({ node }) => [node.state, node.user.name, node.backupId])).toEqual([['COMPLETED', 'Retention', older.id], ['COMPLETED', 'Retention', oldest.id]]);
    expect(told.auditEvents.edges).toHaveLength(2);
    const details = await sql<{ detail: { reason: string; because: string } }>(`select detail from audit_event where action = 'backup.deleted' and tenant_id = $1`, [uuid(tenant.id)]);
    expect(details.map(({ detail }) => detail.reason)).toEqual(['COUNT', 'COUNT']);
  });

  it('stays while the store does not let it go, and is not usable; it goes when the store does', async () => {
    const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 1 } });
    const backups = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    faults.keepsDeleted = true;
    await run();
    // One was begun; nothing more as long as that has not come to its end.
    expect((await Promise.all(backups.map(({ id }) => readBackup(admin, id)))).map(({ state, usable }) => [state, usable])).toEqual([['COMPLETED', false], ['COMPLETED', true], ['COMPLETED', true]]);
    delete faults.keepsDeleted;
    await sql(`update backup set deleted_at = now() - interval '2 minutes' where id = $1`, [uuid(backups[0]!.id)]);
    await app.nest.get(BackupDeletion, { strict: false }).tick();
    await run();
    expect(await states(backups)).toEqual(['DELETED', 'DELETED', 'COMPLETED']);
  });

  it('is nothing where the file of the last good backup is gone: what its row says may be all that is left of it', async () => {
    const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 1 } });
    const backups = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    const [last] = await sql<{ store_key: string }>('select store_key from backup where id = $1', [uuid(backups[1]!.id)]);
    const path = join(storeFolder(app), last!.store_key);
    await rename(path, `${path}-away`);
    await run();
    await run();
    expect(await states(backups)).toEqual(['COMPLETED', 'COMPLETED']);
    expect(await alertsOf(tenant)).toEqual([{ event: 'RETENTION_REFUSED', resolvedAt: null }]);
    // Found damaged, it is not the last good one any more.
    const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } userErrors { code } } }', { input: { backupId: backups[1]!.id } });
    expect(await ended(admin, backupVerify.operation.id)).toMatchObject({ state: 'COMPLETED' });
    await run();
    expect(await states(backups)).toEqual(['COMPLETED', 'COMPLETED']);
    await rename(`${path}-away`, path);
    const again = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } userErrors { code } } }', { input: { backupId: backups[1]!.id } });
    await ended(admin, again.backupVerify.operation.id);
    await run();
    expect(await states(backups)).toEqual(['DELETED', 'COMPLETED']);
    expect((await alertsOf(tenant)).map(({ resolvedAt }) => resolvedAt)).toEqual([expect.any(String)]);
  });

  it('is no backup that somebody took by hand, unless the policy says so', async () => {
    const tenant = await shop({ retention: { mode: 'COUNT', count: 1 } });
    const backups = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    await run();
    expect(await states(backups)).toEqual(['COMPLETED', 'COMPLETED']);
    expect(await retentionOf(backups[0]!.id)).toMatchObject({ expiresAt: null, retention: { reason: 'FOREVER', text: 'Kept until somebody deletes it' } });
    await change(tenant, { manualRetention: { mode: 'AGE', days: 30 } });
    const kept = await retentionOf(backups[0]!.id);
    expect(kept).toMatchObject({ retention: { reason: 'AGE' } });
    expect(kept.expiresAt).toBe(kept.retention!.keptUntil);
  });

  it('stays while a plan wants it or work reads it', async () => {
    const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 1 } });
    const [old] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    await makePlan(admin, tenant.id, old.id);
    await run();
    expect(await retentionOf(old.id)).toMatchObject({ state: 'COMPLETED', retention: { due: false, reason: 'IN_USE' } });
    await sql('update restore_plan set expires_at = now() where tenant_id = $1', [uuid(tenant.id)]);
    const [operation] = await sql<{ id: string }>(
      `insert into operation (id, tenant_id, kind, state, exclusive, input, deadline, backup_id, lease_until) values (gen_random_uuid(), $1, 'VERIFY', 'RUNNING', false, '{}', now() + interval '1 hour', $2, now() + interval '1 hour') returning id`,
      [uuid(tenant.id), uuid(old.id)],
    );
    await run();
    expect(await states([old])).toEqual(['COMPLETED']);
    await sql(`update operation set state = 'COMPLETED', finished_at = now(), settled_at = now() where id = $1`, [operation!.id]);
    await run();
    expect(await states([old])).toEqual(['DELETED']);
  });

  it('stays while exclusive work is under way, and while the workspace is suspended', async () => {
    const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 1 } });
    const [old] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    const gate = Promise.withResolvers<void>();
    const off = app.at('backup.prelude', () => gate.promise);
    const { backupCreate } = await admin.run<{ backupCreate: { operation: { id: string } } }>('mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { operation { id } userErrors { code } } }', { input: { tenantId: tenant.id } });
    await run();
    expect(await states([old])).toEqual(['COMPLETED']);
    off();
    gate.resolve();
    await ended(admin, backupCreate.operation.id);
    const suspend = (what: string): Promise<unknown> => admin.run(`mutation ($input: Tenant${what}Input!) { tenant${what}(input: $input) { userErrors { code } } }`, { input: { tenantId: tenant.id } });
    await suspend('Suspend');
    await run();
    expect(await states([old])).toEqual(['COMPLETED']);
    await suspend('Resume');
    await run();
    expect(await states([old])).toEqual(['DELETED']);
  });
});

describe('the last good backup', () => {
  it('stays when its rule lets it go, and people are told once, until there is a newer one', async () => {
    const tenant = await shop({ manualRetention: { mode: 'AGE', days: 30 } });
    const only = await takeBackup(admin, tenant.id);
    await copyRows(tenant, 2);
    await sql(`update backup set finished_at = finished_at - interval '60 days', created_at = created_at - interval '60 days' where tenant_id = $1`, [uuid(tenant.id)]);
    await run();
    await run();
    expect(await retentionOf(only.id)).toMatchObject({ state: 'COMPLETED', retention: { due: false, reason: 'LAST_GOOD' } });
    expect(await sql(`select 1 from backup where tenant_id = $1 and state = 'COMPLETED'`, [uuid(tenant.id)])).toHaveLength(1);
    expect(await alertsOf(tenant)).toEqual([{ event: 'LAST_GOOD_KEPT', resolvedAt: null }]);
    await takeBackup(admin, tenant.id);
    await run();
    expect(await states([only])).toEqual(['DELETED']);
    expect(await alertsOf(tenant)).toEqual([{ event: 'LAST_GOOD_KEPT', resolvedAt: expect.any(String) }]);
  });

  it('is not the newest one where that has failed its verification', async () => {
    const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 1 } });
    const [good, damaged] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    await sql(`update backup set verification = '{"at": "2026-01-01T00:00:00Z", "ok": false, "code": "ARCHIVE_CORRUPT", "message": "x"}' where id = $1`, [uuid(damaged.id)]);
    await run();
    expect(await states([good, damaged])).toEqual(['COMPLETED', 'COMPLETED']);
  });
});

describe('a safety backup', () => {
  it('goes when its 7 days are over, and undo then says that they are', async () => {
    const tenant = await shop({});
    const restored = await restore(admin, tenant.id, (await takeBackup(admin, tenant.id)).id);
    const safety = restored.safetyBackup!;
    await run();
    expect(await retentionOf(safety.id)).toMatchObject({ state: 'COMPLETED', retention: { due: false, reason: 'UNDO', keptUntil: restored.undoableUntil }, expiresAt: restored.undoableUntil });
    await sql(`update backup set expires_at = now() - interval '1 second' where id = $1`, [uuid(safety.id)]);
    await run();
    expect((await readBackup(admin, safety.id)).state).toBe('DELETED');
    expect(await restoreUndo(admin, restored.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'UNDO_EXPIRED' }] });
  });
});

describe('many that become due at once', () => {
  it('are held back, which is told once, until the provider confirms it', async () => {
    const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 30 } });
    const last = await takeBackup(admin, tenant.id);
    await copyRows(tenant, 25);
    const left = async () => (await sql(`select 1 from backup where tenant_id = $1 and state = 'COMPLETED'`, [uuid(tenant.id)])).length;
    await run();
    expect(await preview(admin, { tenantId: tenant.id, manualRule: { mode: 'COUNT', count: 2 } })).toMatchObject({ dueCount: 24, keptCount: 2, heldBack: true });
    expect(await confirm(tenant)).toBe(false);
    await change(tenant, { manualRetention: { mode: 'COUNT', count: 2 } });
    await run();
    await run();
    expect(await left()).toBe(26);
    expect(await alertsOf(tenant)).toEqual([{ event: 'RETENTION_REFUSED', resolvedAt: null }]);
    expect(await confirm(tenant)).toBe(true);
    await run();
    // No more than the configured number in one run.
    expect(await left()).toBe(6);
    await run();
    expect(await left()).toBe(2);
    expect(await alertsOf(tenant)).toEqual([{ event: 'RETENTION_REFUSED', resolvedAt: expect.any(String) }]);
    expect(await states([last])).toEqual(['COMPLETED']);
    expect(await sql(`select 1 from audit_event where tenant_id = $1 and action = 'retention.confirmed'`, [uuid(tenant.id)])).toHaveLength(1);
  });

  it('go after three days without a word', async () => {
    const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 2 } });
    await takeBackup(admin, tenant.id);
    await copyRows(tenant, 10);
    await run();
    await sql(`update retention_state set held_since = held_since - interval '73 hours' where tenant_id = $1`, [uuid(tenant.id)]);
    await run();
    expect(await sql(`select 1 from backup where tenant_id = $1 and state = 'COMPLETED'`, [uuid(tenant.id)])).toHaveLength(2);
  });
});

describe('the preview', () => {
  it('says what rules would keep and delete, page by page, and changes nothing', async () => {
    const tenant = await shop({});
    const viewer = await createTestMember(app, admin, tenant.id, 'VIEWER');
    await takeBackup(admin, tenant.id);
    await copyRows(tenant, 9);
    expect(await preview(viewer, { tenantId: tenant.id })).toMatchObject({ keptCount: 10, dueCount: 0, dueBytes: '0', heldBack: false });
    const rule = { tenantId: tenant.id, manualRule: { mode: 'GFS', daily: 4 } };
    const first = await preview(viewer, rule, { first: 4, due: true });
    expect(first).toMatchObject({ keptCount: 4, dueCount: 6, dueBytes: '6000', heldBack: true, backups: { totalCount: 6, pageInfo: { hasNextPage: true } } });
    const rest = await preview(viewer, rule, { first: 4, due: true, after: first.backups.pageInfo.endCursor });
    expect(rest.backups.pageInfo.hasNextPage).toBe(false);
    const due = [...first.backups.edges, ...rest.backups.edges].map(({ node }) => node);
    expect(new Set(due.map(({ backup }) => backup.id)).size).toBe(6);
    expect(due.every(({ retention }) => retention.due && retention.reason === 'GFS')).toBe(true);
    const kept = await preview(viewer, rule, { due: false });
    expect(kept.backups.edges.map(({ node }) => node.retention.reason)).toEqual(['DAILY', 'DAILY', 'DAILY', 'DAILY']);
    expect((await preview(viewer, rule)).backups.totalCount).toBe(10);
    await run();
    expect(await sql(`select 1 from backup where tenant_id = $1 and state = 'COMPLETED'`, [uuid(tenant.id)])).toHaveLength(10);
    await expect(preview(viewer, { tenantId: tenant.id, manualRule: { mode: 'COUNT' } })).rejects.toThrow('manualRule.count');
  });

  it('of a schedule takes its rule for this one alone, and no schedule of another workspace', async () => {
    const tenant = await shop({});
    const schedule = async (of: TestTenant, name: string): Promise<string> => {
      const { scheduleCreate } = await admin.run<{ scheduleCreate: { schedule: { id: string } } }>('mutation ($input: ScheduleCreateInput!) { scheduleCreate(input: $input) { schedule { id } userErrors { code } } }', { input: { tenantId: of.id, name, cadence: 'DAILY_AT' } });
      return scheduleCreate.schedule.id;
    };
    const [mine, other] = [await schedule(tenant, 'Mine'), await schedule(tenant, 'Other')];
    await takeBackup(admin, tenant.id);
    await copyRows(tenant, 6);
    await sql(`update backup set trigger = 'SCHEDULE', label = 'daily', schedule_id = case when (extract(epoch from created_at) / 86400)::int % 2 = 0 then $2::uuid else $3::uuid end where tenant_id = $1`, [uuid(tenant.id), uuid(mine), uuid(other)]);
    const [count] = await sql<{ mine: number }>('select count(*)::int as mine from backup where schedule_id = $1', [uuid(mine)]);
    expect(await preview(admin, { tenantId: tenant.id, scheduleId: mine, rule: { mode: 'COUNT', count: 1 } })).toMatchObject({ dueCount: count!.mine - 1 });
    expect(await preview(admin, { tenantId: tenant.id, rule: { mode: 'COUNT', count: 1 } })).toMatchObject({ dueCount: 5 });
    const stranger = await createTestTenant(admin);
    const theirs = await schedule(stranger, 'Theirs');
    await expect(preview(admin, { tenantId: tenant.id, scheduleId: theirs })).rejects.toThrow('no such schedule');
  });
});

it('is asked about once for a whole page of backups', async () => {
  const tenant = await shop({ manualRetention: { mode: 'COUNT', count: 5 } });
  await takeBackup(admin, tenant.id);
  await copyRows(tenant, 30);
  const seen: string[] = [];
  const source = app.nest.get(DataSource);
  const { logger } = source;
  source.logger = Object.assign(Object.create(logger) as typeof logger, { logQuery: (query: string) => void seen.push(query) });
  const answer = await admin.run<{ tenant: { backups: { edges: { node: { retention: Retention; expiresAt: string | null } }[] } } }>('query ($id: ID!) { tenant(id: $id) { backups(first: 31) { edges { node { expiresAt retention { due reason } } } } } }', { id: tenant.id });
  source.logger = logger;
  expect(answer.tenant.backups.edges.filter(({ node }) => node.retention.due)).toHaveLength(26);
  const readings = seen.filter((query) => query.includes(`operation_id is null as "isRegistered"`));
  expect(readings).toHaveLength(1);
});
