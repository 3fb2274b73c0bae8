import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { keptTables, removedTables } from '../../src/departures/tenant-remains.ts';
import { TenantRemoval } from '../../src/departures/tenant-removal.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { RetentionClock } from '../../src/retention/retention-clock.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, seedShop, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { faultsOf, storedFiles, storeFolder } from '../support/store-faults.ts';
import { uploadCreate } from '../support/upload-calls.ts';

let app: TestApp;
let admin: GraphqlClient;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(() => app.stop());

interface TenantAnswer {
  readonly status: string;
  readonly suspended: boolean;
  readonly deletion: { readonly dueAt: string; readonly askedBy: { readonly email: string }; readonly heldBackups: number; readonly begunAt: string | null; readonly deletedAt: string | null } | null;
}

interface Answer {
  readonly tenant: TenantAnswer | null;
  readonly userErrors: readonly UserErrorAnswer[];
}

const fields = 'status suspended deletion { dueAt askedBy { email } heldBackups begunAt deletedAt }';

async function call(client: GraphqlClient, name: string, input: Readonly<Record<string, unknown>>): Promise<Answer> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const answer = await client.run<Record<string, Answer>>(`mutation ($input: ${type}!) { ${name}(input: $input) { tenant { ${fields} } userErrors { code message field hint } } }`, { input });
  return answer[name]!;
}

const askFor = ({ id, name }: TestTenant): Promise<Answer> => call(admin, 'tenantDelete', { tenantId: id, confirmName: name });
const codes = ({ userErrors }: { readonly userErrors: readonly { readonly code: string }[] }): string[] => userErrors.map(({ code }) => code);
const query = <Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(sql, [...values]);
const uuidOf = ({ id }: TestTenant): string => parseGlobalId(id)?.uuid ?? '';
const graceIsOver = (tenant: TestTenant): Promise<unknown> => query('update tenant set deletion_due_at = now() where id = $1', [uuidOf(tenant)]);
const sweep = (of = app): Promise<void> => of.nest.get(TenantRemoval, { strict: false }).tick();

async function read(tenant: TestTenant, client = admin): Promise<TenantAnswer> {
  return (await client.run<{ tenant: TenantAnswer }>(`query ($id: ID!) { tenant(id: $id) { ${fields} } }`, { id: tenant.id })).tenant;
}

async function shop(): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 20));
  return tenant;
}

const filesOf = async (tenant: TestTenant): Promise<string[]> => (await storedFiles(app)).filter((file) => file.startsWith(uuidOf(tenant)));

describe('asking for the deletion of a workspace', () => {
  it('needs its name, no running work and no hold, and is audited where it is refused', async () => {
    const tenant = await shop();
    expect(codes(await call(admin, 'tenantDelete', { tenantId: tenant.id, confirmName: tenant.name.toUpperCase() }))).toEqual(['CONFIRM_NAME_MISMATCH']);
    const backup = await takeBackup(admin, tenant.id);
    const gate = Promise.withResolvers<void>();
    const off = app.at('backup.prelude', () => gate.promise);
    const running = idOf(await backupCreate(admin, tenant.id));
    expect(codes(await askFor(tenant))).toEqual(['OPERATION_ALREADY_RUNNING']);
    off();
    gate.resolve();
    await ended(admin, running);
    await admin.run('mutation ($input: BackupHoldInput!) { backupHold(input: $input) { userErrors { code } } }', { input: { backupId: backup.id } });
    expect(await askFor(tenant)).toMatchObject({ tenant: null, userErrors: [{ code: 'TENANT_HELD', message: 'One backup of the workspace is held' }] });
    expect(await read(tenant)).toMatchObject({ status: 'ACTIVE', deletion: null });
    const refused = await query<{ code: string }>(`select detail->>'code' as code from audit_event where tenant_id = $1 and action = 'tenant.deletion-asked' and outcome = 'REFUSED' order by at`, [uuidOf(tenant)]);
    expect(refused.map(({ code }) => code)).toEqual(['CONFIRM_NAME_MISMATCH', 'OPERATION_ALREADY_RUNNING', 'TENANT_HELD']);
  });

  it('closes it at once, keeps everything for 30 days, and is taken back without loss', async () => {
    const tenant = await shop();
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const backup = await takeBackup(admin, tenant.id);
    const { tenant: deleting } = await askFor(tenant);
    expect(deleting).toMatchObject({ status: 'DELETING', suspended: true, deletion: { begunAt: null, heldBackups: 0, askedBy: { email: 'admin@holdfast.test' } } });
    expect((new Date(deleting?.deletion?.dueAt ?? 0).getTime() - Date.now()) / 86_400_000).toBeCloseTo(30, 1);
    expect(await askFor(tenant)).toMatchObject({ tenant: { deletion: { dueAt: deleting?.deletion?.dueAt } }, userErrors: [] });
    expect(codes(await backupCreate(owner, tenant.id))).toEqual(['TENANT_SUSPENDED']);
    expect(await read(tenant, owner)).toMatchObject({ status: 'DELETING' });
    expect(codes(await call(admin, 'tenantResume', { tenantId: tenant.id }))).toEqual(['TENANT_DELETING']);
    const { tenants } = await admin.run<{ tenants: { edges: { node: { id: string } }[] } }>('{ tenants(filter: { status: DELETING }) { edges { node { id } } } }');
    expect(tenants.edges.map(({ node }) => node.id)).toEqual([tenant.id]);
    await sweep();
    expect(await filesOf(tenant)).toHaveLength(1);
    expect(await call(admin, 'tenantUndelete', { tenantId: tenant.id })).toMatchObject({ tenant: { status: 'ACTIVE', suspended: false, deletion: null } });
    await sweep();
    const { backup: kept } = await owner.run<{ backup: { usable: boolean } }>('query ($id: ID!) { backup(id: $id) { usable } }', { id: backup.id });
    expect(kept.usable).toBe(true);
    await takeBackup(owner, tenant.id);
  });

  it('leaves a workspace suspended that was suspended before', async () => {
    const tenant = await createTestTenant(admin);
    await call(admin, 'tenantSuspend', { tenantId: tenant.id });
    await askFor(tenant);
    expect(await call(admin, 'tenantUndelete', { tenantId: tenant.id })).toMatchObject({ tenant: { status: 'SUSPENDED' } });
  });
});

describe('a workspace whose days of grace are over', () => {
  it('leaves its history and its own database, and nothing else, wherever the removal was interrupted', async () => {
    const [tenant, neighbour] = [await shop(), await shop()];
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const backups = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    await takeBackup(admin, neighbour.id);
    await admin.run('mutation ($input: BackupPinInput!) { backupPin(input: $input) { userErrors { code } } }', { input: { backupId: backups[0]?.id } });
    await admin.run('mutation ($input: CronKeyRotateInput!) { cronKeyRotate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id } });
    await admin.run('mutation ($input: ScheduleCreateInput!) { scheduleCreate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, name: 'Nightly', cadence: 'DAILY_AT' } });
    const { upload } = await uploadCreate(admin, tenant.id, 'half.archive', Buffer.alloc(100));
    expect(upload).not.toBeNull();
    const live = await withDatabase(tenant, fingerprint);
    const others = await filesOf(neighbour);

    await askFor(tenant);
    await graceIsOver(tenant);
    await admin.run('mutation ($input: BackupHoldInput!) { backupHold(input: $input) { userErrors { code } } }', { input: { backupId: backups[0]?.id } });
    await sweep();
    expect(await read(tenant)).toMatchObject({ deletion: { heldBackups: 1, begunAt: null } });
    expect(await filesOf(tenant)).toHaveLength(2);
    await admin.run('mutation ($input: BackupReleaseInput!) { backupRelease(input: $input) { userErrors { code } } }', { input: { backupId: backups[0]?.id } });

    const faults = faultsOf(app);
    faults.refusesDeletes = true;
    await sweep();
    faults.refusesDeletes = false;
    expect(await read(tenant)).toMatchObject({ status: 'DELETING', deletion: { begunAt: expect.any(String), deletedAt: null } });
    expect(await filesOf(tenant)).toHaveLength(2);
    expect(codes(await call(admin, 'tenantUndelete', { tenantId: tenant.id }))).toEqual(['TENANT_NOT_RECOVERABLE']);
    const { backup } = await owner.run<{ backup: { usable: boolean } }>('query ($id: ID!) { backup(id: $id) { usable } }', { id: backups[1]?.id });
    expect(backup.usable).toBe(false);

    // Another process finishes what this one has begun, at its start.
    const restarted = await startTestApp({ databaseUrl: app.config.databaseUrl, env: { HOLDFAST_DATA_DIR: app.config.dataDir } });
    try {
      await sweep(restarted);
    } finally {
      await restarted.stop();
    }
    expect(await read(tenant)).toMatchObject({ status: 'DELETED', deletion: { deletedAt: expect.any(String) } });
    expect(await filesOf(tenant)).toEqual([]);
    expect(await readdir(join(storeFolder(app), uuidOf(tenant)), { recursive: true }).catch(() => [])).toEqual(expect.not.arrayContaining([expect.stringContaining('.enc')]));
    expect(await filesOf(neighbour)).toEqual(others);
    expect(differences(live, await withDatabase(tenant, fingerprint))).toEqual([]);

    // Its row claims a placeholder; that the database itself is free is shown below.
    for (const table of removedTables.filter((name) => name !== 'database_claim')) expect([table, await query(`select 1 from ${table} where tenant_id = $1`, [uuidOf(tenant)])]).toEqual([table, []]);
    const [row] = await query<{ secret: number; slug: string }>('select length(target_cipher) as secret, slug from tenant where id = $1', [uuidOf(tenant)]);
    expect(row).toEqual({ secret: 0, slug: `deleted-${uuidOf(tenant)}` });
    expect(await query('select 1 from backup where tenant_id = $1 and salt is not null', [uuidOf(tenant)])).toEqual([]);

    await expect(read(tenant, owner)).rejects.toThrow('no such tenant');
    const shown = await admin.run<{ tenant: { database: { error: string }; backups: { totalCount: number }; auditEvents: { edges: { node: { action: string } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { database { error } backups(filter: { states: [DELETED] }) { totalCount } auditEvents(first: 100) { edges { node { action } } } } }',
      { id: tenant.id },
    );
    expect(shown.tenant).toMatchObject({ database: { error: 'The workspace was deleted' }, backups: { totalCount: 2 } });
    expect(shown.tenant.auditEvents.edges.map(({ node }) => node.action)).toEqual(expect.arrayContaining(['tenant.created', 'backup.created', 'tenant.deletion-asked', 'tenant.deletion-begun', 'tenant.deleted']));
    const listed = async (filter: string): Promise<string[]> => (await admin.run<{ tenants: { edges: { node: { id: string } }[] } }>(`{ tenants(first: 100${filter}) { edges { node { id } } } }`)).tenants.edges.map(({ node }) => node.id);
    expect(await listed('')).not.toContain(tenant.id);
    expect(await listed(', filter: { status: DELETED }')).toEqual([tenant.id]);
    expect(codes(await call(admin, 'tenantUpdate', { tenantId: tenant.id, name: 'Back' }))).toEqual(['TENANT_DELETED']);
    await sweep();

    const again = await createTestTenant(admin, { slug: tenant.slug, uri: tenant.uri, database: tenant.database });
    expect(again.id).not.toBe(tenant.id);
    await takeBackup(admin, again.id);
  });

  it('keeps everything while the clock is not to be believed, until somebody says that the time is right', async () => {
    const tenant = await shop();
    await takeBackup(admin, tenant.id);
    await askFor(tenant);
    await sweep();
    const clock = app.nest.get(RetentionClock, { strict: false });
    const [ahead] = await query<{ at: Date }>(`select clock_timestamp() + interval '31 days' as at`);
    // The clocks of database and server went forward together, by a month.
    Object.assign(clock, { read: () => Promise.resolve({ database: ahead?.at, process: ahead?.at, monotonicMs: performance.now() }) });
    await graceIsOver(tenant);
    await sweep();
    expect(await read(tenant)).toMatchObject({ deletion: { begunAt: null } });
    expect(await filesOf(tenant)).toHaveLength(1);
    await admin.run('mutation { retentionConfirm(input: {}) { confirmed } }');
    await sweep();
    expect((await read(tenant)).deletion?.deletedAt).not.toBeNull();
    expect(await filesOf(tenant)).toEqual([]);
    Reflect.deleteProperty(clock, 'read');
    await query('update retention_clock set last_seen_at = null, held_until = null, held_because = null');
  });

  it('leaves no table behind that nobody has thought of', async () => {
    const tables = await query<{ name: string }>(`select table_name as name from information_schema.columns where table_schema = current_schema() and column_name = 'tenant_id' order by 1`);
    expect(tables.map(({ name }) => name)).toEqual([...removedTables, ...keptTables].sort());
  });
});
