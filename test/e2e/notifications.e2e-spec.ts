import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { HttpReceiver } from '../support/http-receiver.ts';
import { MailReceiver } from '../support/mail-receiver.ts';

let app: TestApp;
let admin: GraphqlClient;
let http: HttpReceiver;
let mail: MailReceiver;

beforeAll(async () => {
  [http, mail] = await Promise.all([HttpReceiver.start(), MailReceiver.start()]);
  app = await startTestApp({ env: { HOLDFAST_SMTP_URL: mail.url, HOLDFAST_MAIL_FROM: 'Holdfast <backup@product.example>' } });
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
  await Promise.all([http.stop(), mail.stop()]);
});

interface Delivery {
  readonly event: string;
  readonly state: string;
  readonly attempts: number;
  readonly responseCode: number | null;
  readonly lastError: string | null;
  readonly nextAttemptAt: string | null;
}

interface Answer {
  readonly notifier: { readonly id: string; readonly address: string; readonly events: string[]; readonly minSeverity: string; readonly cooldownMinutes: number } | null;
  readonly secret: string | null;
  readonly userErrors: readonly { readonly code: string; readonly field: string[] | null }[];
}

async function create(tenant: TestTenant | null, input: Readonly<Record<string, unknown>>): Promise<Answer> {
  const { notifierCreate } = await admin.run<{ notifierCreate: Answer }>(
    'mutation ($input: NotifierCreateInput!) { notifierCreate(input: $input) { notifier { id address events minSeverity cooldownMinutes } secret userErrors { code field message } } }',
    { input: { name: 'Somebody', ...(tenant === null ? {} : { tenantId: tenant.id }), ...input } },
  );
  return notifierCreate;
}

async function made(tenant: TestTenant | null, input: Readonly<Record<string, unknown>>): Promise<string> {
  const { notifier, userErrors } = await create(tenant, input);
  if (notifier === null) throw new Error(JSON.stringify(userErrors));
  return notifier.id;
}

async function test(notifierId: string): Promise<Delivery | null> {
  const { notifierTest } = await admin.run<{ notifierTest: { delivery: Delivery | null } }>(
    'mutation ($input: NotifierTestInput!) { notifierTest(input: $input) { delivery { event state attempts responseCode lastError nextAttemptAt } userErrors { code } } }',
    { input: { notifierId } },
  );
  return notifierTest.delivery;
}

async function deliveries(notifierId: string): Promise<Delivery[]> {
  const { node } = await admin.run<{ node: { deliveries: { edges: { node: Delivery }[] } } }>(
    'query ($id: ID!) { node(id: $id) { ... on Notifier { deliveries { edges { node { event state attempts responseCode lastError nextAttemptAt } } } } } }',
    { id: notifierId },
  );
  return node.deliveries.edges.map((edge) => edge.node);
}

async function alertsOf(tenant: TestTenant): Promise<{ event: string; severity: string; text: string }[]> {
  const answer = await admin.run<{ tenant: { alerts: { edges: { node: { event: string; severity: string; text: string } }[] } } }>(
    'query ($id: ID!) { tenant(id: $id) { alerts { edges { node { event severity text } } } } }',
    { id: tenant.id },
  );
  return answer.tenant.alerts.edges.map(({ node }) => node);
}

async function shop(): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 20));
  return tenant;
}

/** A scope that no collection belongs to. */
async function failingBackup(tenant: TestTenant): Promise<void> {
  await withDatabase(tenant, (db) => db.dropDatabase());
  expect((await ended(admin, idOf(await backupCreate(admin, tenant.id, { scope: 'MASTER' })))).state).toBe('FAILED');
}

describe('a notifier', () => {
  it.each([
    ['SLACK', (path: string) => ({ to: `${http.url}${path}` }), '/slack', (body: Record<string, unknown>) => body['blocks']],
    ['DISCORD', (path: string) => ({ to: `${http.url}${path}` }), '/discord', (body: Record<string, unknown>) => body['embeds']],
    ['TEAMS', (path: string) => ({ to: `${http.url}${path}` }), '/teams', (body: Record<string, unknown>) => body['attachments']],
    ['TELEGRAM', () => ({ to: '-1001', token: '42:secret-of-the-bot', apiUrl: http.url }), '/bot42:secret-of-the-bot/sendMessage', (body: Record<string, unknown>) => body['chat_id']],
  ])('of %s is told of a failed backup, and by default of no other', async (channel, address, path, partOf) => {
    const tenant = await shop();
    const id = await made(tenant, { channel, ...address(path) });
    await takeBackup(admin, tenant.id);
    await failingBackup(tenant);
    await http.untilReceived(path, 1);
    const [request, ...others] = http.at(path);
    expect(others).toEqual([]);
    expect(request).toMatchObject({ method: 'POST', headers: { 'content-type': 'application/json' } });
    expect(request?.body).toContain(`Backup failed: ${tenant.name}`);
    expect(partOf(JSON.parse(request?.body ?? '') as Record<string, unknown>)).toBeTruthy();
    expect((await deliveries(id)).map(({ event }) => event)).toEqual(['BACKUP_FAILED']);
  });

  it('sends e-mail', async () => {
    const tenant = await shop();
    await made(tenant, { channel: 'EMAIL', to: 'ops@tenant.example', minSeverity: 'INFO' });
    const before = mail.received.length;
    await takeBackup(admin, tenant.id);
    await mail.untilReceived(before + 1);
    expect(mail.received.at(-1)).toMatchObject({ to: 'ops@tenant.example', subject: `[Holdfast] Backup completed: ${tenant.name}`, text: expect.stringContaining(tenant.slug) });
  });

  it('signs the requests to an address of the product', async () => {
    const tenant = await shop();
    const { secret } = await create(tenant, { channel: 'WEBHOOK', to: `${http.url}/signed` });
    await failingBackup(tenant);
    await http.untilReceived('/signed', 1);
    const [request] = http.at('/signed');
    const [, t, v1] = /^t=(\d+),v1=(\w+)$/.exec(String(request?.headers['holdfast-signature'])) ?? [];
    expect(v1).toBe(createHmac('sha256', secret ?? '').update(`${t}.${request?.body}`).digest('hex'));
    expect(JSON.parse(request?.body ?? '')).toMatchObject({ type: 'alert', event: 'BACKUP_FAILED', severity: 'ERROR', tenant: { slug: tenant.slug } });
  });

  it('pings a dead man\'s switch for each completed backup, and for nothing else', async () => {
    const tenant = await shop();
    const id = await made(tenant, { channel: 'PING', to: `${http.url}/ping` });
    await takeBackup(admin, tenant.id);
    await takeBackup(admin, tenant.id);
    await http.untilReceived('/ping', 2);
    await failingBackup(tenant);
    expect(http.at('/ping').map(({ method, body }) => [method, body])).toEqual([['GET', ''], ['GET', '']]);
    expect((await deliveries(id)).map(({ event }) => event)).toEqual(['BACKUP_COMPLETED', 'BACKUP_COMPLETED']);
  });

  it('is spared the same event within its cooldown, and the log says so', async () => {
    const tenant = await shop();
    const id = await made(tenant, { channel: 'SLACK', to: `${http.url}/cooldown`, cooldownMinutes: 60 });
    await failingBackup(tenant);
    await failingBackup(tenant);
    await http.untilReceived('/cooldown', 1);
    expect((await deliveries(id)).map(({ state }) => state)[0]).toBe('SUPPRESSED');
    expect(http.at('/cooldown')).toHaveLength(1);
    expect((await alertsOf(tenant)).filter(({ event }) => event === 'BACKUP_FAILED')).toHaveLength(2);
  });

  it('of the provider is told of every tenant, one of a tenant of its own alone', async () => {
    const [one, other] = [await shop(), await shop()];
    await made(one, { channel: 'SLACK', to: `${http.url}/one` });
    const provider = await made(null, { channel: 'SLACK', to: `${http.url}/provider`, cooldownMinutes: 0 });
    await failingBackup(other);
    await failingBackup(one);
    await http.untilReceived('/provider', 2);
    await http.untilReceived('/one', 1);
    expect(http.at('/one').every(({ body }) => body.includes(one.name))).toBe(true);
    await admin.run('mutation ($input: NotifierDeleteInput!) { notifierDelete(input: $input) { userErrors { code } } }', { input: { notifierId: provider } });
  });

  it('is tried again until it is taken', async () => {
    const tenant = await shop();
    http.answers.set('/flaky', 503);
    const id = await made(tenant, { channel: 'DISCORD', to: `${http.url}/flaky` });
    await failingBackup(tenant);
    await http.untilReceived('/flaky', 1);
    http.answers.delete('/flaky');
    // The clock was years ahead when its pause began.
    const setAhead = (): Promise<[unknown[], number]> => app.nest.get(DataSource).query(`update alert_delivery set next_attempt_at = now() + interval '3 years' where state = 'PENDING' and last_error is not null and notifier_id = $1`, [parseGlobalId(id)!.uuid]);
    while ((await setAhead())[1] === 0);
    await http.untilReceived('/flaky', 2);
    const [first, second] = http.at('/flaky');
    expect(second?.body).toBe(first?.body);
    expect((await deliveries(id))[0]).toMatchObject({ event: 'BACKUP_FAILED', attempts: 2 });
  });

  it('can be tried out, and says what came of it', async () => {
    const tenant = await createTestTenant(admin);
    const good = await made(tenant, { channel: 'TEAMS', to: `${http.url}/try` });
    expect(await test(good)).toMatchObject({ event: 'TEST', state: 'DELIVERED', responseCode: 200, nextAttemptAt: null });
    const bad = await made(tenant, { channel: 'TEAMS', to: `${http.url}/refusing?sig=secret-in-the-url` });
    http.answers.set('/refusing?sig=secret-in-the-url', 403);
    expect(await test(bad)).toMatchObject({ state: 'FAILED', responseCode: 403, lastError: 'Answered 403' });
    expect(await deliveries(bad)).toHaveLength(1);
  });

  it('can be tried out twenty times an hour, also at once and by notifiers that are made anew: it sends mail to whomever it names', async () => {
    const tenant = await createTestTenant(admin);
    const input = { channel: 'SLACK', to: `${http.url}/flood` };
    const testing = 'mutation ($input: NotifierTestInput!) { notifierTest(input: $input) { delivery { state } } }';
    const first = await made(tenant, input);
    const codes = await Promise.all(Array.from({ length: 24 }, () => admin.codeOf(testing, { input: { notifierId: first } })));
    expect(codes.filter((code) => code === null)).toHaveLength(20);
    expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(4);
    await admin.run('mutation ($input: NotifierDeleteInput!) { notifierDelete(input: $input) { userErrors { code } } }', { input: { notifierId: first } });
    expect(await admin.codeOf(testing, { input: { notifierId: await made(tenant, input) } })).toBe('RATE_LIMITED');
    expect(http.at('/flood')).toHaveLength(20);
    expect(await test(await made(await createTestTenant(admin), input))).toMatchObject({ state: 'DELIVERED' });
  });

  it('that cannot reach the mail server says so, without saying where it is', async () => {
    const gone = await MailReceiver.start();
    const { url } = gone;
    await gone.stop();
    const other = await startTestApp({ env: { HOLDFAST_SMTP_URL: url, HOLDFAST_MAIL_FROM: 'backup@product.example' } });
    try {
      const client = await other.loginAsAdmin();
      const { notifierCreate } = await client.run<{ notifierCreate: Answer }>('mutation ($input: NotifierCreateInput!) { notifierCreate(input: $input) { notifier { id } userErrors { code } } }', {
        input: { name: 'Somebody', channel: 'EMAIL', to: 'somebody@product.example' },
      });
      const { notifierTest } = await client.run<{ notifierTest: { delivery: Delivery } }>('mutation ($input: NotifierTestInput!) { notifierTest(input: $input) { delivery { state lastError } } }', { input: { notifierId: notifierCreate.notifier!.id } });
      expect(notifierTest.delivery).toEqual({ state: 'FAILED', lastError: 'The mail server did not take the message: it cannot be reached' });
    } finally {
      await other.stop();
    }
  });

  it('never shows its address again', async () => {
    const tenant = await createTestTenant(admin);
    const shown = await Promise.all([
      create(tenant, { channel: 'EMAIL', to: 'somebody@tenant.example' }),
      create(tenant, { channel: 'TELEGRAM', to: '-100987654', token: '42:secret-of-the-bot' }),
      create(tenant, { channel: 'SLACK', to: `${http.url}/services/secret-in-the-path` }),
    ]);
    expect(shown.map(({ notifier }) => notifier?.address)).toEqual(['s…@tenant.example', 'chat …7654', `127.0.0.1:${http.port}`]);
  });

  it.each([
    [{ channel: 'EMAIL', to: 'nobody' }, 'to: give an e-mail address'],
    [{ channel: 'TELEGRAM', to: 'x y', token: '1:a' }, 'to: give the id of a chat'],
    [{ channel: 'TELEGRAM', to: '1' }, "token: give the bot's token"],
  ])('is refused for %j', async (input, message) => {
    await expect(create(await createTestTenant(admin), input)).rejects.toThrow(message);
  });

  it('is refused for an address that cannot be one', async () => {
    expect(await create(await createTestTenant(admin), { channel: 'SLACK', to: 'ftp://example.com' })).toMatchObject({ notifier: null, userErrors: [{ code: 'WEBHOOK_INVALID', field: ['to'] }] });
  });
});

describe('people are told', () => {
  it('that a backup has an unusual size', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, async (db) => void (await db.collection('orders').insertMany(Array.from({ length: 2_000 }, (_, n) => ({ n, text: `${n * 7919}-${n}` })))));
    for (let n = 0; n < 3; n++) await takeBackup(admin, tenant.id);
    expect((await alertsOf(tenant)).map(({ event }) => event)).not.toContain('BACKUP_SIZE_ANOMALY');
    await withDatabase(tenant, (db) => db.collection('orders').deleteMany({ n: { $gt: 10 } }));
    await takeBackup(admin, tenant.id);
    expect((await alertsOf(tenant)).find(({ event }) => event === 'BACKUP_SIZE_ANOMALY')).toMatchObject({ severity: 'WARNING', text: expect.stringMatching(/, \d+ % of what the last ones had/) });
  });

  it('once that the quota is nearly used up, and again when it is so again', async () => {
    const tenant = await shop();
    const { size } = await takeBackup(admin, tenant.id);
    const setQuota = (bytes: number): Promise<unknown> => app.nest.get(DataSource).query('update tenant set quota_bytes = $2 where slug = $1', [tenant.slug, Math.floor(bytes)]);
    const quotaAlerts = async () => (await alertsOf(tenant)).filter(({ event }) => event === 'QUOTA').map(({ severity }) => severity);
    await setQuota(Number(size) * 2.4);
    await takeBackup(admin, tenant.id);
    expect(await quotaAlerts()).toEqual(['WARNING']);
    await setQuota(Number(size) * 3.1);
    await takeBackup(admin, tenant.id);
    expect(await quotaAlerts()).toEqual(['ERROR', 'WARNING']);
    await setQuota(Number(size) * 100);
    await takeBackup(admin, tenant.id);
    await setQuota(Number(size) * 5.9);
    await takeBackup(admin, tenant.id);
    expect(await quotaAlerts()).toEqual(['WARNING', 'ERROR', 'WARNING']);
  });

  it('once that the key is missing, however many workers start', async () => {
    const path = '/key';
    await made(null, { channel: 'SLACK', to: `${http.url}${path}` });
    const keyless = async (): Promise<void> => (await startTestApp({ databaseUrl: app.config.databaseUrl, env: { BACKUP_ENCRYPTION_KEY: '' } })).stop();
    await keyless();
    await keyless();
    await http.untilReceived(path, 1);
    const { alerts } = await admin.run<{ alerts: { edges: { node: { event: string; resolvedAt: string | null } }[] } }>('{ alerts(first: 100) { edges { node { event resolvedAt } } } }');
    expect(alerts.edges.filter(({ node }) => node.event === 'KEY_MISSING')).toEqual([{ node: { event: 'KEY_MISSING', resolvedAt: null } }]);
    expect(http.at(path)).toHaveLength(1);
  });
});
