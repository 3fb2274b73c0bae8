import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, backupCreate, restore, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

const documents = 60;
const text = 'x'.repeat(10_000);
const bytes = documents * text.length;

interface Updated {
  readonly tenant: { readonly maxBytesPerSecond: string | null } | null;
  readonly userErrors: readonly { readonly code: string; readonly field: readonly string[] | null }[];
}

describe('the rate at which a workspace is read and written', () => {
  let app: TestApp;
  let admin: GraphqlClient;
  let tenant: TestTenant;

  beforeAll(async () => {
    app = await startTestApp({ env: { HOLDFAST_MAX_BYTES_PER_SECOND: String(bytes) } });
    admin = await app.loginAsAdmin();
    tenant = await createTestTenant(admin);
    await withDatabase(tenant, async (db) => {
      await db.collection('texts').insertMany(Array.from({ length: documents }, () => ({ text })));
    });
  });
  afterAll(() => app.stop());

  async function setRate(client: GraphqlClient, maxBytesPerSecond: string): Promise<Updated> {
    const { tenantUpdate } = await client.run<{ tenantUpdate: Updated }>(
      'mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { tenant { maxBytesPerSecond } userErrors { code field } } }',
      { input: { tenantId: tenant.id, maxBytesPerSecond } },
    );
    return tenantUpdate;
  }

  async function secondsOf(operationId: string): Promise<number> {
    const { operation } = await admin.run<{ operation: { state: string; startedAt: string; finishedAt: string } }>('query ($id: ID!) { operation(id: $id) { state startedAt finishedAt } }', { id: operationId });
    expect(operation.state).toBe('COMPLETED');
    return (Date.parse(operation.finishedAt) - Date.parse(operation.startedAt)) / 1000;
  }

  it('is the provider\'s to set, and 0 takes it away', async () => {
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    await expect(setRate(owner, '1000000')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(setRate(admin, '65535')).rejects.toMatchObject({ code: 'BAD_USER_INPUT', message: expect.stringContaining('maxBytesPerSecond') });
    expect(await setRate(admin, '5000000000')).toMatchObject({ tenant: { maxBytesPerSecond: '5000000000' }, userErrors: [] });
    expect(await setRate(admin, '0')).toMatchObject({ tenant: { maxBytesPerSecond: null } });
    const { tenant: seen } = await owner.run<{ tenant: { auditEvents: { edges: { node: { action: string } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { auditEvents(first: 10, filter: { action: "tenant.rate-changed" }) { edges { node { action } } } } }',
      { id: tenant.id },
    );
    expect(seen.auditEvents.edges).toHaveLength(2);
  });

  it('is never passed by a backup, nor by a restore with its safety backup, its stage and its check', async () => {
    const started = idOf(await backupCreate(admin, tenant.id));
    const { backup } = await ended(admin, started);
    expect(await secondsOf(started)).toBeGreaterThan(1);
    // Another rate begins anew: what the backup has left unused since would let the restore pass a little earlier.
    await setRate(admin, String(bytes - 1));
    const { id } = await restore(admin, tenant.id, backup?.id ?? '');
    expect(await secondsOf(id)).toBeGreaterThan(3);
    await setRate(admin, String(bytes / 2));
    const slower = idOf(await backupCreate(admin, tenant.id));
    await ended(admin, slower);
    expect(await secondsOf(slower)).toBeGreaterThan(2);
  });
});
