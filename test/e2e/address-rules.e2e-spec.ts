import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestMember, createTestTenant, startTestApp, type TestApp, testAdmin, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import { GraphqlClient, SocketClosed } from '../support/graphql-client.ts';
import { addressOf, sha256Of, uploadCreate } from '../support/upload-calls.ts';

const office = '203.0.113.7';
const home = '198.51.100.9';

/** Believes proxies on this machine; the second one believes nobody. */
let app: TestApp;
let unproxied: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp({ env: { HOLDFAST_TRUSTED_PROXIES: 'loopback' } });
  unproxied = await startTestApp({ databaseUrl: app.config.databaseUrl, env: { HOLDFAST_DATA_DIR: app.config.dataDir } });
  admin = await app.loginAsAdmin();
});
afterAll(async () => {
  await unproxied?.stop();
  await app?.stop();
});

interface Rule {
  readonly range: string;
  readonly permission?: string | null;
  readonly note?: string;
}

async function setRules(client: GraphqlClient, tenantId: string, rules: readonly Rule[]): Promise<readonly UserErrorAnswer[]> {
  const answer = await client.run<{ addressRulesUpdate: { userErrors: UserErrorAnswer[] } }>(
    'mutation ($input: AddressRulesUpdateInput!) { addressRulesUpdate(input: $input) { tenant { id } userErrors { code message field hint } } }',
    { input: { tenantId, rules } },
  );
  return answer.addressRulesUpdate.userErrors;
}

async function workspace(): Promise<{ readonly tenant: TestTenant; readonly owner: GraphqlClient & { readonly email: string } }> {
  const tenant = await createTestTenant(admin);
  return { tenant, owner: await createTestMember(app, admin, tenant.id, 'OWNER') };
}

async function fenced(rules: readonly Rule[] = [{ range: '203.0.113.0/24' }]): Promise<{ readonly tenant: TestTenant; readonly owner: GraphqlClient & { readonly email: string } }> {
  const made = await workspace();
  expect(await setRules(made.owner.via(office), made.tenant.id, rules)).toEqual([]);
  return made;
}

const seen = 'query ($id: ID!) { tenant(id: $id) { name addressRules { range permission note } } }';
const updates = 'subscription ($id: ID!) { tenantUpdated(id: $id) { name } }';

interface AuditAnswer {
  readonly outcome: string;
  readonly detail: readonly { readonly name: string; readonly value: string | null }[];
  readonly address: string | null;
}

async function auditOf(client: GraphqlClient, tenantId: string, action: string): Promise<AuditAnswer[]> {
  const { tenant } = await client.run<{ tenant: { auditEvents: { edges: { node: AuditAnswer }[] } } }>(
    'query ($id: ID!, $filter: AuditFilter) { tenant(id: $id) { auditEvents(first: 100, filter: $filter) { edges { node { outcome detail { name value } address } } } } }',
    { id: tenantId, filter: { action } },
  );
  return tenant.auditEvents.edges.map(({ node }) => node);
}

describe('address rules', () => {
  it('let nobody of the workspace in from elsewhere, and show it to nobody there', async () => {
    const { tenant, owner } = await fenced([{ range: '203.0.113.0/24', note: 'Office' }, { range: '2001:db8::/32' }]);
    for (const allowed of [office, '2001:db8::17', `::ffff:${office}`]) {
      expect(await owner.via(allowed).run(seen, { id: tenant.id })).toMatchObject({
        tenant: { addressRules: [{ range: '203.0.113.0/24', permission: null, note: 'Office' }, { range: '2001:db8::/32', permission: null, note: null }] },
      });
    }
    for (const refused of [home, '2001:db9::1', `::ffff:${home}`, 'unknown']) expect(await owner.via(refused).codeOf(seen, { id: tenant.id })).toBe('ADDRESS_REFUSED');
    expect(await owner.codeOf(seen, { id: tenant.id })).toBe('ADDRESS_REFUSED');
    expect(await owner.via(home).run('{ tenants { totalCount } viewer { address tenants { totalCount } } }')).toEqual({ tenants: { totalCount: 0 }, viewer: { address: home, tenants: { totalCount: 0 } } });
    const { errors } = await owner.via(home).send(seen, { id: tenant.id });
    expect(errors?.[0]?.extensions.hint).toContain('address');
  });

  it('bind one workspace alone: whoever is in two uses the other one from anywhere', async () => {
    const { tenant, owner } = await fenced();
    const other = await createTestTenant(admin);
    await admin.run('mutation ($input: MemberInviteInput!) { memberInvite(input: $input) { userErrors { code } } }', { input: { tenantId: other.id, email: owner.email, role: 'VIEWER' } });
    expect(await owner.via(home).run('{ tenants { edges { node { id } } } }')).toEqual({ tenants: { edges: [{ node: { id: other.id } }] } });
    await using subscription = owner.via(home).subscribe<{ tenantUpdated: { name: string } }>(updates, { id: other.id });
    expect((await subscription.nextData()).tenantUpdated.name).toBe(other.name);
    await using refused = owner.via(home).subscribe(updates, { id: tenant.id });
    await expect(refused.nextData()).rejects.toMatchObject({ code: 'ADDRESS_REFUSED' });
  });

  it('of one permission bind that one alone', async () => {
    const { tenant, owner } = await fenced([{ range: '203.0.113.0/24', permission: 'BACKUP_DELETE' }]);
    const actions = async (client: GraphqlClient): Promise<{ permission: string; allowed: boolean; reason: string | null }[]> =>
      (await client.run<{ tenant: { actions: { permission: string; allowed: boolean; reason: string | null }[] } }>('query ($id: ID!) { tenant(id: $id) { actions { permission allowed reason } } }', { id: tenant.id })).tenant.actions;
    const fromHome = await actions(owner.via(home));
    expect(fromHome.filter(({ allowed }) => !allowed)).toEqual([{ permission: 'BACKUP_DELETE', allowed: false, reason: `The workspace does not allow BACKUP_DELETE from the address ${home}` }]);
    expect((await actions(owner.via(office))).every(({ allowed }) => allowed)).toBe(true);
    await withDatabase(tenant, (db) => db.collection('orders').insertOne({ total: 1 }));
    const backup = await takeBackup(owner.via(home), tenant.id);
    const remove = 'mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }';
    expect(await owner.via(home).codeOf(remove, { input: { backupId: backup.id } })).toBe('ADDRESS_REFUSED');
    expect(await owner.via(office).run(remove, { input: { backupId: backup.id } })).toMatchObject({ backupDelete: { userErrors: [{ code: 'BACKUP_PROTECTED' }] } });
  });

  it('are not lifted by a forged header: what a client writes itself is no proxy', async () => {
    const { tenant, owner } = await fenced();
    const direct = new GraphqlClient(unproxied.url, owner.accessToken);
    for (const forged of [office, `${office}, ${office}`]) {
      expect(await direct.via(forged).codeOf(seen, { id: tenant.id })).toBe('ADDRESS_REFUSED');
      await expect(direct.via(forged).subscribe(updates, { id: tenant.id }).next()).rejects.toMatchObject({ name: 'SocketClosed', code: 4403, reason: 'Address not allowed' });
    }
    // Behind a proxy the last address that no proxy of ours wrote counts, whatever the client put before it.
    expect(await owner.via(`${office}, ${home}`).codeOf(seen, { id: tenant.id })).toBe('ADDRESS_REFUSED');
    await expect(owner.via(`${office}, ${home}`).subscribe(updates, { id: tenant.id }).next()).rejects.toBeInstanceOf(SocketClosed);
    expect(await owner.via(`${home}, ${office}`).codeOf(seen, { id: tenant.id })).toBeNull();
  });

  it('that change close the sockets that they no longer allow, in every process, and no others', async () => {
    const { tenant, owner } = await workspace();
    const bystander = await createTestMember(app, admin, (await createTestTenant(admin)).id, 'VIEWER');
    const { viewer } = await bystander.run<{ viewer: { tenants: { edges: { node: { id: string } }[] } } }>('{ viewer { tenants { edges { node { id } } } } }');
    await using allowed = owner.via(office).subscribe<{ tenantUpdated: { name: string } }>(updates, { id: tenant.id });
    await using elsewhere = bystander.via(home).subscribe<{ tenantUpdated: { name: string } }>(updates, { id: viewer.tenants.edges[0]?.node.id });
    const refused = [owner.via(home), new GraphqlClient(unproxied.url, owner.accessToken)].map((client) => client.subscribe(updates, { id: tenant.id }));
    for (const subscription of [allowed, elsewhere, ...refused]) await subscription.next();
    const ends = refused.map((subscription) => subscription.next());
    expect(await setRules(owner.via(office), tenant.id, [{ range: office }])).toEqual([]);
    for (const end of ends) await expect(end).rejects.toMatchObject({ code: 4403, reason: 'Address not allowed' });
    await allowed.nextData();
    await owner.via(office).run('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, name: 'Still there' } });
    expect((await allowed.nextData()).tenantUpdated.name).toBe('Still there');
    const still = elsewhere.next();
    await admin.run('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: viewer.tenants.edges[0]?.node.id, name: 'Not concerned' } });
    expect((await still).value).toMatchObject({ data: { tenantUpdated: { name: 'Not concerned' } } });
  });
});

describe('links', () => {
  let tenant: TestTenant;
  let owner: GraphqlClient;
  let backup: BackupAnswer;
  beforeAll(async () => {
    ({ tenant, owner } = await workspace());
    await withDatabase(tenant, (db) => db.collection('orders').insertOne({ total: 1 }));
    backup = await takeBackup(owner, tenant.id);
    expect(await setRules(owner.via(office), tenant.id, [{ range: '203.0.113.0/24' }])).toEqual([]);
  });

  const from = (url: string, address: string, init: RequestInit = {}): Promise<Response> => fetch(url, { ...init, headers: { ...init.headers, 'x-forwarded-for': address } });

  async function refusedFrom(response: Promise<Response>): Promise<void> {
    const answer = await response;
    expect([answer.status, await answer.json()]).toMatchObject([403, { error: { code: 'ADDRESS_REFUSED' } }]);
  }

  it('of downloads work from an allowed address alone', async () => {
    const { downloadCreate } = await owner.via(office).run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url userErrors { code } } }', { input: { backupId: backup.id } });
    const { pathname } = new URL(downloadCreate.url);
    await refusedFrom(from(`${app.url}${pathname}`, home));
    await refusedFrom(from(`${unproxied.url}${pathname}`, office));
    expect((await from(`${app.url}${pathname}`, office)).status).toBe(200);
  });

  it('of uploads work from an allowed address alone', async () => {
    const bytes = Buffer.alloc(100, 1);
    const { upload } = await uploadCreate(owner.via(office), tenant.id, 'a.gz.enc', bytes, { sha256: sha256Of(bytes) });
    if (upload === null) throw new Error('No upload');
    const path = new URL(addressOf(app.url, upload)).pathname;
    const headers = { 'tus-resumable': '1.0.0', 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' };
    await refusedFrom(from(`${app.url}${path}`, home, { method: 'PATCH', body: new Uint8Array(bytes), headers }));
    expect((await from(`${unproxied.url}${path}`, office, { method: 'HEAD', headers })).status).toBe(403);
    expect((await from(`${app.url}${path}`, office, { method: 'PATCH', body: new Uint8Array(bytes), headers })).status).toBe(204);
  });

  it('of exports work from an allowed address alone, and are not used up elsewhere', async () => {
    const { historyExport } = await owner.via(office).run<{ historyExport: { url: string } }>('mutation ($input: HistoryExportInput!) { historyExport(input: $input) { url userErrors { code } } }', { input: { tenantId: tenant.id } });
    const { pathname } = new URL(historyExport.url);
    await refusedFrom(from(`${app.url}${pathname}`, home));
    expect((await from(`${app.url}${pathname}`, office)).status).toBe(200);
  });

  it('of cron are not bound: they have a key of their own', async () => {
    const { cronKeyRotate } = await owner.via(office).run<{ cronKeyRotate: { cronKey: string } }>('mutation ($input: CronKeyRotateInput!) { cronKeyRotate(input: $input) { cronKey userErrors { code } } }', { input: { tenantId: tenant.id } });
    expect((await from(`${app.url}/cron/${tenant.slug}`, home, { method: 'POST', headers: { authorization: `Bearer ${cronKeyRotate.cronKey}` } })).status).toBe(202);
  });
});

describe('whoever saves rules', () => {
  it('cannot lock themselves out, and it is audited', async () => {
    const { tenant, owner } = await workspace();
    for (const rules of [[{ range: '192.0.2.0/24' }], [{ range: office }, { range: '192.0.2.0/24', permission: 'TENANT_MANAGE' }]]) {
      expect(await setRules(owner.via(office), tenant.id, rules)).toMatchObject([{ code: 'ADDRESS_RULES_LOCKOUT', field: ['rules'] }]);
      expect(await setRules(admin.via(office), tenant.id, rules)).toMatchObject([{ code: 'ADDRESS_RULES_LOCKOUT' }]);
    }
    expect(await setRules(owner.via(office), tenant.id, [{ range: office }, { range: '192.0.2.0/24', permission: 'RESTORE_RUN' }])).toEqual([]);
    const events = await auditOf(owner.via(office), tenant.id, 'address-rules.changed');
    expect(events.map(({ outcome }) => outcome)).toEqual(['OK', 'REFUSED', 'REFUSED', 'REFUSED', 'REFUSED']);
    expect(events[0]).toMatchObject({ address: office });
    expect(JSON.stringify(events[0])).toContain(`${office}/32, 192.0.2.0/24 for RESTORE_RUN`);
  });

  it.each([
    ['10.0.0.300', 'neither'],
    ['office.example', 'neither'],
    ['203.0.113.7/24', 'inside of the range 203.0.113.0/24'],
    ['2001:db8::1/32', 'inside of the range 2001:db8::/32'],
  ])('is told what is wrong with %s', async (range, message) => {
    const { tenant, owner } = await workspace();
    expect(await setRules(owner, tenant.id, [{ range: '127.0.0.1' }, { range }])).toMatchObject([{ code: 'ADDRESS_RANGE_INVALID', field: ['rules', '1', 'range'], message: expect.stringContaining(message) }]);
  });
});

describe('the provider', () => {
  const lift = 'mutation ($input: AddressRulesLiftInput!) { addressRulesLift(input: $input) { tenant { addressRules { range } } userErrors { code } } }';

  it('sees that backups run from anywhere, and needs an allowed address for what gives out data or changes something', async () => {
    const { tenant } = await fenced();
    const provider = admin.via(home);
    expect(await provider.codeOf('query ($id: ID!) { tenant(id: $id) { name backups { totalCount } auditEvents { totalCount } addressRules { range } } }', { id: tenant.id })).toBeNull();
    await using subscription = provider.subscribe<{ tenantUpdated: { name: string } }>(updates, { id: tenant.id });
    expect((await subscription.nextData()).tenantUpdated.name).toBe(tenant.name);
    expect(await provider.codeOf('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, name: 'Other' } })).toBe('ADDRESS_REFUSED');
    expect(await provider.codeOf('mutation ($input: AddressRulesUpdateInput!) { addressRulesUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, rules: [] } })).toBe('ADDRESS_REFUSED');
    expect(await admin.via(office).codeOf('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, name: 'Other' } })).toBeNull();
  });

  it('has an emergency exit, with a reason, which is audited', async () => {
    const { tenant, owner } = await fenced();
    expect(await owner.via(office).codeOf(lift, { input: { tenantId: tenant.id, reason: 'Me' } })).toBe('FORBIDDEN');
    expect(await admin.via(home).codeOf(lift, { input: { tenantId: tenant.id, reason: '' } })).toBe('BAD_USER_INPUT');
    expect(await admin.via(home).run(lift, { input: { tenantId: tenant.id, reason: 'The office moved' } })).toEqual({ addressRulesLift: { tenant: { addressRules: [] }, userErrors: [] } });
    expect(await owner.via(home).codeOf(seen, { id: tenant.id })).toBeNull();
    const [event] = await auditOf(owner, tenant.id, 'address-rules.lifted');
    expect(event).toMatchObject({ outcome: 'OK', address: home });
    expect(JSON.stringify(event)).toContain('The office moved');
    expect(JSON.stringify(event)).toContain('203.0.113.0/24');
  });

  it('still logs in from anywhere: an account belongs to no workspace', async () => {
    const { login } = await app.anonymous.via(home).run<{ login: { accessToken: string | null } }>('mutation ($input: LoginInput!) { login(input: $input) { accessToken } }', { input: testAdmin });
    expect(login.accessToken).not.toBeNull();
  });
});
