import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { EmbeddedTokens } from '../../src/platform/auth/embedded-tokens.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, makePlan, restoreStart, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
const logged: string[] = [];

beforeAll(async () => {
  app = await startTestApp({ env: { HOLDFAST_TRUSTED_PROXIES: 'loopback', HOLDFAST_LOG_LEVEL: 'trace' }, onLogLine: (line) => void logged.push(line) });
  admin = await app.loginAsAdmin();
});
afterAll(() => app?.stop());

interface KeyAnswer {
  readonly id: string;
  readonly name: string;
  readonly masked: string;
  readonly permissions: readonly string[];
  readonly expiresAt: string;
  readonly usedAt: string | null;
  readonly revokedAt: string | null;
  readonly createdBy: { readonly email: string };
}

interface CreateAnswer {
  readonly apiKey: KeyAnswer | null;
  readonly key: string | null;
  readonly userErrors: readonly UserErrorAnswer[];
}

const fields = 'id name masked permissions expiresAt usedAt revokedAt createdBy { email }';
const creating = `mutation ($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { apiKey { ${fields} } key userErrors { code message field hint } } }`;
const seen = 'query ($id: ID!) { tenant(id: $id) { name } }';
const updates = 'subscription ($id: ID!) { tenantUpdated(id: $id) { name } }';
const reading = ['BACKUP_READ'];

async function create(client: GraphqlClient, tenantId: string | null, permissions: readonly string[], input: object = {}): Promise<{ readonly apiKey: KeyAnswer; readonly client: GraphqlClient; readonly key: string }> {
  const { apiKeyCreate } = await client.run<{ apiKeyCreate: CreateAnswer }>(creating, { input: { ...(tenantId === null ? {} : { tenantId }), name: 'Nightly', permissions, ...input } });
  if (apiKeyCreate.apiKey === null || apiKeyCreate.key === null) throw new Error(JSON.stringify(apiKeyCreate.userErrors));
  return { apiKey: apiKeyCreate.apiKey, key: apiKeyCreate.key, client: app.clientFor(apiKeyCreate.key) };
}

const refused = (client: GraphqlClient, tenantId: string | null, permissions: readonly string[], input: object = {}): Promise<string | null> =>
  client.codeOf(creating, { input: { ...(tenantId === null ? {} : { tenantId }), name: 'Nightly', permissions, ...input } });

async function revoke(client: GraphqlClient, apiKeyId: string): Promise<KeyAnswer> {
  return (await client.run<{ apiKeyRevoke: { apiKey: KeyAnswer } }>(`mutation ($input: ApiKeyRevokeInput!) { apiKeyRevoke(input: $input) { apiKey { ${fields} } userErrors { code } } }`, { input: { apiKeyId } })).apiKeyRevoke.apiKey;
}

async function keysOf(client: GraphqlClient, tenantId: string): Promise<KeyAnswer[]> {
  const { tenant } = await client.run<{ tenant: { apiKeys: { edges: { node: KeyAnswer }[] } } }>(`query ($id: ID!) { tenant(id: $id) { apiKeys { edges { node { ${fields} } } } } }`, { id: tenantId });
  return tenant.apiKeys.edges.map(({ node }) => node);
}

async function workspace(): Promise<{ readonly tenant: TestTenant; readonly owner: GraphqlClient & { readonly email: string } }> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => db.collection('orders').insertOne({ total: 1 }));
  return { tenant, owner: await createTestMember(app, admin, tenant.id, 'OWNER') };
}

const setPolicy = (tenantId: string, policy: object): Promise<unknown> =>
  admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId, ...policy } });

async function memberId(tenantId: string, email: string): Promise<string> {
  const { tenant } = await admin.run<{ tenant: { members: { edges: { node: { id: string; email: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { members(first: 100) { edges { node { id email } } } } }', { id: tenantId });
  return tenant.members.edges.find(({ node }) => node.email === email)?.node.id ?? '';
}

async function sql<Row>(statement: string, values: unknown[]): Promise<Row[]> {
  return app.nest.get(DataSource, { strict: false }).query(statement, values);
}

describe('an API key', () => {
  it('does what its permissions say, in its workspace alone, and is shown once', async () => {
    const { tenant, owner } = await workspace();
    const other = await createTestTenant(admin);
    const { apiKey, client, key } = await create(owner, tenant.id, ['BACKUP_CREATE', 'BACKUP_READ', 'BACKUP_READ']);
    expect(key).toMatch(/^hfk_[\w-]{43}$/);
    expect(apiKey).toMatchObject({ name: 'Nightly', masked: `hfk_…${key.slice(-4)}`, permissions: ['BACKUP_CREATE', 'BACKUP_READ'], usedAt: null, revokedAt: null, createdBy: { email: owner.email } });
    const inDays = (new Date(apiKey.expiresAt).getTime() - Date.now()) / 86_400_000;
    expect(Math.round(inDays)).toBe(365);

    expect(await client.run(seen, { id: tenant.id })).toEqual({ tenant: { name: tenant.name } });
    expect(await client.run('{ viewer { email isProvider } tenants { totalCount } }')).toEqual({ viewer: { email: null, isProvider: false }, tenants: { totalCount: 1 } });
    const backup = await takeBackup(client, tenant.id);
    expect(await client.codeOf('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId: backup.id } })).toBe('FORBIDDEN');
    expect(await client.codeOf('query ($id: ID!) { tenant(id: $id) { members { totalCount } } }', { id: tenant.id })).toBe('FORBIDDEN');
    expect(await client.codeOf(seen, { id: other.id })).toBe('NOT_FOUND');
    expect(await client.codeOf('{ alerts { totalCount } }')).toBe('FORBIDDEN');
    await using subscription = client.subscribe<{ tenantUpdated: { name: string } }>(updates, { id: tenant.id });
    expect((await subscription.nextData()).tenantUpdated.name).toBe(tenant.name);

    const [listed] = await keysOf(owner, tenant.id);
    expect(listed).toMatchObject({ id: apiKey.id, usedAt: expect.any(String) });
    const rows = await sql<Record<string, unknown>>('select * from api_key where id = $1', [parseGlobalId(apiKey.id)!.uuid]);
    expect(JSON.stringify(rows.map((row) => ({ ...row, key_hash: String(row['key_hash']) })))).not.toContain(key.slice(4, -4));
    const { tenant: audited } = await owner.run<{ tenant: { auditEvents: { edges: { node: { action: string; actor: { kind: string; name: string } } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { auditEvents(first: 100) { edges { node { action actor { kind name } } } } } }', { id: tenant.id });
    const by = (action: string): unknown => audited.auditEvents.edges.find(({ node }) => node.action === action)?.node.actor;
    expect(by('backup.created')).toEqual({ kind: 'API_KEY', name: 'Nightly' });
    expect(by('api-key.created')).toMatchObject({ kind: 'ACCOUNT' });
    expect(logged.join()).not.toContain(key);
  });

  it('is refused once it was revoked, and its sockets close, in another process too', async () => {
    const { tenant, owner } = await workspace();
    const { apiKey, client } = await create(owner, tenant.id, reading);
    const second = await startTestApp({ databaseUrl: app.config.databaseUrl });
    try {
      const subscription = client.subscribe(updates, { id: tenant.id });
      await subscription.next();
      const next = subscription.next();
      expect(await revoke(await second.loginAsAdmin(), apiKey.id)).toMatchObject({ id: apiKey.id, revokedAt: expect.any(String) });
      await expect(next).rejects.toMatchObject({ name: 'SocketClosed', code: 4403 });
    } finally {
      await second.stop();
    }
    expect(await client.codeOf(seen, { id: tenant.id })).toBe('UNAUTHENTICATED');
    expect((await keysOf(owner, tenant.id)).map(({ revokedAt }) => typeof revokedAt)).toEqual(['string']);
  });

  it('ends at its time', async () => {
    const { tenant, owner } = await workspace();
    const { apiKey, client } = await create(owner, tenant.id, reading);
    expect(await client.codeOf(seen, { id: tenant.id })).toBeNull();
    await sql(`update api_key set expires_at = clock_timestamp() where id = $1`, [parseGlobalId(apiKey.id)!.uuid]);
    expect(await client.codeOf(seen, { id: tenant.id })).toBe('UNAUTHENTICATED');
    for (const expiresAt of [new Date(0), new Date(Date.now() + 3 * 365 * 86_400_000)]) expect(await refused(owner, tenant.id, reading, { expiresAt: expiresAt.toISOString() })).toBe('BAD_USER_INPUT');
  });

  it('is made by a person, of permissions that this person has and that are not for people alone', async () => {
    const { tenant, owner } = await workspace();
    const operator = await createTestMember(app, admin, tenant.id, 'OPERATOR');
    const { client } = await create(owner, tenant.id, ['TENANT_MANAGE', 'BACKUP_READ', 'SCHEDULE_MANAGE']);
    expect(await refused(operator, tenant.id, reading)).toBe('FORBIDDEN');
    expect(await refused(client, tenant.id, reading)).toBe('FORBIDDEN');
    expect(await client.codeOf('mutation ($input: CronKeyRotateInput!) { cronKeyRotate(input: $input) { cronKey } }', { input: { tenantId: tenant.id } })).toBe('FORBIDDEN');
    expect(await refused((await workspace()).owner, tenant.id, reading)).toBe('NOT_FOUND');
    expect(await refused(owner, null, reading)).toBe('FORBIDDEN');
    for (const permission of ['APPROVE', 'MEMBER_MANAGE', 'RESET_RUN']) expect(await refused(owner, tenant.id, [permission])).toBe('BAD_USER_INPUT');
    expect(await refused(owner, tenant.id, [])).toBe('BAD_USER_INPUT');
    for (const bad of ['hfk_', `hfk_${'A'.repeat(43)}`, `hfk_${'é'}`]) expect(await app.clientFor(bad).codeOf('{ viewer { id } }').catch(() => 'UNAUTHENTICATED')).toBe('UNAUTHENTICATED');
  });

  it('is bound by the address rules of its workspace', async () => {
    const { tenant, owner } = await workspace();
    const { client } = await create(owner, tenant.id, reading);
    await owner.via('203.0.113.7').run('mutation ($input: AddressRulesUpdateInput!) { addressRulesUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, rules: [{ range: '203.0.113.0/24' }] } });
    expect(await client.via('203.0.113.9').codeOf(seen, { id: tenant.id })).toBeNull();
    expect(await client.via('198.51.100.9').codeOf(seen, { id: tenant.id })).toBe('ADDRESS_REFUSED');
    expect(await client.via('198.51.100.9').run('{ tenants { totalCount } }')).toEqual({ tenants: { totalCount: 0 } });
  });

  it('passes neither a fresh login nor a second person, nor announces work', async () => {
    const { tenant, owner } = await workspace();
    const { client } = await create(owner, tenant.id, ['RESTORE_RUN', 'BACKUP_READ', 'BACKUP_CREATE']);
    const backup = await takeBackup(client, tenant.id);
    const plan = await makePlan(client, tenant.id, backup.id);
    expect(await client.codeOf('mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } } }', { input: { planId: plan.id, confirmName: tenant.name, startAt: new Date(Date.now() + 3_600_000).toISOString() } })).toBe('FORBIDDEN');
    await setPolicy(tenant.id, { stepUpMinutes: 1440 });
    expect(await restoreStart(client, plan.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'STEP_UP_REQUIRED', message: expect.stringContaining('API key') }] });
    await setPolicy(tenant.id, { stepUpMinutes: 0, approvals: ['RESTORE'] });
    expect(await restoreStart(client, plan.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'APPROVAL_REQUIRED', message: expect.stringContaining('API key') }] });
    expect(await client.codeOf('mutation ($input: ApprovalRequestInput!) { approvalRequest(input: $input) { approval { id } } }', { input: { action: 'RESTORE', subjectId: plan.id } })).toBe('FORBIDDEN');
    expect(await client.codeOf('mutation ($input: ResetBeginInput!) { resetBegin(input: $input) { reset { id } } }', { input: { tenantId: tenant.id, reason: 'TESTING' } })).toBe('FORBIDDEN');
    await setPolicy(tenant.id, { approvals: [] });
    expect(await restoreStart(client, plan.id, tenant.name)).toMatchObject({ userErrors: [] });
  });

  it('is made after a fresh login where the policy wants one', async () => {
    const { tenant, owner } = await workspace();
    await setPolicy(tenant.id, { stepUpMinutes: 60 });
    const { viewer } = await owner.run<{ viewer: { id: string } }>('{ viewer { id } }');
    const account = { id: Buffer.from(viewer.id, 'base64url').toString().replace('Viewer:account:', ''), tokenEpoch: 0 };
    const { accessToken } = await app.nest.get(EmbeddedTokens, { strict: false }).issue(account, new Date(Date.now() - 2 * 3_600_000));
    expect((await app.clientFor(accessToken).run<{ apiKeyCreate: CreateAnswer }>(creating, { input: { tenantId: tenant.id, name: 'Stale', permissions: reading } })).apiKeyCreate).toMatchObject({ apiKey: null, key: null, userErrors: [{ code: 'STEP_UP_REQUIRED' }] });
    expect((await owner.run<{ apiKeyCreate: CreateAnswer }>(creating, { input: { tenantId: tenant.id, name: 'Fresh', permissions: reading } })).apiKeyCreate.userErrors).toEqual([]);
  });

  it('ends with the rights of whoever made it', async () => {
    const { tenant } = await workspace();
    const maker = await createTestMember(app, admin, tenant.id, 'ADMIN');
    const [manager, reader, foreign] = [await create(maker, tenant.id, ['TENANT_MANAGE']), await create(maker, tenant.id, reading), await create(admin, tenant.id, ['TENANT_MANAGE'])];
    const codes = (): Promise<(string | null)[]> => Promise.all([manager, reader, foreign].map(({ client }) => client.codeOf(seen, { id: tenant.id })));
    const id = await memberId(tenant.id, maker.email);
    await admin.run('mutation ($input: MemberSetRoleInput!) { memberSetRole(input: $input) { userErrors { code } } }', { input: { memberId: id, role: 'VIEWER' } });
    expect(await codes()).toEqual(['UNAUTHENTICATED', null, null]);
    await admin.run('mutation ($input: MemberRemoveInput!) { memberRemove(input: $input) { userErrors { code } } }', { input: { memberId: id } });
    expect(await codes()).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', null]);
  });

  it('of the provider is good in every workspace, and does nothing that is the provider\'s', async () => {
    const [one, other] = [await workspace(), await workspace()];
    const { client, apiKey } = await create(admin, null, ['BACKUP_READ', 'BACKUP_CREATE', 'TENANT_MANAGE']);
    for (const { tenant } of [one, other]) expect((await backupCreate(client, tenant.id)).userErrors).toEqual([]);
    expect(await client.codeOf('mutation ($input: TenantSuspendInput!) { tenantSuspend(input: $input) { userErrors { code } } }', { input: { tenantId: one.tenant.id } })).toBe('FORBIDDEN');
    expect(await client.codeOf('{ apiKeys { totalCount } }')).toBe('FORBIDDEN');
    const { tenantPolicyUpdate } = await client.run<{ tenantPolicyUpdate: { userErrors: UserErrorAnswer[] } }>('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: one.tenant.id, allowDownload: false } });
    expect(tenantPolicyUpdate.userErrors).toMatchObject([{ code: 'POLICY_PROVIDER_ONLY' }]);
    expect(await one.owner.codeOf('query ($id: ID!) { node(id: $id) { id } }', { id: apiKey.id })).toBe('NOT_FOUND');
    expect((await admin.run<{ apiKeys: { edges: { node: KeyAnswer }[] } }>(`{ apiKeys { edges { node { ${fields} } } } }`)).apiKeys.edges.map(({ node }) => node.id)).toEqual([apiKey.id]);
    await revoke(admin, apiKey.id);
    expect(await client.codeOf(seen, { id: other.tenant.id })).toBe('UNAUTHENTICATED');
  });
});
