import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(() => app.stop());

describe('limits of a document', () => {
  it('refuses one that is deeper than 12 levels, fragments included', async () => {
    const deep = 'query { tenants(first: 1) { edges { node { operations(first: 1) { edges { node { tenant { ...Again } } } } } } } } fragment Again on Tenant { operations(first: 1) { edges { node { tenant { operations(first: 1) { edges { node { id } } } } } } } }';
    expect(await admin.codeOf(deep)).toBe('COST_EXCEEDED');
  });

  it('refuses one that uses more than 30 aliases', async () => {
    const viewers = (count: number) => `{ ${Array.from({ length: count }, (_, index) => `v${index}: viewer { id }`).join(' ')} }`;
    expect(await admin.codeOf(viewers(30))).toBeNull();
    expect(await admin.codeOf(viewers(31))).toBe('COST_EXCEEDED');
  });

  it('refuses one whose pages multiply past the cost of 1,000, also when the sizes are variables', async () => {
    const document = 'query ($n: Int) { tenants(first: $n) { edges { node { backups(first: $n) { edges { node { id } } } } } } }';
    expect(await admin.codeOf(document, { n: 5 })).toBeNull();
    expect(await admin.codeOf(document, { n: 100 })).toBe('COST_EXCEEDED');
  });

  it('counts times that are reckoned: a rare CRON takes a third of a millisecond for each', async () => {
    const document = 'query ($n: Int!) { tenants(first: 10) { edges { node { schedules(first: 10) { edges { node { nextRuns(count: $n) } } } } } } }';
    expect(await admin.codeOf(document, { n: 5 })).toBeNull();
    expect(await admin.codeOf(document, { n: 50 })).toBe('COST_EXCEEDED');
    const aliases = Array.from({ length: 30 }, (_, index) => `t${index}: nextRuns(count: 50)`).join(' ');
    expect(await admin.codeOf(`query ($id: ID!) { node(id: $id) { ... on Schedule { ${aliases} } } }`, { id: 'x' })).toBe('COST_EXCEEDED');
  });

  it('is not slowed down by fragments that spread each other in great number', async () => {
    const bomb = Array.from({ length: 25 }, (_, index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`).join(' ');
    const before = performance.now();
    expect(await admin.codeOf(`query { ...F0 } ${bomb} fragment F25 on Query { viewer { id } }`)).not.toBe('INTERNAL');
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it('refuses pages that are empty, too large, or begin at a cursor that is none', async () => {
    expect(await admin.codeOf('{ tenants(first: 0) { totalCount } }')).toBe('BAD_USER_INPUT');
    expect(await admin.codeOf('{ tenants(first: 101) { totalCount } }')).toBe('BAD_USER_INPUT');
    expect(await admin.codeOf('{ tenants(after: "Zm9v") { totalCount } }')).toBe('BAD_USER_INPUT');
  });
});

it.each([['an answer', '{ viewer { id } }'], ['a refusal', '{ tenants(first: 0) { totalCount } }'], ['an unknown field', '{ nothing }']])('%s is kept by no cache', async (_what, query) => {
  expect((await admin.post({ query })).headers.get('cache-control')).toBe('no-store');
});

describe('malformed requests', () => {
  it.each([
    ['a syntax error', { query: '{ viewer {' }],
    ['an unknown field', { query: '{ nothing }' }],
    ['a variable of the wrong type', { query: 'query ($n: Int) { tenants(first: $n) { totalCount } }', variables: { n: 'many' } }],
    ['a missing variable', { query: 'query ($id: ID!) { node(id: $id) { id } }' }],
    ['no document', {}],
    ['a batch', [{ query: '{ viewer { id } }' }]],
  ])('answers %s as BAD_USER_INPUT', async (_what, body) => {
    const { errors } = (await (await admin.post(body)).json()) as { errors: { extensions: { code: string } }[] };
    expect(errors[0]?.extensions.code).toBe('BAD_USER_INPUT');
  });

  it.each([
    ['of a scalar', 'query ($n: Int) { tenants(first: $n) { totalCount } }', { n: 'many' }, 'n: Int cannot represent non-integer value: "many"'],
    ['within an input', 'mutation ($i: TenantUpdateInput!) { tenantUpdate(input: $i) { tenant { id } } }', { i: { tenantId: 'x', quotaBytes: '-1' } }, 'i.quotaBytes: Expected a whole number'],
    ['within a list', 'mutation ($i: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $i) { tenant { id } } }', { i: { tenantId: 'x', approvals: ['RESET', null] } }, 'i.approvals[1]: Expected non-nullable type'],
    ['that is a secret', 'mutation ($i: LoginInput!) { login(input: $i) { accessToken } }', { i: { email: 'a@b.example', password: 'Open "Sesame" at "once"; now', extra: 1 } }, 'i: Field "extra" is not defined'],
  ])('answers a wrong value %s with 400 and its place, and does not repeat the rest', async (_what, query, variables, message) => {
    const response = await admin.post({ query, variables });
    const answer = (await response.json()) as { errors: { message: string }[] };
    expect([response.status, answer]).toMatchObject([400, { errors: [{ message: expect.stringContaining(message), extensions: { code: 'BAD_USER_INPUT' } }] }]);
    expect(JSON.stringify(answer)).not.toContain('Sesame');
  });

  it('names a wrong field of an input once', async () => {
    const { errors } = await admin.send('mutation ($i: UploadCreateInput!) { uploadCreate(input: $i) { upload { id } } }', { i: { tenantId: 'x', purpose: 'RESTORE', filename: 'a/b', size: '1', sha256: 'x' } });
    expect(errors?.[0]?.message).toBe('filename: must be a name without a path; sha256: must be 64 hex digits');
  });

  it.each(['\0', 'a\0b', '\uD83C'])('refuses text that cannot be stored, %j, wherever it stands', async (text) => {
    const update = 'mutation ($i: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $i) { tenant { id } } }';
    const variables = { i: { tenantId: 'x', completedLabel: text } };
    expect((await admin.send(update, variables)).errors?.[0]).toMatchObject({ message: expect.stringMatching(/^completedLabel: /), extensions: { code: 'BAD_USER_INPUT' } });
    expect(await admin.codeOf('query ($text: String) { tenants(filter: { text: $text }) { totalCount } }', { text })).toBe('BAD_USER_INPUT');
    expect(await admin.codeOf('query ($slug: String) { tenant(slug: $slug) { id } }', { slug: text })).toBe('BAD_USER_INPUT');
    expect(await app.anonymous.codeOf('mutation ($i: LoginInput!) { login(input: $i) { accessToken } }', { i: { email: text, password: text } })).toBe('BAD_USER_INPUT');
    if (text.isWellFormed()) expect((await fetch(`${app.url}/cron/${encodeURIComponent(text)}`, { method: 'POST', headers: { authorization: 'Bearer x' } })).status).toBe(400);
  });

  it('refuses what a form of another site could send', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const response = await admin.post('{"query":"{ viewer { id } }"}', { 'content-type': type });
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(await response.text()).not.toContain('"data":{');
    }
    const simple = await fetch(`${app.url}/graphql?query=%7B__typename%7D`);
    expect(simple.status).toBe(400);
  });

  it('refuses a body above 1 MiB', async () => {
    const response = await admin.post({ query: '{ viewer { id } }', variables: { fill: 'x'.repeat(1024 * 1024) } });
    expect(response.status).toBe(413);
  });
});

it('a schema that is not to be read is not told by guesses either, over HTTP or sockets', async () => {
  const closed = await startTestApp({ env: { HOLDFAST_INTROSPECTION: 'false' } });
  try {
    const client = await closed.loginAsAdmin();
    expect(await client.codeOf('{ __schema { types { name } } }')).toBe('BAD_USER_INPUT');
    const guesses = ['{ viewr { id } }', '{ viewer { idd } }', '{ guidance(topic: RESTOR) { id } }', '{ tenant(sluq: "x") { id } }', 'query ($id: IDD!) { node(id: $id) { id } }'];
    const answers: unknown[] = await Promise.all(guesses.map(async (guess) => (await client.send(guess)).errors?.[0]?.message));
    answers.push((await client.send('query ($topic: HelpTopic!) { guidance(topic: $topic) { id } }', { topic: 'RESTOR' })).errors?.[0]?.message);
    answers.push(await client.subscribe('subscription ($id: ID!) { tenantUpdatet(id: $id) { id } }', { id: 'x' }).next().catch((error: unknown) => String(error)));
    expect(answers).toEqual(answers.map(() => expect.not.stringContaining('Did you mean')));
  } finally {
    await closed.stop();
  }
});

describe('requests a minute', () => {
  it('are limited per actor, with the time to wait', async () => {
    const small = await startTestApp({ env: { HOLDFAST_RATE_PER_MINUTE: '5' } });
    try {
      const client = await small.loginAsAdmin();
      for (let sent = 0; sent < 5; sent++) expect(await client.codeOf('{ viewer { id } }')).toBeNull();
      const response = await client.post({ query: '{ viewer { id } }' });
      const { errors } = (await response.json()) as { errors: { extensions: { code: string; retryAfterMs: number } }[] };
      expect(response.status).toBe(429);
      expect(errors[0]?.extensions.code).toBe('RATE_LIMITED');
      expect(errors[0]?.extensions.retryAfterMs).toBeGreaterThan(0);
      expect(errors[0]?.extensions.retryAfterMs).toBeLessThanOrEqual(12_000);
      expect(await small.anonymous.codeOf('{ viewer { id } }')).toBe('UNAUTHENTICATED');
    } finally {
      await small.stop();
    }
  });
});

describe('the page at /graphql', () => {
  it('loads nothing from elsewhere', async () => {
    const page = await fetch(`${app.url}/graphql`, { headers: { accept: 'text/html' } });
    expect(page.headers.get('content-type')).toContain('text/html');
    const html = await page.text();
    const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? '').filter((path) => !path.startsWith('data:'));
    expect(assets.length).toBeGreaterThan(1);
    for (const asset of assets) {
      expect(asset).not.toMatch(/^(\w+:)?\/\//);
      expect((await fetch(new URL(asset, `${app.url}/graphql`))).status).toBe(200);
    }
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('is gone, and the schema hidden, where introspection is off', async () => {
    const closed = await startTestApp({ env: { HOLDFAST_INTROSPECTION: 'false' } });
    try {
      expect((await fetch(`${closed.url}/graphql`, { headers: { accept: 'text/html' } })).headers.get('content-type')).not.toContain('text/html');
      expect(await closed.anonymous.codeOf('{ __schema { queryType { name } } }')).toBe('BAD_USER_INPUT');
      const { errors } = await closed.anonymous.send('{ viewr { id } }');
      expect(errors?.[0]?.message).not.toContain('viewer');
    } finally {
      await closed.stop();
    }
  });
});
