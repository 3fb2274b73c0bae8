import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exportSPKI, generateKeyPair, type GenerateKeyPairResult, type JWTPayload, SignJWT } from 'jose';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { KeyServer } from '../support/key-server.ts';

const issuer = 'https://product.example';
const audience = 'holdfast';

const keyServer = new KeyServer();
let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;

beforeAll(async () => {
  await keyServer.rotate('first');
  const url = await keyServer.start();
  app = await startTestApp({
    env: {
      HOLDFAST_JWKS_URL: url,
      HOLDFAST_JWT_ISSUER: issuer,
      HOLDFAST_JWT_AUDIENCE: audience,
      HOLDFAST_JWT_CLAIMS: JSON.stringify({ tenant: 'workspace', role: 'backup.role', provider: 'https://product.example/operator' }),
    },
  });
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
});
afterAll(async () => {
  await app.stop();
  keyServer.stop();
});

interface TokenOptions {
  readonly issuer?: string;
  readonly audience?: string;
  readonly expiresAt?: number;
  readonly key?: GenerateKeyPairResult;
}

async function tokenOf(claims: JWTPayload, options: TokenOptions = {}): Promise<string> {
  const [[kid, key] = ['none', undefined]] = keyServer.keys;
  const signer = options.key ?? key;
  if (signer === undefined) throw new Error('No key');
  return new SignJWT({ sub: 'user-1', ...claims })
    .setProtectedHeader({ alg: 'RS256', kid })
    .setIssuer(options.issuer ?? issuer)
    .setAudience(options.audience ?? audience)
    .setIssuedAt()
    .setExpirationTime(options.expiresAt ?? Math.floor(Date.now() / 1000) + 300)
    .sign(signer.privateKey);
}

const viewer = '{ viewer { email isProvider tenants { edges { node { slug } } } } }';
const codeOf = (token: string) => app.clientFor(token).codeOf(viewer);

describe("a host product's token", () => {
  it('gives the role that it names in the tenant that it names', async () => {
    const client = app.clientFor(await tokenOf({ email: 'Ann@Product.example', workspace: tenant.slug, backup: { role: 'viewer' } }));
    expect(await client.run(viewer)).toEqual({ viewer: { email: 'ann@product.example', isProvider: false, tenants: { edges: [{ node: { slug: tenant.slug } }] } } });
    const { tenant: seen } = await client.run<{ tenant: { actions: { permission: string; allowed: boolean }[] } }>(
      'query ($id: ID!) { tenant(id: $id) { actions { permission allowed } } }',
      { id: tenant.id },
    );
    expect(seen.actions.filter(({ allowed }) => allowed).map(({ permission }) => permission)).toEqual(['BACKUP_READ']);
  });

  it('gives the memberships of its e-mail address, unless the product does not vouch for it', async () => {
    await admin.run('mutation ($input: MemberInviteInput!) { memberInvite(input: $input) { userErrors { code } } }', {
      input: { tenantId: tenant.id, email: 'bea@product.example', role: 'OWNER' },
    });
    const slugs = async (claims: JWTPayload) => (await app.clientFor(await tokenOf(claims)).run<{ viewer: { tenants: { edges: unknown[] } } }>(viewer)).viewer.tenants.edges;
    expect(await slugs({ email: 'bea@product.example' })).toHaveLength(1);
    expect(await slugs({ email: 'bea@product.example', email_verified: false })).toHaveLength(0);
  });

  it('gives nothing for a role that is none, nor for a provider claim that is not true', async () => {
    const client = app.clientFor(await tokenOf({ workspace: tenant.slug, backup: { role: 'superuser' }, 'https://product.example/operator': 'true' }));
    expect(await client.run(viewer)).toMatchObject({ viewer: { isProvider: false, tenants: { edges: [] } } });
  });

  it('makes a provider of an operator', async () => {
    const client = app.clientFor(await tokenOf({ 'https://product.example/operator': true }));
    expect(await client.run(viewer)).toMatchObject({ viewer: { isProvider: true } });
  });

  it('is refused from another issuer, for another audience, when it has expired, and when another key signed it', async () => {
    expect(await codeOf(await tokenOf({}))).toBeNull();
    expect(await codeOf(await tokenOf({}, { issuer: 'https://elsewhere.example' }))).toBe('UNAUTHENTICATED');
    expect(await codeOf(await tokenOf({}, { audience: 'another' }))).toBe('UNAUTHENTICATED');
    expect(await codeOf(await tokenOf({}, { expiresAt: Math.floor(Date.now() / 1000) - 60 }))).toBe('UNAUTHENTICATED');
    expect(await codeOf(await tokenOf({}, { key: await generateKeyPair('RS256') }))).toBe('UNAUTHENTICATED');
  });

  it('is refused unsigned, and signed with the public key as a shared secret', async () => {
    const [header = '', payload = ''] = (await tokenOf({ 'https://product.example/operator': true })).split('.');
    expect(header).not.toBe('');
    expect(await codeOf(`${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`)).toBe('UNAUTHENTICATED');
    const [[kid, key] = ['', undefined]] = keyServer.keys;
    if (key === undefined) throw new Error('No key');
    const secret = Buffer.from(await exportSPKI(key.publicKey));
    const confused = await new SignJWT({ sub: 'user-1' }).setProtectedHeader({ alg: 'HS256', kid }).setIssuer(issuer).setAudience(audience).setExpirationTime('5m').sign(secret);
    expect(await codeOf(confused)).toBe('UNAUTHENTICATED');
  });

  it('cannot pass for an embedded account', async () => {
    expect(await codeOf(await tokenOf({ sub: 'account:x', epoch: 0, auth_time: 1 }, { issuer: 'holdfast', audience: 'holdfast' }))).toBe('UNAUTHENTICATED');
  });
});

describe('the keys of a host product', () => {
  it('that cannot be fetched make it UNAVAILABLE, not UNAUTHENTICATED, and accounts still log in', async () => {
    keyServer.isAway = true;
    const fresh = await startTestApp({
      databaseUrl: app.config.databaseUrl,
      env: { HOLDFAST_JWKS_URL: app.config.hostProduct?.jwksUrl ?? '', HOLDFAST_JWT_ISSUER: issuer, HOLDFAST_JWT_AUDIENCE: audience },
    });
    try {
      expect(await fresh.clientFor(await tokenOf({})).codeOf(viewer)).toBe('UNAVAILABLE');
      await expect(fresh.loginAsAdmin()).resolves.toBeDefined();
    } finally {
      await fresh.stop();
      keyServer.isAway = false;
    }
  });
});
