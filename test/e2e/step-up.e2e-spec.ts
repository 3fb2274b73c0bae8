import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type JWTPayload, SignJWT } from 'jose';
import { EmbeddedTokens } from '../../src/platform/auth/embedded-tokens.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, makePlan, type OperationAnswer, restoreStart, restoreUndo, type Started, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { KeyServer } from '../support/key-server.ts';

const issuer = 'https://product.example';
const audience = 'holdfast';

const keyServer = new KeyServer();
let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
let owner: GraphqlClient & { readonly email: string };
let backupId: string;

beforeAll(async () => {
  await keyServer.rotate('only');
  app = await startTestApp({ env: { HOLDFAST_JWKS_URL: await keyServer.start(), HOLDFAST_JWT_ISSUER: issuer, HOLDFAST_JWT_AUDIENCE: audience } });
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
  owner = await createTestMember(app, admin, tenant.id, 'OWNER');
  await withDatabase(tenant, (db) => db.collection('orders').insertOne({ total: 1 }));
  backupId = (await takeBackup(owner, tenant.id)).id;
  expect(await setStepUp(admin, 5)).toEqual([]);
});
afterAll(async () => {
  await app?.stop();
  keyServer.stop();
});

async function setStepUp(client: GraphqlClient, stepUpMinutes: number): Promise<string[]> {
  const { tenantPolicyUpdate } = await client.run<{ tenantPolicyUpdate: { userErrors: { code: string }[] } }>(
    'mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }',
    { input: { tenantId: tenant.id, stepUpMinutes } },
  );
  return tenantPolicyUpdate.userErrors.map(({ code }) => code);
}

const minutesAgo = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);

/** The owner, who typed the password so long ago. */
async function loggedIn(minutes: number): Promise<GraphqlClient> {
  const { viewer } = await owner.run<{ viewer: { id: string } }>('{ viewer { id } }');
  const id = Buffer.from(viewer.id, 'base64url').toString().replace('Viewer:account:', '');
  return app.clientFor((await app.nest.get(EmbeddedTokens, { strict: false }).issue({ id, tokenEpoch: 0 }, minutesAgo(minutes))).accessToken);
}

/** Somebody whom the host product has logged in. */
async function hostUser(claims: JWTPayload): Promise<GraphqlClient> {
  const [[kid, key] = ['', undefined]] = keyServer.keys;
  if (key === undefined) throw new Error('No key');
  const token = await new SignJWT({ sub: 'user-1', tenant: tenant.slug, role: 'owner', ...claims })
    .setProtectedHeader({ alg: 'RS256', kid }).setIssuer(issuer).setAudience(audience).setIssuedAt().setExpirationTime('5m').sign(key.privateKey);
  return app.clientFor(token);
}

const inSeconds = (at: Date): number => Math.floor(at.getTime() / 1000);

/** Restores by nothing but the start: the plan is another login's. */
async function start(client: GraphqlClient, input: Readonly<Record<string, unknown>> = {}): Promise<Started> {
  const plan = await makePlan(owner, tenant.id, backupId);
  return restoreStart(client, plan.id, plan.confirmName, input);
}

async function done(started: Started): Promise<OperationAnswer> {
  const operation = await ended(owner, idOf(started));
  expect(operation).toMatchObject({ state: 'COMPLETED', failure: null });
  return operation;
}

const refusedWith = (message: string): object => ({ operation: null, userErrors: [{ code: 'STEP_UP_REQUIRED', message: expect.stringContaining(message), hint: expect.stringContaining('Log in again') }] });

describe('where the policy asks for a fresh login', () => {
  it('a restore and its undo want one, with an account of Holdfast', async () => {
    const stale = await loggedIn(6);
    expect(await start(stale)).toMatchObject(refusedWith('older than 5 minutes'));
    const restored = await done(await start(await loggedIn(1)));
    expect(await restoreUndo(stale, restored.id, tenant.name)).toMatchObject(refusedWith('older than 5 minutes'));
    await done(await restoreUndo(await loggedIn(1), restored.id, tenant.name));
    const { tenant: seen } = await owner.run<{ tenant: { auditEvents: { edges: { node: { action: string; detail: { value: string }[] } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { auditEvents(first: 100, filter: { outcome: REFUSED }) { edges { node { action detail { value } } } } } }',
      { id: tenant.id },
    );
    expect(seen.auditEvents.edges.map(({ node }) => node.action)).toEqual(['restore.undo-refused', 'restore.refused']);
  });

  it('the plan that was refused is not used up, and a new login starts it', async () => {
    const plan = await makePlan(owner, tenant.id, backupId);
    expect((await restoreStart(await loggedIn(30), plan.id, plan.confirmName)).userErrors).toMatchObject([{ code: 'STEP_UP_REQUIRED' }]);
    const key = { idempotencyKey: 'step-up' };
    const operation = await done(await restoreStart(await loggedIn(0), plan.id, plan.confirmName, key));
    // The answer to a repeated request is no second restore.
    expect((await restoreStart(await loggedIn(30), plan.id, plan.confirmName, key)).operation).toEqual({ id: operation.id });
  });

  it('a refreshed token is as old as its login', async () => {
    const stale = await loggedIn(10);
    const { tokenRefresh } = await stale.run<{ tokenRefresh: { accessToken: string } }>('mutation { tokenRefresh(input: {}) { accessToken } }');
    const refreshed = app.clientFor(tokenRefresh.accessToken);
    expect((await start(refreshed)).userErrors).toMatchObject([{ code: 'STEP_UP_REQUIRED' }]);
    const { viewer } = await refreshed.run<{ viewer: { loggedInAt: string } }>('{ viewer { loggedInAt } }');
    expect(Date.now() - Date.parse(viewer.loggedInAt)).toBeGreaterThan(9 * 60_000);
  });

  it("a host product's token says when its person logged in, and one that does not is never fresh", async () => {
    for (const claims of [{}, { auth_time: 'now' }, { auth_time: inSeconds(minutesAgo(-60)) }]) expect(await start(await hostUser(claims))).toMatchObject(refusedWith('does not say when'));
    expect(await start(await hostUser({ auth_time: inSeconds(minutesAgo(6)) }))).toMatchObject(refusedWith('older than 5 minutes'));
    await done(await start(await hostUser({ auth_time: inSeconds(minutesAgo(1)) })));
  });

  it('whatever replaces no data goes on without', async () => {
    await done(await start(await loggedIn(60), { dryRun: true }));
    await takeBackup(await loggedIn(60), tenant.id);
  });

  it('the provider alone says so, and is bound itself', async () => {
    expect(await setStepUp(owner, 0)).toEqual(['POLICY_PROVIDER_ONLY']);
    await expect(setStepUp(admin, 1441)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    const { viewer } = await admin.run<{ viewer: { id: string } }>('{ viewer { id } }');
    const id = Buffer.from(viewer.id, 'base64url').toString().replace('Viewer:account:', '');
    const stale = app.clientFor((await app.nest.get(EmbeddedTokens, { strict: false }).issue({ id, tokenEpoch: 0 }, minutesAgo(6))).accessToken);
    expect((await start(stale)).userErrors).toMatchObject([{ code: 'STEP_UP_REQUIRED' }]);
  });
});

it('without the policy the age of a login does not matter', async () => {
  expect(await setStepUp(admin, 0)).toEqual([]);
  await done(await start(await loggedIn(600)));
});
