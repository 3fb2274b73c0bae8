import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, it } from '@jest/globals';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { backupCreate, ended, idOf, planCreate, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testDatabaseUrl } from '../support/servers.ts';

const lost = 'HOLDFAST_SECRET_KEY is not the one that stored secrets were saved under: addresses of notifiers, connections of workspaces, secrets of webhooks';
const code = 'SECRET_UNREADABLE';

const open: TestApp[] = [];
afterAll(async () => {
  for (const app of open) await app.stop();
});

/** One that is expected to go well. */
async function callMutation(client: GraphqlClient, name: string, input: Readonly<Record<string, unknown>>): Promise<void> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const { [name]: payload } = await client.run<Record<string, unknown>>(`mutation ($input: ${type}!) { ${name}(input: $input) { userErrors { code message } } }`, { input });
  expect(payload).toEqual({ userErrors: [] });
}

async function readiness(app: TestApp): Promise<unknown> {
  const response = await fetch(`${app.url}/readyz`);
  return { status: response.status, secrets: ((await response.json()) as { readonly checks: Readonly<Record<string, unknown>> }).checks['secrets'] };
}

it('says that stored secrets cannot be read with another HOLDFAST_SECRET_KEY, and works again once they were given anew', async () => {
  const databaseUrl = await testDatabaseUrl();
  const before = await startTestApp({ databaseUrl });
  open.push(before);
  const formerAdmin = await before.loginAsAdmin();
  const tenant = await createTestTenant(formerAdmin);
  await withDatabase(tenant, (db) => db.collection('orders').insertOne({ n: 1 }));
  const backup = await takeBackup(formerAdmin, tenant.id);
  await callMutation(formerAdmin, 'maintenanceWebhookUpdate', { tenantId: tenant.id, url: 'http://127.0.0.1:9/hook' });
  await callMutation(formerAdmin, 'notifierCreate', { tenantId: tenant.id, name: 'Us', channel: 'WEBHOOK', to: 'http://127.0.0.1:9/alerts' });
  expect(await readiness(before)).toEqual({ status: 200, secrets: { state: 'ok' } });
  await before.stop();
  open.pop();

  const app = await startTestApp({ databaseUrl, env: { HOLDFAST_DATA_DIR: before.config.dataDir, HOLDFAST_SECRET_KEY: Buffer.alloc(32, 8).toString('base64') } });
  open.push(app);
  expect(await readiness(app)).toEqual({ status: 200, secrets: { state: 'warning', message: lost } });
  const admin = await app.loginAsAdmin();
  expect(await ended(admin, idOf(await backupCreate(admin, tenant.id)))).toMatchObject({ state: 'FAILED', failure: { code, hints: [expect.stringContaining('HOLDFAST_SECRET_KEY')] } });
  const { plan } = await planCreate(admin, tenant.id, backup.id);
  expect(plan?.checks).toContainEqual(expect.objectContaining({ key: 'target', ok: false, blocking: true, message: expect.stringContaining('HOLDFAST_SECRET_KEY') }));

  await callMutation(admin, 'tenantUpdate', { tenantId: tenant.id, target: { uri: tenant.uri, database: tenant.database } });
  await takeBackup(admin, tenant.id);
  while (JSON.stringify(await readiness(app)).includes('connections of workspaces')) await delay(200);
  expect(await readiness(app)).toMatchObject({ secrets: { state: 'warning', message: lost.replace(' connections of workspaces,', '') } });
});
