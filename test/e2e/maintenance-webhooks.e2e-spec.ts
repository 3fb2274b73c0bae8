import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { MaintenanceAcknowledgement } from '../../src/maintenance/maintenance-acknowledgement.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, makePlan, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { answerWith, isSignedBy, WebhookReceiver } from '../support/webhook-receiver.ts';

let app: TestApp;
let admin: GraphqlClient;
let product: WebhookReceiver;

beforeAll(async () => {
  app = await startTestApp({ env: { HOLDFAST_MAINTENANCE_WAIT_SECONDS: '3' } });
  admin = await app.loginAsAdmin();
});
beforeEach(async () => {
  product = await WebhookReceiver.start();
});
afterEach(() => product.stop());
afterAll(() => app?.stop());

interface WebhookAnswer {
  readonly webhook: { readonly url: string; readonly required: boolean } | null;
  readonly secret: string | null;
  readonly userErrors: readonly { readonly code: string; readonly field: readonly string[] | null }[];
}

async function update(tenant: TestTenant, input: Readonly<Record<string, unknown>>): Promise<WebhookAnswer> {
  const answer = await admin.run<{ maintenanceWebhookUpdate: WebhookAnswer }>(
    'mutation ($input: MaintenanceWebhookUpdateInput!) { maintenanceWebhookUpdate(input: $input) { webhook { url required } secret userErrors { code field } } }',
    { input: { tenantId: tenant.id, ...input } },
  );
  return answer.maintenanceWebhookUpdate;
}

async function secretOf(tenant: TestTenant, input: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { secret, userErrors } = await update(tenant, { url: product.url, ...input });
  if (secret === null) throw new Error(JSON.stringify(userErrors));
  return secret;
}

interface Delivery {
  readonly event: string;
  readonly state: string;
  readonly attempts: number;
  readonly responseCode: number | null;
  readonly lastError: string | null;
}

/** Oldest first. */
async function deliveries(tenant: TestTenant): Promise<Delivery[]> {
  const answer = await admin.run<{ tenant: { webhookDeliveries: { edges: { node: Delivery }[] } } }>(
    'query ($id: ID!) { tenant(id: $id) { webhookDeliveries { edges { node { event state attempts responseCode lastError } } } } }',
    { id: tenant.id },
  );
  return answer.tenant.webhookDeliveries.edges.map(({ node }) => node).reverse();
}

/** The log is written after the answer has come: looked at again until nothing of it is under way. */
async function settled(tenant: TestTenant): Promise<Delivery[]> {
  for (;;) {
    const all = await deliveries(tenant);
    if (all.every(({ state }) => state !== 'PENDING')) return all;
  }
}

async function shop(): Promise<{ readonly tenant: TestTenant; readonly planId: string }> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 20));
  const backup = await takeBackup(admin, tenant.id);
  await withDatabase(tenant, async (db) => void (await db.collection('orders').deleteMany({})));
  return { tenant, planId: (await makePlan(admin, tenant.id, backup.id)).id };
}

const maintenanceOf = async (tenant: TestTenant): Promise<{ readonly status: string; readonly sessionEpoch: number; readonly maintenance: { readonly on: boolean; readonly acknowledgedAt: string | null } }> =>
  (await admin.run<{ tenant: Awaited<ReturnType<typeof maintenanceOf>> }>('query ($id: ID!) { tenant(id: $id) { status sessionEpoch maintenance { on acknowledgedAt } } }', { id: tenant.id })).tenant;

describe('the maintenance webhook', () => {
  it('has a secret that is shown once, when it is new, and kept encrypted', async () => {
    const tenant = await createTestTenant(admin);
    const first = await update(tenant, { url: product.url });
    expect(first).toMatchObject({ webhook: { url: product.url, required: false }, secret: expect.stringMatching(/^whsec_[\w-]{43}$/) });
    expect(await update(tenant, { url: `${product.url}2`, required: true })).toMatchObject({ webhook: { url: `${product.url}2`, required: true }, secret: null });
    const rotated = await update(tenant, { url: product.url, rotateSecret: true });
    expect(rotated.secret).not.toBe(first.secret);
    const rows: { secret_cipher: Buffer }[] = await app.nest.get(DataSource).query('select * from webhook where tenant_id = $1', [parseGlobalId(tenant.id)!.uuid]);
    expect(rows).toHaveLength(1);
    expect(rows[0]!.secret_cipher.toString('latin1')).not.toContain(rotated.secret);
    expect(await update(tenant, { url: null })).toMatchObject({ webhook: null, secret: null });
    const audit = await admin.run<{ tenant: { auditEvents: { edges: { node: { action: string; detail: unknown } }[] } } }>('query ($id: ID!) { tenant(id: $id) { auditEvents { edges { node { action detail { name value } } } } } }', { id: tenant.id });
    expect(audit.tenant.auditEvents.edges.map(({ node }) => node.action)).toEqual(['tenant.webhook-removed', 'tenant.webhook-changed', 'tenant.webhook-changed', 'tenant.webhook-changed', 'tenant.created']);
    expect(JSON.stringify(audit)).not.toMatch(/whsec_|of-the-address/);
  });

  it('must have an address that can be used', async () => {
    const tenant = await createTestTenant(admin);
    for (const url of ['nonsense', 'ftp://product.example/', 'http://user:password@product.example/']) {
      expect(await update(tenant, { url })).toMatchObject({ webhook: null, userErrors: [{ code: 'WEBHOOK_INVALID', field: ['url'] }] });
    }
  });

  it('is waited for as long as the configuration says, else 30 seconds where there is one', async () => {
    const other = await startTestApp();
    try {
      const client = await other.loginAsAdmin();
      const tenant = await createTestTenant(client);
      const scope = { tenantId: parseGlobalId(tenant.id)!.uuid };
      const acknowledgement = other.nest.get(MaintenanceAcknowledgement, { strict: false });
      expect(await acknowledgement.waitOf(scope)).toMatchObject({ ms: 0, required: false });
      await client.run('mutation ($input: MaintenanceWebhookUpdateInput!) { maintenanceWebhookUpdate(input: $input) { secret } }', { input: { tenantId: tenant.id, url: product.url } });
      expect(await acknowledgement.waitOf(scope)).toMatchObject({ ms: 30_000, required: false });
    } finally {
      await other.stop();
    }
  });
});

describe('a restore', () => {
  it('tells the product, signed, when maintenance begins and ends, and takes a 2xx for the word that its users are out', async () => {
    const { tenant, planId } = await shop();
    const secret = await secretOf(tenant, { required: true });
    const epoch = (await maintenanceOf(tenant)).sessionEpoch;
    let beforeSwap: Awaited<ReturnType<typeof maintenanceOf>> | undefined;
    const off = app.at('restore.committed', async () => void (beforeSwap = await maintenanceOf(tenant)));
    const id = idOf(await restoreStart(admin, planId, tenant.name));
    expect(await ended(admin, id)).toMatchObject({ state: 'COMPLETED', result: { warnings: [] } });
    off();
    expect(beforeSwap).toMatchObject({ status: 'MAINTENANCE', sessionEpoch: epoch + 1, maintenance: { on: true, acknowledgedAt: expect.any(String) } });

    await product.untilReceived(2);
    const [started, over] = product.received;
    for (const message of [started!, over!]) {
      expect(isSignedBy(secret, message)).toBe(true);
      expect(isSignedBy('whsec_another', message)).toBe(false);
      expect(isSignedBy(secret, { ...message, body: message.body.replace('maintenance', 'Maintenance') })).toBe(false);
      expect(isSignedBy(secret, message, Date.now() + 600_000)).toBe(false);
      expect(message.headers).toMatchObject({ 'holdfast-event': message.json.type, 'holdfast-delivery': message.json.id, 'content-type': 'application/json' });
    }
    expect(started!.json).toMatchObject({ type: 'maintenance.started', sessionEpoch: epoch + 1, tenant: { id: tenant.id, slug: tenant.slug }, maintenance: { on: true, operation: id, message: 'A backup is being restored' } });
    expect(over!.json).toMatchObject({ type: 'maintenance.ended', sessionEpoch: epoch + 1, tenant: { id: tenant.id }, maintenance: { on: false, operation: id } });
    expect(over!.json.revision).toBeGreaterThan(started!.json.revision);
    const delivered = { state: 'DELIVERED', attempts: 1, responseCode: 204, lastError: null };
    expect(await settled(tenant)).toEqual([{ event: 'maintenance.started', ...delivered }, { event: 'maintenance.ended', ...delivered }]);
    expect(await maintenanceOf(tenant)).toMatchObject({ status: 'ACTIVE', maintenance: { on: false } });
  });

  it('tries again until the product answers', async () => {
    const { tenant, planId } = await shop();
    await secretOf(tenant, { required: true });
    product.respond = answerWith(503);
    void product.untilReceived(1).then(() => (product.respond = answerWith(200)));
    expect(await ended(admin, idOf(await restoreStart(admin, planId, tenant.name)))).toMatchObject({ state: 'COMPLETED', result: { warnings: [] } });
    expect(await settled(tenant)).toMatchObject([{ event: 'maintenance.started', state: 'DELIVERED', attempts: 2, responseCode: 200 }, { event: 'maintenance.ended', state: 'DELIVERED' }]);
    expect(product.received[0]!.json.id).toBe(product.received[1]!.json.id);
  });

  it('goes on with a warning when nobody confirms in time, and follows no redirect', async () => {
    const { tenant, planId } = await shop();
    await secretOf(tenant);
    const elsewhere = await WebhookReceiver.start();
    product.respond = (received, response) => (received.json.type === 'maintenance.started' ? answerWith(307, { location: elsewhere.url }) : answerWith(204))(received, response);
    const done = await ended(admin, idOf(await restoreStart(admin, planId, tenant.name)));
    expect(done).toMatchObject({ state: 'COMPLETED', result: { warnings: [expect.stringMatching(/did not confirm in time/)] } });
    const [started, over] = await settled(tenant);
    expect(started).toMatchObject({ event: 'maintenance.started', state: 'SUPERSEDED', responseCode: 307, lastError: 'Answered 307; redirects are not followed' });
    expect(over).toMatchObject({ event: 'maintenance.ended', state: 'DELIVERED' });
    // Nothing of the beginning arrives after the end.
    expect(product.types().at(-1)).toBe('maintenance.ended');
    expect(elsewhere.received).toEqual([]);
    await elsewhere.stop();
  });

  it('is refused without an answer where the workspace wants one, live data untouched', async () => {
    const { tenant, planId } = await shop();
    await secretOf(tenant, { required: true });
    product.respond = (received, response) => (received.json.type === 'maintenance.started' ? answerWith(500) : answerWith(204))(received, response);
    const before = await withDatabase(tenant, fingerprint);
    const failed = await ended(admin, idOf(await restoreStart(admin, planId, tenant.name)));
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'MAINTENANCE_UNACKNOWLEDGED', hints: [expect.stringMatching(/untouched/)] } });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
    expect(await maintenanceOf(tenant)).toMatchObject({ status: 'ACTIVE', maintenance: { on: false } });
    expect((await settled(tenant)).at(-1)).toMatchObject({ event: 'maintenance.ended', state: 'DELIVERED' });
  });

  it('goes on at once when the product confirms over the API, or is canceled while it waits', async () => {
    const { tenant, planId } = await shop();
    await secretOf(tenant, { required: true });
    // Takes the message and never answers.
    product.respond = () => undefined;
    const first = idOf(await restoreStart(admin, planId, tenant.name));
    await product.untilReceived(1);
    await admin.run('mutation ($input: MaintenanceAcknowledgeInput!) { maintenanceAcknowledge(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id } });
    const done = await ended(admin, first);
    expect(done).toMatchObject({ state: 'COMPLETED', result: { warnings: [] } });

    product.respond = answerWith(500);
    const again = await makePlan(admin, tenant.id, done.safetyBackup!.id);
    const second = idOf(await restoreStart(admin, again.id, tenant.name));
    for (;;) if ((await maintenanceOf(tenant)).maintenance.on) break;
    const askedAt = Date.now();
    await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: second } });
    expect(await ended(admin, second)).toMatchObject({ state: 'CANCELED' });
    expect(Date.now() - askedAt).toBeLessThan(2_500);
    expect(await maintenanceOf(tenant)).toMatchObject({ maintenance: { on: false } });
  });

  it('warns where it was told to wait and nobody is there to be told', async () => {
    const { tenant, planId } = await shop();
    expect(await ended(admin, idOf(await restoreStart(admin, planId, tenant.name)))).toMatchObject({ state: 'COMPLETED', result: { warnings: [expect.stringMatching(/did not confirm/)] } });
    expect(await deliveries(tenant)).toEqual([]);
  });
});
