import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { EmbeddedTokens } from '../../src/platform/auth/embedded-tokens.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type GraphqlClient, SocketClosed } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
});
afterAll(() => app.stop());

const updates = 'subscription ($id: ID!) { tenantUpdated(id: $id) { name suspended sessionEpoch } }';
interface Updates {
  readonly tenantUpdated: { name: string; suspended: boolean };
}

async function setName(client: GraphqlClient, name: string): Promise<void> {
  await client.run('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, name } });
}

describe('a subscription', () => {
  it('brings the current state at once and each change after it, also one made through another process', async () => {
    const second = await startTestApp({ databaseUrl: app.config.databaseUrl });
    try {
      await setName(admin, 'Before');
      await using subscription = admin.subscribe<Updates>(updates, { id: tenant.id });
      expect((await subscription.nextData()).tenantUpdated.name).toBe('Before');
      await setName(await second.loginAsAdmin(), 'After');
      expect((await subscription.nextData()).tenantUpdated.name).toBe('After');
    } finally {
      await second.stop();
    }
  });

  it('ends when the token is revoked, in another process too', async () => {
    const second = await startTestApp({ databaseUrl: app.config.databaseUrl });
    try {
      const client = await app.loginAsAdmin();
      const subscription = client.subscribe<Updates>(updates, { id: tenant.id });
      await subscription.nextData();
      const next = subscription.next();
      await new (client.constructor as typeof GraphqlClient)(second.url, client.accessToken).run('mutation { logout(input: {}) { userErrors { code } } }');
      await expect(next).rejects.toMatchObject({ name: 'SocketClosed', code: 4403 });
    } finally {
      await second.stop();
    }
  });

  it('ends when the token expires', async () => {
    const { viewer } = await admin.run<{ viewer: { id: string } }>('{ viewer { id } }');
    const accountId = Buffer.from(viewer.id, 'base64url').toString().replace('Viewer:account:', '');
    const { accessToken } = await app.nest.get(EmbeddedTokens, { strict: false }).issue({ id: accountId, tokenEpoch: 0 }, new Date(), 2_000);
    const subscription = app.clientFor(accessToken).subscribe<Updates>(updates, { id: tenant.id });
    await subscription.nextData();
    await expect(subscription.next()).rejects.toMatchObject({ name: 'SocketClosed', code: 4403 });
  });

  it('ends with the membership', async () => {
    const member = await createTestMember(app, admin, tenant.id, 'VIEWER');
    await using subscription = member.subscribe<Updates>(updates, { id: tenant.id });
    await subscription.nextData();
    const { tenant: seen } = await admin.run<{ tenant: { members: { edges: { node: { id: string; email: string } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { members(first: 100) { edges { node { id email } } } } }',
      { id: tenant.id },
    );
    const memberId = seen.members.edges.find(({ node }) => node.email === member.email)?.node.id;
    await admin.run('mutation ($input: MemberRemoveInput!) { memberRemove(input: $input) { userErrors { code } } }', { input: { memberId } });
    await setName(admin, 'After the member has gone');
    await expect(subscription.next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('a socket', () => {
  it.each([
    ['no token', null, 4401],
    ['a bad token', 'no.such.token', 4403],
  ])('with %s is closed', async (_what, token, code) => {
    const client = token === null ? app.anonymous : app.clientFor(token);
    await expect(client.subscribe(updates, { id: tenant.id }).next()).rejects.toMatchObject({ name: 'SocketClosed', code });
  });

  it.each([
    ['a query', '{ viewer { id } }', 'BAD_USER_INPUT'],
    ['a mutation', 'mutation { logout(input: {}) { userErrors { code } } }', 'BAD_USER_INPUT'],
    ['a syntax error', 'subscription {', 'BAD_USER_INPUT'],
    ['an unknown field', 'subscription { nothing }', 'BAD_USER_INPUT'],
    ['a long document', `subscription { ${'#'.repeat(100_001)} }`, 'COST_EXCEEDED'],
    ['too many aliases', `subscription ($id: ID!) { tenantUpdated(id: $id) { ${Array.from({ length: 31 }, (_, i) => `a${i}: id`).join(' ')} } }`, 'COST_EXCEEDED'],
    ['a costly document', 'subscription ($id: ID!) { tenantUpdated(id: $id) { operations(first: 100) { edges { node { tenant { operations(first: 100) { edges { node { id } } } } } } } } }', 'COST_EXCEEDED'],
  ])('refuses %s', async (_what, document, code) => {
    const variables = document.includes('$id') ? { id: tenant.id } : {};
    await expect(admin.subscribe(document, variables).next()).rejects.toMatchObject({ code });
  });

  it.each([
    ['another path', '/elsewhere', 'graphql-transport-ws'],
    ['the old protocol', '/graphql', 'graphql-ws'],
    ['no protocol', '/graphql', undefined],
  ])('for %s is refused before it opens', async (_what, path, protocol) => {
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}${path}`, protocol);
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toMatch(/40[04]/);
  });

  it('is closed where its actor has as many as may be, and finds a place when another one has ended', async () => {
    const limited = await startTestApp({ env: { HOLDFAST_SOCKETS_PER_ACTOR: '2' } });
    try {
      const client = await limited.loginAsAdmin();
      const { id } = await createTestTenant(client);
      const open = async () => {
        const subscription = client.subscribe<Updates>(updates, { id });
        await subscription.nextData();
        return subscription;
      };
      const first = await open();
      await open();
      await expect(open()).rejects.toMatchObject({ name: 'SocketClosed', code: 1013, reason: 'Too many sockets' });
      const other = await createTestMember(limited, client, id, 'VIEWER');
      await using theirs = other.subscribe<Updates>(updates, { id });
      await theirs.nextData();
      await first[Symbol.asyncDispose]();
      for (;;) {
        const again = await open().catch((error: unknown) => error);
        if (!(again instanceof SocketClosed)) {
          await (again as Awaited<ReturnType<typeof open>>)[Symbol.asyncDispose]();
          break;
        }
        // The server hears of the end of a socket a moment after the client.
        expect(again.code).toBe(1013);
      }
    } finally {
      await limited.stop();
    }
  });

  it('that breaks off in the middle of the handshake does not end the process', async () => {
    const { port, hostname } = new URL(app.url);
    for (let count = 0; count < 20; count++) {
      const socket = connect(Number(port), hostname);
      await once(socket, 'connect');
      socket.write('GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
      socket.resetAndDestroy();
    }
    expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
  });
});
