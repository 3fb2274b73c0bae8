import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestMember, createTestTenant, startTestApp, type TestApp, testAdmin } from '../support/app.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
let tenantId: string;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  tenantId = (await createTestTenant(admin)).id;
});
afterAll(() => app.stop());

const loginDocument = 'mutation ($input: LoginInput!) { login(input: $input) { accessToken expiresAt userErrors { code message hint field } } }';
interface LoginAnswer {
  readonly login: { accessToken: string | null; expiresAt: string | null; userErrors: { code: string; message: string }[] };
}

describe('login', () => {
  it('answers a wrong password and an unknown account alike', async () => {
    const wrong = await app.anonymous.run<LoginAnswer>(loginDocument, { input: { email: testAdmin.email, password: 'wrong' } });
    const unknown = await app.anonymous.run<LoginAnswer>(loginDocument, { input: { email: 'nobody@holdfast.test', password: 'wrong' } });
    expect(wrong.login).toMatchObject({ accessToken: null, userErrors: [{ code: 'LOGIN_FAILED' }] });
    expect(unknown).toEqual(wrong);
  });

  it('does not look at the case of the address', async () => {
    await expect(app.login(testAdmin.email.toUpperCase(), testAdmin.password)).resolves.toBeDefined();
  });

  it('is refused after ten failures, even with the right password, while others log in', async () => {
    const member = await createTestMember(app, admin, tenantId, 'VIEWER');
    const tries = await Promise.all(Array.from({ length: 14 }, () => app.anonymous.send<LoginAnswer>(loginDocument, { input: { email: member.email, password: 'wrong' } })));
    expect(tries.filter(({ data }) => data?.login?.userErrors[0]?.code === 'LOGIN_FAILED')).toHaveLength(10);
    expect(tries.filter(({ errors }) => errors?.[0]?.extensions.code === 'RATE_LIMITED')).toHaveLength(4);
    const { errors } = await app.anonymous.send(loginDocument, { input: { email: member.email, password: `password of ${member.email}` } });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    await expect(app.loginAsAdmin()).resolves.toBeDefined();
  });

  it('that succeeds does not count', async () => {
    for (let count = 0; count < 11; count++) await app.loginAsAdmin();
  });
});

describe('logins from one address', () => {
  const tries = 12;
  let proxied: TestApp;
  beforeAll(async () => {
    proxied = await startTestApp({ env: { HOLDFAST_TRUSTED_PROXIES: 'loopback', HOLDFAST_LOGIN_TRIES_PER_ADDRESS: String(tries) } });
  });
  afterAll(() => proxied?.stop());

  let account = 0;
  const guess = async (from: string): Promise<string | undefined> => {
    const input = { email: `guessed-${account++}@holdfast.test`, password: 'password of everybody' };
    const { data, errors } = await proxied.anonymous.via(from).send<LoginAnswer>(loginDocument, { input });
    return errors?.[0]?.extensions.code ?? data?.login.userErrors[0]?.code;
  };
  const refusals = async (): Promise<number> => {
    const client = await proxied.loginAsAdmin();
    const { auditEvents } = await client.run<{ auditEvents: { totalCount: number } }>('{ auditEvents(filter: { action: "account.login", outcome: REFUSED }) { totalCount } }');
    return auditEvents.totalCount;
  };

  it('end after so many failures, whatever the accounts were, and the audit log tells it once', async () => {
    const codes = await Promise.all(Array.from({ length: tries + 8 }, () => guess('203.0.113.7')));
    expect(codes.filter((code) => code === 'LOGIN_FAILED')).toHaveLength(tries);
    expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(8);
    expect(await proxied.anonymous.via('203.0.113.7').codeOf(loginDocument, { input: testAdmin })).toBe('RATE_LIMITED');
    expect(await guess('203.0.113.8')).toBe('LOGIN_FAILED');
    expect(await refusals()).toBe(1);
  });

  it('are one however IPv6, or the port that a proxy adds, spells it', async () => {
    for (let index = 0; index < tries; index++) expect(await guess(`2001:db8:7:7:${index.toString(16)}::1`)).toBe('LOGIN_FAILED');
    expect(await guess('2001:db8:7:7:ffff::1')).toBe('RATE_LIMITED');
    expect(await guess('2001:db8:7:8::1')).toBe('LOGIN_FAILED');
    for (let index = 0; index < tries; index++) expect(await guess(`203.0.113.9:${5000 + index}`)).toBe('LOGIN_FAILED');
    expect(await guess('203.0.113.9')).toBe('RATE_LIMITED');
  });

  it('count together with tries of cron keys', async () => {
    const knock = async (slug: string): Promise<number> => (await fetch(`${proxied.url}/cron/${slug}`, { method: 'POST', headers: { authorization: 'Bearer hfc_wrong', 'x-forwarded-for': '203.0.113.10' } })).status;
    for (let index = 0; index < tries; index++) expect(await knock(`nobody-${index}`)).toBe(401);
    expect(await knock('nobody-else')).toBe(429);
    expect(await guess('203.0.113.10')).toBe('RATE_LIMITED');
  });
});

describe('a token', () => {
  it('is no longer good after logout, and others of the account are', async () => {
    const [first, second] = [await app.loginAsAdmin(), await app.loginAsAdmin()];
    await first.run('mutation { logout(input: {}) { userErrors { code } } }');
    expect(await first.codeOf('{ viewer { id } }')).toBe('UNAUTHENTICATED');
    expect(await second.codeOf('{ viewer { id } }')).toBeNull();
  });

  it('can be exchanged for a new one', async () => {
    const client = await app.loginAsAdmin();
    const { tokenRefresh } = await client.run<{ tokenRefresh: { accessToken: string } }>('mutation { tokenRefresh(input: {}) { accessToken userErrors { code } } }');
    expect(tokenRefresh.accessToken).not.toBe(client.accessToken);
    expect(await app.clientFor(tokenRefresh.accessToken).codeOf('{ viewer { id } }')).toBeNull();
  });

  it('of before a change of the password is no longer good', async () => {
    const member = await createTestMember(app, admin, tenantId, 'VIEWER');
    const change = 'mutation ($input: PasswordChangeInput!) { passwordChange(input: $input) { accessToken userErrors { code } } }';
    const weak = await member.run<{ passwordChange: unknown }>(change, { input: { currentPassword: `password of ${member.email}`, newPassword: 'short' } });
    expect(weak.passwordChange).toEqual({ accessToken: null, userErrors: [{ code: 'PASSWORD_TOO_WEAK' }] });
    const { passwordChange } = await member.run<{ passwordChange: { accessToken: string } }>(change, {
      input: { currentPassword: `password of ${member.email}`, newPassword: 'an altogether new one' },
    });
    expect(await member.codeOf('{ viewer { id } }')).toBe('UNAUTHENTICATED');
    expect(await app.clientFor(passwordChange.accessToken).codeOf('{ viewer { id } }')).toBeNull();
    await expect(app.login(member.email, 'an altogether new one')).resolves.toBeDefined();
  });

  it('that is forged, cut or unsigned makes nobody of its sender', async () => {
    const token = (await app.loginAsAdmin()).accessToken ?? '';
    const [header = '', payload = '', signature = ''] = token.split('.');
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
    for (const bad of [`${header}.${payload}.${signature.slice(0, -4)}AAAA`, `${header}.${payload}`, unsigned, 'x', `${token}x`]) {
      expect(await app.clientFor(bad).codeOf('{ viewer { id } }')).toBe('UNAUTHENTICATED');
    }
  });
});

describe('the administrator', () => {
  it('gets a new password at the next start, and the tokens of the old one end', async () => {
    const databaseUrl = app.config.databaseUrl;
    const before = await app.loginAsAdmin();
    const again = await startTestApp({ databaseUrl, env: { HOLDFAST_ADMIN_PASSWORD: 'a changed pass phrase' } });
    try {
      expect(await before.codeOf('{ viewer { id } }')).toBe('UNAUTHENTICATED');
      const client = await again.login(testAdmin.email, 'a changed pass phrase');
      expect(await client.run('{ viewer { isProvider } }')).toEqual({ viewer: { isProvider: true } });
    } finally {
      await again.stop();
    }
    const back = await startTestApp({ databaseUrl });
    await back.stop();
  });

  it('is left as it is by a worker, where nobody logs in', async () => {
    const before = await app.loginAsAdmin();
    const worker = await startTestApp({ databaseUrl: app.config.databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_ADMIN_PASSWORD: 'what a worker was told' } });
    await worker.stop();
    expect(await before.run('{ viewer { isProvider } }')).toEqual({ viewer: { isProvider: true } });
  });
});
