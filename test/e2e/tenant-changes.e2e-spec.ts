import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, makePlan, planCreate, restoreStart, seedShop, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testMongo } from '../support/servers.ts';

let app: TestApp;
let admin: GraphqlClient;
let neighbour: TestTenant;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  neighbour = await shop();
});
afterAll(() => app.stop());

async function shop(): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 30));
  return tenant;
}

/** Once, when an operation reaches the point. */
function at(point: string, change: () => Promise<unknown>): void {
  const remove = app.at(point, async () => {
    remove();
    await change();
  });
}

async function change(name: string, input: Readonly<Record<string, unknown>>): Promise<readonly UserErrorAnswer[]> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const answer = await admin.run<Record<string, { userErrors: UserErrorAnswer[] }>>(`mutation ($input: ${type}!) { ${name}(input: $input) { userErrors { code message field hint } } }`, { input });
  return answer[name]?.userErrors ?? [];
}

it('a workspace that is renamed during its backup has a good backup, restored under the new name alone', async () => {
  const tenant = await shop();
  at('backup.read-back', () => change('tenantUpdate', { tenantId: tenant.id, name: 'Renamed & Sons' }));
  const operation = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
  expect(operation).toMatchObject({ state: 'COMPLETED', backup: { usable: true } });
  const plan = await makePlan(admin, tenant.id, operation.backup?.id ?? '');
  expect(plan.confirmName).toBe('Renamed & Sons');
  expect((await restoreStart(admin, plan.id, tenant.name)).userErrors.map(({ code }) => code)).toEqual(['CONFIRM_NAME_MISMATCH']);
  expect(await ended(admin, idOf(await restoreStart(admin, plan.id, 'Renamed & Sons')))).toMatchObject({ state: 'COMPLETED' });
});

it('a workspace that is renamed while it is restored gets its own data, and no other workspace changes', async () => {
  const tenant = await shop();
  const before = await withDatabase(tenant, fingerprint);
  const others = await withDatabase(neighbour, fingerprint);
  const plan = await makePlan(admin, tenant.id, (await takeBackup(admin, tenant.id)).id);
  await withDatabase(tenant, (db) => db.collection('orders').deleteMany({}));
  at('restore.staged', () => change('tenantUpdate', { tenantId: tenant.id, name: neighbour.name }));
  expect(await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
  expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  expect(differences(others, await withDatabase(neighbour, fingerprint))).toEqual([]);
});

it('a workspace that is suspended during its backup keeps it, and starts nothing more', async () => {
  const tenant = await shop();
  at('backup.read-back', () => change('tenantSuspend', { tenantId: tenant.id }));
  const operation = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
  expect(operation).toMatchObject({ state: 'COMPLETED', backup: { usable: true } });
  expect((await backupCreate(admin, tenant.id)).userErrors.map(({ code }) => code)).toEqual(['TENANT_SUSPENDED']);
  expect(await change('tenantResume', { tenantId: tenant.id })).toEqual([]);
  const { plan } = await planCreate(admin, tenant.id, operation.backup?.id ?? '');
  expect(await ended(admin, idOf(await restoreStart(admin, plan?.id ?? '', tenant.name)))).toMatchObject({ state: 'COMPLETED' });
});

it('a workspace that is suspended before its restore is committed keeps its live data', async () => {
  const tenant = await shop();
  const plan = await makePlan(admin, tenant.id, (await takeBackup(admin, tenant.id)).id);
  await withDatabase(tenant, (db) => db.collection('orders').deleteMany({}));
  const live = await withDatabase(tenant, fingerprint);
  at('restore.staged', () => change('tenantSuspend', { tenantId: tenant.id }));
  expect(await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).toMatchObject({ state: 'FAILED', failure: { code: 'TENANT_SUSPENDED' } });
  expect(differences(live, await withDatabase(tenant, fingerprint))).toEqual([]);
});

it('neither the target nor the row of a workspace can be taken away under running work', async () => {
  const tenant = await shop();
  const elsewhere = await testMongo();
  let moved: readonly UserErrorAnswer[] = [];
  let removal: unknown = null;
  at('backup.read-back', async () => {
    moved = await change('tenantUpdate', { tenantId: tenant.id, target: { uri: elsewhere.uri, database: elsewhere.database } });
    removal = await app.nest.get(DataSource).query('delete from tenant where id = $1', [parseGlobalId(tenant.id)?.uuid]).catch((error: unknown) => error);
  });
  expect(await ended(admin, idOf(await backupCreate(admin, tenant.id)))).toMatchObject({ state: 'COMPLETED', backup: { usable: true } });
  expect(moved.map(({ code }) => code)).toEqual(['OPERATION_ALREADY_RUNNING']);
  expect(removal).toMatchObject({ code: '23503' });
});
