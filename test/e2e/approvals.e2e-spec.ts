import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { DataSource } from 'typeorm';
import { EmbeddedTokens } from '../../src/platform/auth/embedded-tokens.ts';
import { fromGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestRole, type TestTenant } from '../support/app.ts';
import { ended, idOf, makePlan, restoreStart, restoreUndo, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { KeyServer } from '../support/key-server.ts';
import { MailReceiver } from '../support/mail-receiver.ts';
import { resetExecute, verifiedReset } from '../support/reset-calls.ts';

const issuer = 'https://product.example';
const audience = 'holdfast';

const keyServer = new KeyServer();
let app: TestApp;
let admin: GraphqlClient;
let mail: MailReceiver;

beforeAll(async () => {
  mail = await MailReceiver.start();
  await keyServer.rotate('only');
  app = await startTestApp({ env: { HOLDFAST_JWKS_URL: await keyServer.start(), HOLDFAST_JWT_ISSUER: issuer, HOLDFAST_JWT_AUDIENCE: audience, HOLDFAST_SMTP_URL: mail.url, HOLDFAST_MAIL_FROM: 'holdfast@holdfast.test' } });
  admin = await app.loginAsAdmin();
});
afterAll(async () => {
  await app?.stop();
  await mail?.stop();
  keyServer.stop();
});

type Member = GraphqlClient & { readonly email: string };

interface World {
  readonly tenant: TestTenant;
  readonly owner: Member;
  readonly second: Member;
  readonly backupId: string;
}

/** A workspace with two owners and two backups, of which the first may be deleted. */
async function workspace(approvals: readonly string[]): Promise<World> {
  const tenant = await createTestTenant(admin);
  const owner = await member(tenant, 'OWNER');
  const second = await member(tenant, 'OWNER');
  await withDatabase(tenant, (db) => db.collection('orders').insertOne({ total: 1 }));
  const { id: backupId } = await takeBackup(owner, tenant.id);
  await takeBackup(owner, tenant.id);
  expect(await setPolicy(admin, tenant.id, approvals)).toEqual([]);
  return { tenant, owner, second, backupId };
}

const member = (tenant: TestTenant, role: TestRole): Promise<Member> => createTestMember(app, admin, tenant.id, role);

async function mutate<Payload extends object>(client: GraphqlClient, field: string, input: object, selection: string): Promise<Payload & { readonly userErrors: readonly UserErrorAnswer[] }> {
  const answer = await client.run<Record<string, Payload & { userErrors: UserErrorAnswer[] }>>(
    `mutation ($input: ${field.charAt(0).toUpperCase()}${field.slice(1)}Input!) { ${field}(input: $input) { ${selection} userErrors { code message field hint } } }`,
    { input },
  );
  const payload = answer[field];
  if (payload === undefined) throw new Error(`No ${field}`);
  return payload;
}

async function setPolicy(client: GraphqlClient, tenantId: string, approvals: readonly string[]): Promise<string[]> {
  return (await mutate(client, 'tenantPolicyUpdate', { tenantId, approvals }, 'tenant { policy { approvals } }')).userErrors.map(({ code }) => code);
}

interface ApprovalAnswer {
  readonly id: string;
  readonly state: string;
  readonly subjectId: string;
  readonly summary: string;
  readonly note: string | null;
  readonly decisionNote: string | null;
  readonly requestedBy: { readonly email: string | null };
  readonly decidedBy: { readonly email: string | null } | null;
}

const fields = 'id state subjectId summary note decisionNote requestedBy { email } decidedBy { email }';

async function request(client: GraphqlClient, action: string, subjectId: string, input: object = {}): Promise<ApprovalAnswer> {
  const { approval, userErrors } = await mutate<{ approval: ApprovalAnswer | null }>(client, 'approvalRequest', { action, subjectId, ...input }, `approval { ${fields} }`);
  if (approval === null) throw new Error(JSON.stringify(userErrors));
  return approval;
}

const decide = (client: GraphqlClient, approvalId: string, decision: string, note?: string) =>
  mutate<{ approval: ApprovalAnswer | null }>(client, 'approvalDecide', { approvalId, decision, note: note ?? null }, `approval { ${fields} }`);

async function approved(world: World, action: string, subjectId: string, input: object = {}): Promise<ApprovalAnswer> {
  const { approval } = await decide(world.second, (await request(world.owner, action, subjectId, input)).id, 'APPROVED');
  if (approval === null) throw new Error('Not approved');
  return approval;
}

async function stateOf(client: GraphqlClient, id: string): Promise<string> {
  return (await client.run<{ node: ApprovalAnswer }>(`query ($id: ID!) { node(id: $id) { ... on Approval { ${fields} } } }`, { id })).node.state;
}

const download = (client: GraphqlClient, backupId: string, variant = 'ARCHIVE') => mutate<{ url: string | null }>(client, 'downloadCreate', { backupId, variant }, 'url');
const remove = (client: GraphqlClient, backupId: string, giveUpUndo = false) => mutate<{ backup: { state: string } | null }>(client, 'backupDelete', { backupId, giveUpUndo }, 'backup { state }');

async function errorsOf(answer: Promise<{ readonly userErrors: readonly UserErrorAnswer[] }>): Promise<string[]> {
  return (await answer).userErrors.map(({ code }) => code);
}

const refusal = { userErrors: [{ code: 'APPROVAL_REQUIRED' }] };

async function sql(statement: string, values: unknown[]): Promise<void> {
  await app.nest.get(DataSource, { strict: false }).query(statement, values);
}

const uuidOf = (approval: ApprovalAnswer): string => fromGlobalId('Approval', approval.id);

describe('a restore for which the policy wants a second person', () => {
  it('starts once with an approval of exactly that, by whoever asked', async () => {
    const world = await workspace(['RESTORE']);
    const { tenant, owner, second, backupId } = world;
    const plan = await makePlan(owner, tenant.id, backupId);
    expect(await restoreStart(owner, plan.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'APPROVAL_REQUIRED', message: expect.stringContaining('second person'), hint: expect.stringContaining('approvalRequest') }] });
    const asked = await request(owner, 'RESTORE', plan.id, { note: 'Orders of today are wrong' });
    expect(asked).toMatchObject({ state: 'REQUESTED', subjectId: plan.id, note: 'Orders of today are wrong', requestedBy: { email: owner.email }, summary: expect.stringMatching(/^restore the whole database from manual_\S+ in place of live data$/) });
    expect((await request(owner, 'RESTORE', plan.id)).id).toBe(asked.id);
    expect((await restoreStart(owner, plan.id, tenant.name)).userErrors).toMatchObject([{ code: 'APPROVAL_REQUIRED', message: expect.stringContaining('not been decided') }]);
    expect((await decide(second, asked.id, 'APPROVED', 'Agreed')).approval).toMatchObject({ state: 'APPROVED', decisionNote: 'Agreed', decidedBy: { email: second.email } });

    // Neither another person nor another restore.
    expect(await restoreStart(second, plan.id, tenant.name)).toMatchObject(refusal);
    const part = await makePlan(owner, tenant.id, backupId, { collections: ['orders'] });
    expect(await restoreStart(owner, part.id, tenant.name)).toMatchObject(refusal);
    const merge = await makePlan(owner, tenant.id, backupId, { collections: ['orders'], mode: 'MERGE' });
    expect(await restoreStart(owner, merge.id, tenant.name)).toMatchObject(refusal);
    const elsewhere = await makePlan(owner, tenant.id, backupId, { target: { newDatabase: { name: `${tenant.database}_copy` } } });
    expect(await restoreStart(owner, elsewhere.id, tenant.name)).toMatchObject(refusal);
    expect(await stateOf(owner, asked.id)).toBe('APPROVED');

    // A mistyped name uses nothing up, and a new plan of the same is covered.
    const again = await makePlan(owner, tenant.id, backupId);
    expect((await restoreStart(owner, again.id, 'not the name')).userErrors).toMatchObject([{ code: 'CONFIRM_NAME_MISMATCH' }]);
    const restored = await ended(owner, idOf(await restoreStart(owner, again.id, tenant.name)));
    expect(restored.state).toBe('COMPLETED');
    expect(await stateOf(owner, asked.id)).toBe('USED');
    expect(await restoreStart(owner, plan.id, tenant.name)).toMatchObject(refusal);

    // The way back is a restore, too.
    expect(await restoreUndo(owner, restored.id, tenant.name)).toMatchObject(refusal);
    expect((await approved(world, 'RESTORE', restored.id)).summary).toContain('undo the restore of');
    expect((await ended(owner, idOf(await restoreUndo(owner, restored.id, tenant.name)))).state).toBe('COMPLETED');
    expect(await restoreUndo(owner, restored.id, tenant.name)).toMatchObject(refusal);
  });

  it('is tried out without one', async () => {
    const { tenant, owner, backupId } = await workspace(['RESTORE']);
    const plan = await makePlan(owner, tenant.id, backupId);
    expect((await ended(owner, idOf(await restoreStart(owner, plan.id, tenant.name, { dryRun: true })))).state).toBe('COMPLETED');
  });
});

describe('a reset', () => {
  it('needs an approval of what it wipes, and a fresh login where the policy wants one', async () => {
    const world = await workspace(['RESET']);
    const { tenant, owner } = world;
    const { id } = await verifiedReset(owner, tenant.id, mail);
    expect(await resetExecute(owner, id)).toMatchObject({ operation: null, userErrors: [{ code: 'APPROVAL_REQUIRED' }] });
    expect((await approved(world, 'RESET', id)).summary).toBe('reset the workspace: wipe 1 collections (orders)');
    const viewer = (await owner.run<{ viewer: { id: string } }>('{ viewer { id } }')).viewer.id;
    const account = Buffer.from(viewer, 'base64url').toString().replace('Viewer:account:', '');
    const stale = app.clientFor((await app.nest.get(EmbeddedTokens, { strict: false }).issue({ id: account, tokenEpoch: 0 }, new Date(Date.now() - 360_000))).accessToken);
    expect((await mutate(admin, 'tenantPolicyUpdate', { tenantId: tenant.id, stepUpMinutes: 5 }, 'tenant { id }')).userErrors).toEqual([]);
    expect(await resetExecute(stale, id)).toMatchObject({ operation: null, userErrors: [{ code: 'STEP_UP_REQUIRED' }] });
    const { operation, userErrors } = await resetExecute(owner, id);
    expect(userErrors).toEqual([]);
    expect((await ended(owner, operation?.id ?? '')).state).toBe('COMPLETED');
  });
});

describe('a deletion', () => {
  it('needs an approval of that backup, with what it gives up', async () => {
    const world = await workspace(['DELETE_PERMANENTLY']);
    const { owner, second, backupId } = world;
    expect(await remove(owner, backupId)).toMatchObject(refusal);
    await approved(world, 'DELETE_PERMANENTLY', backupId, { giveUpUndo: true });
    expect(await remove(owner, backupId)).toMatchObject(refusal);
    expect(await remove(second, backupId, true)).toMatchObject(refusal);
    expect(await remove(owner, backupId, true)).toMatchObject({ backup: { state: 'DELETED' }, userErrors: [] });
  });
});

describe('a download', () => {
  it('needs an approval of that backup and variant', async () => {
    const world = await workspace(['DOWNLOAD']);
    const { owner, backupId } = world;
    await approved(world, 'DOWNLOAD', backupId);
    expect(await download(owner, backupId, 'DECRYPTED')).toMatchObject(refusal);
    expect((await download(owner, backupId)).url).not.toBeNull();
    expect(await download(owner, backupId)).toMatchObject(refusal);
    expect(await remove(owner, backupId)).toMatchObject({ userErrors: [] });
  });

  it('is won by one of those who want the same approval at once', async () => {
    const world = await workspace(['DOWNLOAD']);
    await approved(world, 'DOWNLOAD', world.backupId);
    const answers = await Promise.all(Array.from({ length: 8 }, () => download(world.owner, world.backupId)));
    expect(answers.filter(({ url }) => url !== null)).toHaveLength(1);
    expect(answers.flatMap(({ userErrors }) => userErrors.map(({ code }) => code))).toEqual(Array(7).fill('APPROVAL_REQUIRED'));
  });
});

describe('who decides', () => {
  it('is never whoever asked, not under another account of theirs either', async () => {
    const { tenant, owner, second, backupId } = await workspace(['DOWNLOAD']);
    const asked = await request(owner, 'DOWNLOAD', backupId);
    const [[kid, key] = ['', undefined]] = keyServer.keys;
    if (key === undefined) throw new Error('No key');
    const token = await new SignJWT({ sub: 'user-1', email: owner.email.toUpperCase(), tenant: tenant.slug, role: 'owner' })
      .setProtectedHeader({ alg: 'RS256', kid }).setIssuer(issuer).setAudience(audience).setIssuedAt().setExpirationTime('5m').sign(key.privateKey);
    for (const same of [owner, app.clientFor(token)]) for (const decision of ['APPROVED', 'REJECTED']) expect(await errorsOf(decide(same, asked.id, decision))).toEqual(['APPROVAL_BY_REQUESTER']);
    expect(await stateOf(owner, asked.id)).toBe('REQUESTED');
    expect((await decide(second, asked.id, 'APPROVED')).approval?.state).toBe('APPROVED');
    // The other account did not ask.
    expect(await download(app.clientFor(token), backupId)).toMatchObject(refusal);
  });

  it('needs APPROVE when it is decided, and whoever asked the permission when it is used', async () => {
    const { tenant, owner, second, backupId } = await workspace(['DOWNLOAD', 'RESTORE']);
    const adminMember = await member(tenant, 'ADMIN');
    const asked = await request(adminMember, 'DOWNLOAD', backupId);
    const decideDocument = 'mutation ($input: ApprovalDecideInput!) { approvalDecide(input: $input) { userErrors { code } } }';
    const restorer = await member(tenant, 'RESTORER');
    for (const powerless of [restorer, await member(tenant, 'ADMIN')]) expect(await powerless.codeOf(decideDocument, { input: { approvalId: asked.id, decision: 'APPROVED' } })).toBe('FORBIDDEN');
    await setRole(tenant, second.email, 'ADMIN');
    expect(await second.codeOf(decideDocument, { input: { approvalId: asked.id, decision: 'APPROVED' } })).toBe('FORBIDDEN');
    // APPROVE in another workspace is none in this one.
    const elsewhere = await createTestTenant(admin);
    await mutate(admin, 'memberInvite', { tenantId: elsewhere.id, email: second.email, role: 'OWNER' }, 'member { id }');
    expect(await second.codeOf(decideDocument, { input: { approvalId: asked.id, decision: 'APPROVED' } })).toBe('FORBIDDEN');
    expect((await decide(owner, asked.id, 'APPROVED')).approval?.state).toBe('APPROVED');
    await setRole(tenant, adminMember.email, 'VIEWER');
    expect(await adminMember.codeOf('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { userErrors { code } } }', { input: { backupId } })).toBe('FORBIDDEN');
    expect(await adminMember.codeOf('mutation ($input: ApprovalRequestInput!) { approvalRequest(input: $input) { userErrors { code } } }', { input: { action: 'DOWNLOAD', subjectId: backupId } })).toBe('FORBIDDEN');
    const plan = await makePlan(restorer, tenant.id, backupId);
    await setRole(tenant, adminMember.email, 'ADMIN');
    expect((await download(adminMember, backupId)).url).not.toBeNull();
    // The provider is a second person, too, and needs one.
    expect((await decide(admin, (await request(restorer, 'RESTORE', plan.id)).id, 'APPROVED')).approval?.state).toBe('APPROVED');
    expect(await download(admin, backupId)).toMatchObject(refusal);
  });

  it('sees all of the workspace, everybody else the own ones, and nobody those of another', async () => {
    const { tenant, owner, second, backupId } = await workspace(['DOWNLOAD']);
    const adminMember = await member(tenant, 'ADMIN');
    const one = await request(owner, 'DOWNLOAD', backupId);
    const two = await request(adminMember, 'DOWNLOAD', backupId);
    const list = async (client: GraphqlClient): Promise<string[]> =>
      (await client.run<{ tenant: { approvals: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { approvals(first: 10) { edges { node { id } } } } }', { id: tenant.id })).tenant.approvals.edges.map(({ node }) => node.id);
    expect(await list(second)).toEqual([two.id, one.id]);
    expect(await list(adminMember)).toEqual([two.id]);
    expect(await stateOf(adminMember, two.id)).toBe('REQUESTED');
    const node = 'query ($id: ID!) { node(id: $id) { id } }';
    expect(await adminMember.codeOf(node, { id: one.id })).toBe('FORBIDDEN');
    const stranger = await createTestMember(app, admin, (await createTestTenant(admin)).id, 'OWNER');
    expect(await stranger.codeOf(node, { id: one.id })).toBe('NOT_FOUND');
    expect(await stranger.codeOf('mutation ($input: ApprovalDecideInput!) { approvalDecide(input: $input) { userErrors { code } } }', { input: { approvalId: one.id, decision: 'APPROVED' } })).toBe('NOT_FOUND');
  });
});

async function setRole(tenant: TestTenant, email: string, role: TestRole): Promise<void> {
  const { tenant: seen } = await admin.run<{ tenant: { members: { edges: { node: { id: string; email: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { members(first: 100) { edges { node { id email } } } } }', { id: tenant.id });
  const memberId = seen.members.edges.find(({ node }) => node.email === email)?.node.id;
  expect(await errorsOf(mutate(admin, 'memberSetRole', { memberId, role }, 'member { id }'))).toEqual([]);
}

describe('a request', () => {
  it('that was rejected says why, is closed, and may be made again', async () => {
    const { owner, second, backupId } = await workspace(['DOWNLOAD']);
    const asked = await request(owner, 'DOWNLOAD', backupId);
    expect((await decide(second, asked.id, 'REJECTED', 'Ask me tomorrow')).approval).toMatchObject({ state: 'REJECTED', decisionNote: 'Ask me tomorrow' });
    expect((await download(owner, backupId)).userErrors).toMatchObject([{ code: 'APPROVAL_REQUIRED', message: 'The approval was rejected (Ask me tomorrow)' }]);
    expect(await decide(second, asked.id, 'APPROVED')).toMatchObject({ approval: null, userErrors: [{ code: 'APPROVAL_CLOSED', message: 'The request is rejected already' }] });
    expect((await request(owner, 'DOWNLOAD', backupId)).id).not.toBe(asked.id);
  });

  it('is good for a day: then it is neither decided nor used', async () => {
    const world = await workspace(['DOWNLOAD']);
    const { owner, second, backupId } = world;
    const asked = await request(owner, 'DOWNLOAD', backupId);
    const expire = (approval: ApprovalAnswer): Promise<void> => sql(`update approval set expires_at = clock_timestamp() where id = $1 and expires_at between clock_timestamp() + interval '23 hours' and clock_timestamp() + interval '24 hours'`, [uuidOf(approval)]);
    await expire(asked);
    expect(await stateOf(owner, asked.id)).toBe('EXPIRED');
    expect(await decide(second, asked.id, 'APPROVED')).toMatchObject({ approval: null, userErrors: [{ code: 'APPROVAL_CLOSED', message: 'The request has expired' }] });
    const another = await approved(world, 'DOWNLOAD', backupId);
    await expire(another);
    expect((await download(owner, backupId)).userErrors).toMatchObject([{ code: 'APPROVAL_REQUIRED', message: 'The approval has expired' }]);
  });

  it('is told to whoever is to be told, and audited', async () => {
    const { tenant, owner, second, backupId } = await workspace(['DOWNLOAD']);
    await using subscription = second.subscribe<{ tenantUpdated: { approvals: { edges: { node: { state: string } }[] } } }>('subscription ($id: ID!) { tenantUpdated(id: $id) { approvals { edges { node { state } } } } }', { id: tenant.id });
    const states = async (): Promise<string[]> => (await subscription.nextData()).tenantUpdated.approvals.edges.map(({ node }) => node.state);
    expect(await states()).toEqual([]);
    const asked = await request(owner, 'DOWNLOAD', backupId, { note: 'For the auditor' });
    expect(await states()).toEqual(['REQUESTED']);
    await decide(second, asked.id, 'APPROVED');
    expect(await states()).toEqual(['APPROVED']);
    await download(owner, backupId);
    const { tenant: seen } = await owner.run<{ tenant: { alerts: { edges: { node: { event: string; text: string; resolvedAt: string | null } }[] }; auditEvents: { edges: { node: { action: string; outcome: string } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { alerts(first: 100) { edges { node { event text resolvedAt } } } auditEvents(first: 100) { edges { node { action outcome } } } } }',
      { id: tenant.id },
    );
    const alerts = seen.alerts.edges.map(({ node }) => node).filter(({ event }) => event.startsWith('APPROVAL'));
    expect(alerts).toMatchObject([
      { event: 'APPROVAL_DECIDED', text: expect.stringMatching(/has approved: download the backup/) },
      { event: 'APPROVAL_REQUESTED', text: expect.stringMatching(/asks for approval: download the backup .* \(For the auditor\)$/), resolvedAt: expect.any(String) },
    ]);
    expect(seen.auditEvents.edges.map(({ node }) => node.action).filter((action) => action.startsWith('approval.'))).toEqual(['approval.used', 'approval.decided', 'approval.requested']);
  });

  it('is not made where nobody wants one, nor of what is something else', async () => {
    const { tenant, owner, backupId } = await workspace(['RESTORE']);
    expect(await errorsOf(mutate(owner, 'approvalRequest', { action: 'DOWNLOAD', subjectId: backupId }, 'approval { id }'))).toEqual(['APPROVAL_NOT_NEEDED']);
    const ask = 'mutation ($input: ApprovalRequestInput!) { approvalRequest(input: $input) { userErrors { code } } }';
    for (const subjectId of [backupId, tenant.id, 'nonsense']) expect(await owner.codeOf(ask, { input: { action: 'RESTORE', subjectId } })).toBe('NOT_FOUND');
    expect(await setPolicy(owner, tenant.id, [])).toEqual(['POLICY_PROVIDER_ONLY']);
    expect(await setPolicy(admin, tenant.id, [])).toEqual([]);
    expect((await download(owner, backupId)).url).not.toBeNull();
  });
});

it('in a workspace that is suspended nothing is asked for and nothing decided by its people, as its actions say', async () => {
  const { tenant, owner, second, backupId } = await workspace(['DELETE_PERMANENTLY']);
  const asked = await request(owner, 'DELETE_PERMANENTLY', backupId);
  expect(await errorsOf(mutate(admin, 'tenantSuspend', { tenantId: tenant.id }, 'tenant { id }'))).toEqual([]);
  expect(await errorsOf(decide(second, asked.id, 'APPROVED'))).toEqual(['TENANT_SUSPENDED']);
  expect(await stateOf(owner, asked.id)).toBe('REQUESTED');
  expect(await errorsOf(decide(admin, asked.id, 'REJECTED'))).toEqual([]);
});
