import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import pg from 'pg';
import { AppError } from '#errors';
import { createTestTenant, startTestApp, testAdmin, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, compare, ended, idOf, makePlan, restoreStart, restoreUndo, seedShop, takeBackup, watch } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { type OwnMongod, startMongod } from '../support/servers.ts';
import { addressOf, send, uploadComplete, uploadCreate } from '../support/upload-calls.ts';
import { answerWith, WebhookReceiver } from '../support/webhook-receiver.ts';

const keys = { backup: randomBytes(32), old: randomBytes(32), secret: randomBytes(32) };
const metricsToken = `metrics-${randomBytes(12).toString('hex')}`;
const memberPassword = `member-${randomBytes(12).toString('hex')}`;
const wrongPassword = `wrong-${randomBytes(12).toString('hex')}`;

const logged: string[] = [];
const notices: string[] = [];
/** What the server answered to whom, as it went over the wire. */
const answers: { readonly request: string; readonly text: string }[] = [];

let app: TestApp;
let admin: GraphqlClient;
let mongod: OwnMongod;
let product: WebhookReceiver;
let listener: pg.Client;
let tenant: TestTenant;
const originalFetch = globalThis.fetch;

beforeAll(async () => {
  globalThis.fetch = async (input, init) => {
    const response = await originalFetch(input, init);
    const copy = response.clone();
    if (!(response.headers.get('content-type') ?? '').includes('octet-stream')) answers.push({ request: typeof init?.body === 'string' ? init.body : response.url, text: `${await copy.text()}${JSON.stringify([...response.headers])}` });
    return response;
  };
  mongod = await startMongod({ auth: true });
  product = await WebhookReceiver.start(answerWith(204));
  app = await startTestApp({
    env: {
      HOLDFAST_LOG_LEVEL: 'trace',
      HOLDFAST_SECRET_KEY: keys.secret.toString('base64'),
      BACKUP_ENCRYPTION_KEY: keys.backup.toString('base64'),
      BACKUP_ENCRYPTION_KEYS_OLD: `old:${keys.old.toString('base64')}`,
      HOLDFAST_METRICS_TOKEN: metricsToken,
    },
    onLogLine: (line) => logged.push(line),
  });
  listener = new pg.Client({ connectionString: app.config.databaseUrl });
  await listener.connect();
  listener.on('notification', ({ payload }) => notices.push(payload ?? ''));
  await listener.query('listen holdfast_events');
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'shop' });
});
afterAll(async () => {
  globalThis.fetch = originalFetch;
  await listener.end();
  await app.stop();
  await product.stop();
  await mongod.stop();
});

const mutate = <Data>(client: GraphqlClient, name: string, input: Readonly<Record<string, unknown>>, fields: string) =>
  client.run<Record<string, Data>>(`mutation ($input: ${name.charAt(0).toUpperCase()}${name.slice(1)}Input!) { ${name}(input: $input) { ${fields} userErrors { code message hint } } }`, { input }).then((data) => data[name] as Data);

it('no log line, notice, answer, row or metric of a busy day holds a secret, but the answer that hands a new one out', async () => {
  /** Each with the requests whose answer may hold it. */
  const secrets = new Map<string, RegExp | null>();
  const password = decodeURIComponent(new URL(mongod.uri.replace(/^mongodb:/, 'http:').replace(/,[^/]*/, '')).password);
  expect(password.length).toBeGreaterThan(5);
  for (const secret of [password, testAdmin.password, memberPassword, wrongPassword, metricsToken]) secrets.set(secret, null);
  for (const key of Object.values(keys)) for (const text of [key.toString('base64'), key.toString('hex'), key.toString('base64url')]) secrets.set(text, null);

  const client = await MongoClient.connect(mongod.uri);
  await seedShop(client.db('shop'), 50);

  // Accounts and tokens.
  await mutate(admin, 'memberInvite', { tenantId: tenant.id, email: 'owner@x.test', name: 'Owner', role: 'OWNER', password: memberPassword }, '');
  const owner = await app.login('owner@x.test', memberPassword);
  await app.login('owner@x.test', wrongPassword).catch(() => undefined);
  const refreshed = await mutate<{ accessToken: string }>(owner, 'tokenRefresh', {}, 'accessToken');
  await owner.send('mutation ($input: PasswordChangeInput!) { passwordChange(input: $input) { userErrors { code } } }', { input: { currentPassword: wrongPassword, newPassword: memberPassword } });
  for (const token of [admin.accessToken, owner.accessToken]) secrets.set(token ?? '?', /login\(/);
  secrets.set(refreshed.accessToken, /tokenRefresh/);
  await app.clientFor(`${refreshed.accessToken}x`).send('{ viewer { id } }');
  const busy = app.clientFor(refreshed.accessToken);

  // Work: backups, a comparison, a restore with maintenance, its undo.
  const { secret } = await mutate<{ secret: string }>(busy, 'maintenanceWebhookUpdate', { tenantId: tenant.id, url: product.url }, 'secret');
  secrets.set(secret, /maintenanceWebhookUpdate/);
  const [first, second] = [await takeBackup(busy, tenant.id, { name: 'first' }), await takeBackup(admin, tenant.id)];
  await compare(busy, first.id, second.id, { collection: 'orders' });
  const plan = await makePlan(busy, tenant.id, first.id);
  const events = await watch(busy, idOf(await restoreStart(busy, plan.id, plan.confirmName)));
  expect(events.at(-1)?.state).toBe('COMPLETED');
  await ended(busy, idOf(await restoreUndo(busy, events.at(-1)?.id ?? '', plan.confirmName)));

  // Files in and out; each link is a secret until it is spent, and afterwards too.
  const download = await mutate<{ url: string }>(busy, 'downloadCreate', { backupId: first.id, variant: 'ARCHIVE' }, 'url');
  secrets.set(new URL(download.url).pathname.split('/')[2] ?? '?', /downloadCreate/);
  const bytes = Buffer.from(await (await originalFetch(`${app.url}${new URL(download.url).pathname}`)).arrayBuffer());
  await fetch(`${app.url}${new URL(download.url).pathname}`);
  const { upload } = await uploadCreate(busy, tenant.id, first.fileName ?? 'x.gz.enc', bytes, { purpose: 'IMPORT' });
  if (upload === null) throw new Error('No upload');
  secrets.set(new URL(upload.url ?? '').pathname.split('/')[2] ?? '?', /uploadCreate|uploadComplete/);
  await send(addressOf(app.url, upload), bytes);
  const imported = await uploadComplete(busy, upload.id);
  if (imported.operation !== null) await ended(busy, imported.operation.id);
  const exported = await mutate<{ url: string }>(busy, 'historyExport', { tenantId: tenant.id }, 'url');
  secrets.set(new URL(exported.url).pathname.split('/')[2] ?? '?', /historyExport/);
  await fetch(`${app.url}${new URL(exported.url).pathname}`);

  // What goes wrong tells the most.
  const remove = app.at('backup.read-back', () => Promise.reject(new Error(`Cannot read ${mongod.uri} with Bearer ${admin.accessToken}`, { cause: new AppError('TARGET_UNREACHABLE', `At ${mongod.uri}`) })));
  expect((await ended(busy, idOf(await backupCreate(busy, tenant.id)))).failure?.code).toBe('INTERNAL');
  remove();
  await admin.send('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { userErrors { code message hint } } }', {
    input: { tenantId: tenant.id, target: { uri: mongod.uri.replace(password, wrongPassword).replace('/?', '/?serverSelectionTimeoutMS=500&'), database: 'shop' } },
  });
  await client.close();
  await mongod.kill('SIGKILL');
  await busy.send('query ($id: ID!) { tenant(id: $id) { database { error version } } }', { id: tenant.id });
  await ended(busy, idOf(await backupCreate(busy, tenant.id)));

  // What anybody can ask for afterwards.
  await busy.send(`query ($id: ID!) { tenant(id: $id) { name encryption { state banner keyId } database { name error } maintenanceWebhook { url }
    history(first: 100) { edges { node { name fileName failureMessage notes } } } auditEvents(first: 100) { edges { node { action address detail { name value } } } }
    webhookDeliveries(first: 100) { edges { node { lastError } } } operations(first: 100) { edges { node { failure { message hints } log { message } } } } } }`, { id: tenant.id });
  await admin.send('{ auditEvents(first: 100) { edges { node { action detail { name value } } } } }');
  await fetch(`${app.url}/metrics`, { headers: { authorization: `Bearer ${metricsToken}` } });
  await fetch(`${app.url}/metrics`);
  await fetch(`${app.url}/readyz`);

  const rows = await everyRow(listener);
  const files = await everyFileName(app.config.dataDir);
  expect(logged.length).toBeGreaterThan(20);
  expect(notices.length).toBeGreaterThan(20);
  expect(answers.length).toBeGreaterThan(25);
  const places = { log: logged.join(''), notice: notices.join('\n'), row: rows, fileName: files, event: JSON.stringify(events), webhook: product.received.map(({ body }) => body).join('\n') };
  const leaks: string[] = [];
  for (const [text, mayBeIn] of secrets) {
    const shown = `${text.slice(0, 12)}…`;
    for (const [place, content] of Object.entries(places)) if (content.includes(text)) leaks.push(`${shown} in a ${place}: …${around(content, text)}…`);
    const holding = answers.filter((answer) => answer.text.includes(text));
    for (const { request } of holding) if (mayBeIn === null || !mayBeIn.test(request)) leaks.push(`${shown} in the answer to ${request.slice(0, 100)}`);
    if (mayBeIn !== null && holding.length === 0) leaks.push(`${shown} was never handed out: this test looks for the wrong thing`);
  }
  expect(leaks).toEqual([]);
  // The address is for those who manage the workspace to read; what it holds is not for the log.
  expect(logged.join('') + notices.join('')).not.toContain('of-the-address');
});

/** As a dump of the control plane would have it: bytes as text in every usual writing. */
async function everyRow(client: pg.Client): Promise<string> {
  const { rows: tables } = await client.query<{ name: string }>(`select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'holdfast_queue')`);
  const texts: string[] = [];
  for (const { name } of tables) {
    const { rows } = await client.query<Record<string, unknown>>(`select * from ${name}`);
    texts.push(JSON.stringify(rows, (_key, value: unknown) => (isBytes(value) ? [Buffer.from(value.data).toString('latin1'), Buffer.from(value.data).toString('base64'), Buffer.from(value.data).toString('hex')] : value)));
  }
  return texts.join('\n');
}

function isBytes(value: unknown): value is { readonly data: readonly number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';
}

async function everyFileName(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const small = await Promise.all(entries.filter((entry) => entry.isFile()).map(async (entry) => `${entry.name}\n${(await readFile(join(entry.parentPath, entry.name))).toString('latin1')}`));
  return small.join('\n');
}

function around(content: string, text: string): string {
  const at = content.indexOf(text);
  return content.slice(Math.max(0, at - 80), at);
}
