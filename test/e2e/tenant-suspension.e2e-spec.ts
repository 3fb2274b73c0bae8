import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { ScheduleTicks } from '../../src/schedules/schedule-ticks.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, compareStart, ended, makePlan, restoreStart, idOf, planCreate, seedShop, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { addressOf, send, uploadComplete, uploadCreate } from '../support/upload-calls.ts';

let app: TestApp;
let admin: GraphqlClient;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(() => app.stop());

const query = <Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(sql, [...values]);
const tick = (): Promise<void> => app.nest.get(ScheduleTicks, { strict: false }).tick();
const codes = (answer: { readonly userErrors: readonly { readonly code: string }[] }): string[] => answer.userErrors.map(({ code }) => code);

async function call(client: GraphqlClient, name: string, input: Readonly<Record<string, unknown>>): Promise<{ readonly url: string | null; readonly userErrors: readonly UserErrorAnswer[] }> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const more = name === 'downloadCreate' ? 'url' : '';
  const answer = await client.run<Record<string, { url: string | null; userErrors: UserErrorAnswer[] }>>(`mutation ($input: ${type}!) { ${name}(input: $input) { ${more} userErrors { code message field hint } } }`, { input });
  return answer[name]!;
}

const suspend = (tenant: TestTenant): Promise<unknown> => call(admin, 'tenantSuspend', { tenantId: tenant.id });
const resume = (tenant: TestTenant): Promise<unknown> => call(admin, 'tenantResume', { tenantId: tenant.id });

async function shop(): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 20));
  return tenant;
}

async function link(client: GraphqlClient, backup: BackupAnswer): Promise<string> {
  const { url, userErrors } = await call(client, 'downloadCreate', { backupId: backup.id, variant: 'ARCHIVE' });
  if (url === null) throw new Error(JSON.stringify(userErrors));
  return `${app.url}${new URL(url).pathname}`;
}

interface Shown {
  readonly backups: { readonly edges: readonly { readonly node: { readonly label: string; readonly state: string; readonly trigger: string } }[] };
  readonly operations: { readonly edges: readonly { readonly node: { readonly id: string } }[] };
  readonly alerts: { readonly edges: readonly { readonly node: { readonly event: string } }[] };
  readonly actions: readonly { readonly permission: string; readonly allowed: boolean; readonly reason: string | null }[];
}

async function show(tenant: TestTenant, client = admin): Promise<Shown> {
  const answer = await client.run<{ tenant: Shown }>(
    'query ($id: ID!) { tenant(id: $id) { backups { edges { node { label state trigger } } } operations(first: 1) { edges { node { id } } } alerts { edges { node { event } } } actions { permission allowed reason } } }',
    { id: tenant.id },
  );
  return answer.tenant;
}

async function settled(tenant: TestTenant): Promise<void> {
  const [newest] = (await show(tenant)).operations.edges;
  if (newest !== undefined) await ended(admin, newest.node.id);
}

describe('the storage of a suspended workspace', () => {
  it('is closed to its own people, and the greyed-out buttons say the same; the data stay', async () => {
    const tenant = await shop();
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const backup = await takeBackup(owner, tenant.id);
    const before = await withDatabase(tenant, fingerprint);
    const plan = await makePlan(owner, tenant.id, backup.id);
    const ownLink = await link(owner, backup);
    await suspend(tenant);

    const refusals: readonly (readonly [string, Promise<{ readonly userErrors: readonly { readonly code: string }[] }>])[] = [
      ['download', call(owner, 'downloadCreate', { backupId: backup.id, variant: 'ARCHIVE' })],
      ['upload', uploadCreate(owner, tenant.id, 'x.archive', Buffer.alloc(10))],
      ['delete', call(owner, 'backupDelete', { backupId: backup.id })],
      ['pin', call(owner, 'backupPin', { backupId: backup.id })],
      ['verify', call(owner, 'backupVerify', { backupId: backup.id })],
      ['compare', compareStart(owner, backup.id, backup.id)],
      ['drill', call(owner, 'drillRun', { tenantId: tenant.id })],
      ['plan', planCreate(owner, tenant.id, backup.id)],
      ['restore', restoreStart(owner, plan.id, tenant.name)],
      ['backup', call(owner, 'backupCreate', { tenantId: tenant.id })],
    ];
    for (const [what, refused] of refusals) expect([what, codes(await refused)]).toEqual([what, ['TENANT_SUSPENDED']]);
    expect((await fetch(ownLink)).status).toBeGreaterThanOrEqual(400);
    const { actions } = await show(tenant, owner);
    expect(actions.filter(({ reason }) => reason === 'The workspace is suspended').map(({ permission }) => permission).sort()).toEqual([
      'APPROVE', 'BACKUP_CREATE', 'BACKUP_DELETE', 'BACKUP_DOWNLOAD', 'BACKUP_PIN', 'RESET_RUN', 'RESTORE_RUN', 'STORAGE_MANAGE',
    ]);
    expect((await fetch(await link(admin, backup))).status).toBe(200);

    await resume(tenant);
    const response = await fetch(ownLink);
    expect([response.status, (await response.arrayBuffer()).byteLength]).toEqual([200, Number(backup.size)]);
    await withDatabase(tenant, (db) => db.collection('orders').deleteMany({}));
    expect(await ended(owner, idOf(await restoreStart(owner, plan.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  });

  it('takes no more bytes of an upload that was under way, and takes the rest once it is open again', async () => {
    const tenant = await shop();
    const backup = await takeBackup(admin, tenant.id);
    const bytes = Buffer.from(await (await fetch(await link(admin, backup))).arrayBuffer());
    const { upload } = await uploadCreate(admin, tenant.id, 'again.gz.enc', bytes);
    const url = addressOf(app.url, upload!);
    const head = { 'Tus-Resumable': '1.0.0' };
    const patch = (from: number, to: number): Promise<Response> =>
      fetch(url, { method: 'PATCH', headers: { ...head, 'Upload-Offset': String(from), 'Content-Type': 'application/offset+octet-stream' }, body: new Uint8Array(bytes.subarray(from, to)) });
    expect((await patch(0, 100)).status).toBe(204);
    await suspend(tenant);
    expect(await (await patch(100, bytes.length)).json()).toMatchObject({ error: { code: 'TENANT_SUSPENDED' } });
    expect(codes(await uploadComplete(admin, upload!.id))).toEqual(['TENANT_SUSPENDED']);
    await resume(tenant);
    expect((await fetch(url, { method: 'HEAD', headers: head })).headers.get('upload-offset')).toBe('100');
    await send(url, bytes);
    expect(await uploadComplete(admin, upload!.id)).toMatchObject({ upload: { state: 'COMPLETED' }, userErrors: [] });
  });
});

describe('the schedules of a suspended workspace', () => {
  const makeSchedule = (tenant: TestTenant): Promise<unknown> => call(admin, 'scheduleCreate', { tenantId: tenant.id, name: tenant.slug, cadence: 'EVERY_8H' });
  const makeDue = (tenant: TestTenant, ago: string): Promise<unknown> => query('update schedule set next_run_at = now() - $2::interval, due_at = now() - $2::interval where name = $1', [tenant.slug, ago]);

  it('stop: a run that has begun is finished and kept, and none begins', async () => {
    const tenant = await shop();
    await makeSchedule(tenant);
    await makeDue(tenant, '1 minute');
    const off = app.at('backup.prelude', async () => {
      off();
      await suspend(tenant);
      await makeDue(tenant, '1 minute');
      await tick();
    });
    await tick();
    await settled(tenant);
    await tick();
    expect((await show(tenant)).backups.edges.map(({ node }) => node)).toEqual([{ label: '8-hour', state: 'COMPLETED', trigger: 'SCHEDULE' }]);
  });

  it.each([
    ['RUN_ONCE', 1],
    ['SKIP', 0],
  ])('make up for what came due meanwhile as the policy says, and nobody is told that it was missed: %s', async (catchUp, count) => {
    const tenant = await shop();
    await call(admin, 'tenantPolicyUpdate', { tenantId: tenant.id, catchUp });
    await makeSchedule(tenant);
    await suspend(tenant);
    await makeDue(tenant, '40 days');
    await tick();
    expect(await show(tenant)).toMatchObject({ backups: { edges: [] }, alerts: { edges: [] } });
    await resume(tenant);
    await tick();
    await tick();
    await settled(tenant);
    await tick();
    const { backups, alerts } = await show(tenant);
    expect([backups.edges.map(({ node }) => node.state), alerts.edges.map(({ node }) => node.event)]).toEqual([Array.from({ length: count }, () => 'COMPLETED'), Array.from({ length: count }, () => 'BACKUP_COMPLETED')]);
    const [next] = await query<{ later: boolean }>('select next_run_at > now() as later from schedule where name = $1', [tenant.slug]);
    expect(next).toEqual({ later: true });
  });
});
