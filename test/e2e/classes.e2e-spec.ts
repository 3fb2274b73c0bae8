import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, makePlan, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
});

interface Row {
  readonly name: string;
  readonly documents: string;
  readonly bytes: string;
  readonly dataClass: string | null;
  readonly resettable: boolean;
  readonly decidedBy: string | null;
  readonly decidedFrom: string | null;
}

const rowFields = 'name documents bytes dataClass resettable decidedBy decidedFrom';

async function shop(): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, async (db) => {
    for (const [name, documents] of Object.entries({ customers: 3, orders: 5, roles: 2, widgets: 4, activity_logs: 7 })) {
      await db.collection(name).insertMany(Array.from({ length: documents }, (_, n) => ({ n })));
    }
  });
  return tenant;
}

async function preview(tenant: TestTenant, rules: readonly object[]): Promise<Row[]> {
  return (await admin.run<{ classPreview: Row[] }>(`query ($input: ClassPreviewInput!) { classPreview(input: $input) { ${rowFields} } }`, { input: { tenantId: tenant.id, rules } })).classPreview;
}

async function saveRules(tenant: TestTenant, rules: readonly object[]): Promise<void> {
  await admin.run('mutation ($input: ClassRulesUpdateInput!) { classRulesUpdate(input: $input) { tenant { id } userErrors { code } } }', { input: { tenantId: tenant.id, rules } });
}

describe('the classes of data', () => {
  it('are shown for each live collection, page by page, with the rule that decided', async () => {
    const tenant = await shop();
    const page = async (after: string | null) =>
      (
        await admin.run<{ tenant: { collections: { totalCount: number; pageInfo: { hasNextPage: boolean; endCursor: string }; edges: { node: Row }[] } } }>(
          `query ($id: ID!, $after: String) { tenant(id: $id) { collections(first: 3, after: $after) { totalCount pageInfo { hasNextPage endCursor } edges { node { ${rowFields} } } } } }`,
          { id: tenant.id, after },
        )
      ).tenant.collections;
    const first = await page(null);
    const second = await page(first.pageInfo.endCursor);
    expect([first.totalCount, first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([5, true, false]);
    expect([...first.edges, ...second.edges].map(({ node: { name, documents, dataClass, resettable, decidedBy, decidedFrom } }) => [name, documents, dataClass, resettable, decidedBy, decidedFrom])).toEqual([
      ['activity_logs', '7', 'TRANSACTION', true, '*logs', 'PROVIDER'],
      ['customers', '3', 'MASTER', true, 'customer*', 'PROVIDER'],
      ['orders', '5', 'TRANSACTION', true, '*order*', 'PROVIDER'],
      ['roles', '2', 'CONFIG', false, 'role*', 'PROVIDER'],
      ['widgets', '4', null, false, null, null],
    ]);
  });

  it('are previewed before they are saved, and changed for one tenant alone', async () => {
    const [tenant, other] = [await shop(), await shop()];
    const rules = [{ pattern: 'wid*', dataClass: 'MASTER', resettable: true }];
    const widgets = async (of: TestTenant, unsaved: readonly object[] | null) =>
      unsaved === null
        ? (await admin.run<{ tenant: { collections: { edges: { node: Row }[] } } }>(`query ($id: ID!) { tenant(id: $id) { collections { edges { node { ${rowFields} } } } } }`, { id: of.id })).tenant.collections.edges.map(({ node }) => node).find(({ name }) => name === 'widgets')
        : (await preview(of, unsaved)).find(({ name }) => name === 'widgets');
    expect(await widgets(tenant, rules)).toMatchObject({ dataClass: 'MASTER', resettable: true, decidedBy: 'wid*', decidedFrom: 'TENANT' });
    expect(await widgets(tenant, null)).toMatchObject({ dataClass: null });
    await saveRules(tenant, rules);
    expect(await widgets(tenant, null)).toMatchObject({ dataClass: 'MASTER', decidedFrom: 'TENANT' });
    expect(await widgets(other, null)).toMatchObject({ dataClass: null });
  });

  it('come from a profile that the provider replaces', async () => {
    const tenant = await shop();
    const profile = (await admin.run<{ classProfile: { pattern: string; dataClass: string; resettable: boolean }[] }>('{ classProfile { pattern dataClass resettable } }')).classProfile;
    const replace = (rules: readonly object[]) => admin.run('mutation ($input: ClassProfileUpdateInput!) { classProfileUpdate(input: $input) { profile { pattern } userErrors { code } } }', { input: { rules } });
    await replace([{ pattern: '*', dataClass: 'SYSTEM', resettable: false }]);
    expect(new Set((await preview(tenant, [])).map(({ dataClass }) => dataClass))).toEqual(new Set(['SYSTEM']));
    await replace(profile);
    expect(new Set((await preview(tenant, [])).map(({ dataClass }) => dataClass))).toEqual(new Set(['TRANSACTION', 'MASTER', 'CONFIG', null]));
  });

  it('refuse a rule that cannot be one', async () => {
    const tenant = await createTestTenant(admin);
    await expect(preview(tenant, [{ pattern: '', dataClass: 'MASTER', resettable: true }])).rejects.toThrow('pattern');
    await expect(preview(tenant, Array.from({ length: 501 }, () => ({ pattern: 'a', dataClass: 'MASTER', resettable: true })))).rejects.toThrow('rules');
  });
});

describe('a partial backup', () => {
  it.each([
    ['TRANSACTIONS', ['activity_logs', 'orders']],
    ['MASTER', ['customers', 'roles']],
  ])('of %s holds %s alone, and its restore leaves all others as they are', async (scope, names) => {
    const tenant = await shop();
    const backup = await takeBackup(admin, tenant.id, { scope });
    expect(backup.contents.map(({ name }) => name)).toEqual(names);
    const { node } = await admin.run<{ node: { scope: string; collections: string[] } }>('query ($id: ID!) { node(id: $id) { ... on Backup { scope collections } } }', { id: backup.id });
    expect(node).toEqual({ scope, collections: names });
    const { tenant: shown } = await admin.run<{ tenant: { lastGoodBackup: unknown } }>('query ($id: ID!) { tenant(id: $id) { lastGoodBackup { id } } }', { id: tenant.id });
    expect(shown.lastGoodBackup).toBeNull();

    await withDatabase(tenant, async (db) => {
      for (const name of ['customers', 'orders', 'roles', 'widgets', 'activity_logs']) await db.collection(name).insertOne({ later: true });
    });
    const plan = await makePlan(admin, tenant.id, backup.id);
    expect((await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).state).toBe('COMPLETED');
    const later = await withDatabase(tenant, async (db) => {
      const counts = await Promise.all(['activity_logs', 'customers', 'orders', 'roles', 'widgets'].map(async (name) => [name, await db.collection(name).countDocuments({ later: true })] as const));
      return counts.flatMap(([name, count]) => (count > 0 ? [name] : []));
    });
    expect(later).toEqual(['activity_logs', 'customers', 'orders', 'roles', 'widgets'].filter((name) => !names.includes(name)));
  });

  it('takes what the rules say when it begins, for the tenant that it is of', async () => {
    const tenant = await shop();
    await saveRules(tenant, [{ pattern: 'widgets', dataClass: 'TRANSACTION', resettable: false }]);
    expect((await takeBackup(admin, tenant.id, { scope: 'TRANSACTIONS' })).contents.map(({ name }) => name)).toEqual(['activity_logs', 'orders', 'widgets']);
    const other = await shop();
    expect(await ended(admin, idOf(await backupCreate(admin, other.id, { scope: 'TRANSACTIONS' })))).toMatchObject({ state: 'COMPLETED' });
  });
});
