import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestMember, createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { startMongod, testMongo } from '../support/servers.ts';

let app: TestApp;
let admin: GraphqlClient;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(() => app.stop());

interface Payload {
  readonly tenant: { id: string; name: string; slug: string; timeZone: string } | null;
  readonly userErrors: readonly { code: string; message: string; field: string[] | null }[];
}

async function create(overrides: Record<string, unknown> = {}, target: Record<string, unknown> = {}): Promise<Payload> {
  const { uri, database } = await testMongo();
  const input = { slug: `t-${database.slice(-8)}`, name: 'Acme', environment: 'SANDBOX', timeZone: 'UTC', target: { engine: 'MONGODB', uri, database, ...target }, ...overrides };
  const { tenantCreate } = await admin.run<{ tenantCreate: Payload }>(
    'mutation ($input: TenantCreateInput!) { tenantCreate(input: $input) { tenant { id name slug timeZone } userErrors { code message field } } }',
    { input },
  );
  return tenantCreate;
}

async function update(client: GraphqlClient, input: Record<string, unknown>): Promise<Payload> {
  const { tenantUpdate } = await client.run<{ tenantUpdate: Payload }>(
    'mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { tenant { id name slug timeZone } userErrors { code message field } } }',
    { input },
  );
  return tenantUpdate;
}

async function auditOf(id: string): Promise<{ action: string; outcome: string; actor: { email: string }; detail: { name: string; value: string }[] }[]> {
  const { tenant } = await admin.run<{ tenant: { auditEvents: { edges: { node: { action: string; outcome: string; actor: { email: string }; detail: { name: string; value: string }[] } }[] } } }>(
    'query ($id: ID!) { tenant(id: $id) { auditEvents(first: 100) { edges { node { action outcome actor { email } detail { name value } } } } } }',
    { id },
  );
  return tenant.auditEvents.edges.map(({ node }) => node);
}

describe('tenantCreate', () => {
  it('tests the target and keeps the tenant', async () => {
    const { tenant, userErrors } = await create({ name: "Café «Ünïcode» 'quoted' 商", timeZone: 'Asia/Tokyo' });
    expect(userErrors).toEqual([]);
    expect(tenant).toMatchObject({ name: "Café «Ünïcode» 'quoted' 商", timeZone: 'Asia/Tokyo' });
    expect((await auditOf(tenant?.id ?? '')).map(({ action }) => action)).toEqual(['tenant.created']);
  });

  it('keeps names in Unicode NFC', async () => {
    expect((await create({ name: 'Café' })).tenant?.name).toBe('Café');
  });

  it.each([
    ['empty', ''],
    ['of blanks', '   '],
    ['with a blank at its end', 'Acme '],
    ['with a line break', 'Ac\nme'],
    ['with a direction override', 'Acme\u202Egnp'],
    ['of 121 characters', 'x'.repeat(121)],
  ])('refuses a name that is %s', async (_what, name) => {
    await expect(create({ name })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('refuses a second tenant on one database, and a slug that is taken', async () => {
    const { uri, database } = await testMongo();
    const { tenant } = await create({}, { uri, database });
    expect((await create({}, { uri, database })).userErrors).toMatchObject([{ code: 'TARGET_IN_USE', field: ['target', 'database'] }]);
    expect((await create({}, { uri, database: database.toUpperCase() })).userErrors).toMatchObject([{ code: 'TARGET_IN_USE', field: ['target', 'database'] }]);
    expect((await create({ slug: tenant?.slug })).userErrors).toMatchObject([{ code: 'SLUG_TAKEN', field: ['slug'] }]);
  });

  it.each(['admin', 'local', 'config', 'Admin'])('refuses the database %s', async (database) => {
    expect((await create({}, { database })).userErrors).toMatchObject([{ code: 'TARGET_REFUSED' }]);
  });

  it('names what is wrong with a target', async () => {
    const { uri } = await testMongo();
    expect((await create({}, { engine: 'POSTGRESQL' })).userErrors).toMatchObject([{ code: 'ENGINE_UNSUPPORTED' }]);
    expect((await create({}, { uri: 'http://elsewhere' })).userErrors).toMatchObject([{ code: 'TARGET_INVALID' }]);
    expect((await create({}, { database: 'a b' })).userErrors).toMatchObject([{ code: 'TARGET_INVALID' }]);
    expect((await create({}, { uri: 'mongodb://user:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=500' })).userErrors).toMatchObject([{ code: 'TARGET_UNREACHABLE' }]);
    expect(uri).toContain('mongodb://');
  });

  it('tells a wrong password from missing privileges', async () => {
    const server = await startMongod({ auth: true });
    try {
      const wrong = new URL(server.uri);
      wrong.password = 'hunter2';
      const refused = await create({}, { uri: wrong.href, database: 'shop' });
      expect(refused.userErrors).toMatchObject([{ code: 'TARGET_AUTH_FAILED' }]);
      expect(JSON.stringify(refused)).not.toContain('hunter2');
    } finally {
      await server.stop();
    }
  });
});

describe('tenantUpdate', () => {
  it('moves the target as a whole, for the provider alone, and is audited', async () => {
    const tenant = await createTestTenant(admin);
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const { uri, database } = await testMongo();
    await expect(update(owner, { tenantId: tenant.id, target: { uri, database } })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(update(admin, { tenantId: tenant.id, target: { database } })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    expect((await update(admin, { tenantId: tenant.id, target: { uri, database } })).userErrors).toEqual([]);
    const { tenant: seen } = await admin.run<{ tenant: { database: { name: string; error: string | null } } }>('query ($id: ID!) { tenant(id: $id) { database { name error } } }', { id: tenant.id });
    expect(seen.database).toEqual({ name: database, error: null });
    const [event] = await auditOf(tenant.id);
    expect(event).toMatchObject({ action: 'tenant.target-changed', outcome: 'OK', actor: { email: app.config.admin?.email } });
  });

  it('refuses the target of another tenant and records the refusal', async () => {
    const [one, other] = [await createTestTenant(admin), await createTestTenant(admin)];
    expect((await update(admin, { tenantId: one.id, target: { uri: other.uri, database: other.database } })).userErrors).toMatchObject([{ code: 'TARGET_IN_USE' }]);
    expect((await update(admin, { tenantId: one.id, target: { uri: other.uri, database: 'admin' } })).userErrors).toMatchObject([{ code: 'TARGET_REFUSED' }]);
    expect((await auditOf(one.id)).filter(({ outcome }) => outcome === 'REFUSED')).toHaveLength(2);
  });

  it('lets an owner rename the tenant', async () => {
    const tenant = await createTestTenant(admin);
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    expect((await update(owner, { tenantId: tenant.id, name: 'Renamed' })).tenant).toMatchObject({ name: 'Renamed', timeZone: 'Europe/Berlin' });
  });
});

describe('a tenant', () => {
  it('says why its database cannot be described, without failing', async () => {
    const server = await startMongod();
    const tenant = await createTestTenant(admin, { uri: server.uri, database: 'shop' });
    await server.stop();
    const { tenant: seen } = await admin.run<{ tenant: { name: string; database: { error: string | null; version: string | null } } }>(
      'query ($id: ID!) { tenant(id: $id) { name database { error version } } }',
      { id: tenant.id },
    );
    expect(seen).toMatchObject({ name: tenant.name, database: { version: null, error: expect.any(String) } });
  });

  it('is found by pages, by text and by status', async () => {
    const made = [await createTestTenant(admin, { name: 'Page%100' }), await createTestTenant(admin, { name: 'Page%100 two' }), await createTestTenant(admin, { name: 'Page9100' })];
    const page = 'query ($after: String, $filter: TenantFilter) { tenants(first: 1, after: $after, filter: $filter) { totalCount pageInfo { hasNextPage endCursor } edges { node { id } } } }';
    interface Page {
      readonly tenants: { totalCount: number; pageInfo: { hasNextPage: boolean; endCursor: string }; edges: { node: { id: string } }[] };
    }
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const { tenants }: Page = await admin.run<Page>(page, { after, filter: { text: 'page%' } });
      expect(tenants.totalCount).toBe(2);
      seen.push(...tenants.edges.map(({ node }) => node.id));
      after = tenants.pageInfo.hasNextPage ? tenants.pageInfo.endCursor : null;
    } while (after !== null);
    expect(seen).toEqual([made[1]?.id, made[0]?.id]);
    await admin.run('mutation ($input: TenantSuspendInput!) { tenantSuspend(input: $input) { userErrors { code } } }', { input: { tenantId: made[0]?.id } });
    const { tenants } = await admin.run<Page>(page, { filter: { status: 'SUSPENDED' } });
    expect(tenants.edges.map(({ node }) => node.id)).toEqual([made[0]?.id]);
  });
});
