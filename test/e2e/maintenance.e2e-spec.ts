import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { TenantsService } from '../../src/tenants/tenants.service.ts';
import { fromGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
let tenants: TenantsService;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  tenants = app.nest.get(TenantsService, { strict: false });
});
afterAll(() => app.stop());

interface Seen {
  readonly tenantUpdated: { status: string; sessionEpoch: number; maintenance: { on: boolean; message: string | null; acknowledgedAt: string | null } };
}

it('is seen by subscribers, ends the sessions once, waits for the product, and ends with its own operation alone', async () => {
  const { id } = await createTestTenant(admin);
  const scope = { tenantId: fromGlobalId('Tenant', id) };
  const operationId = randomUUID();
  await using subscription = admin.subscribe<Seen>(
    'subscription ($id: ID!) { tenantUpdated(id: $id) { status sessionEpoch maintenance { on message acknowledgedAt } } }',
    { id },
  );
  expect((await subscription.nextData()).tenantUpdated).toMatchObject({ status: 'ACTIVE', sessionEpoch: 0, maintenance: { on: false } });

  await tenants.beginMaintenance(scope, { operationId, message: 'A backup is being restored', endSessions: true });
  await tenants.beginMaintenance(scope, { operationId, message: 'A backup is being restored', endSessions: true });
  expect((await subscription.nextData()).tenantUpdated).toEqual({
    status: 'MAINTENANCE',
    sessionEpoch: 1,
    maintenance: { on: true, message: 'A backup is being restored', acknowledgedAt: null },
  });

  await admin.run('mutation ($input: MaintenanceAcknowledgeInput!) { maintenanceAcknowledge(input: $input) { userErrors { code } } }', { input: { tenantId: id } });
  expect((await subscription.nextData()).tenantUpdated.maintenance.acknowledgedAt).not.toBeNull();

  expect((await tenants.endMaintenance(scope, randomUUID())).maintenanceSince).not.toBeNull();
  expect((await tenants.endMaintenance(scope, operationId)).maintenanceSince).toBeNull();
  expect((await subscription.nextData()).tenantUpdated).toMatchObject({ status: 'ACTIVE', sessionEpoch: 1, maintenance: { on: false, acknowledgedAt: null } });
});

it('that was left behind is ended by hand', async () => {
  const { id } = await createTestTenant(admin);
  await tenants.beginMaintenance({ tenantId: fromGlobalId('Tenant', id) }, { operationId: randomUUID(), message: 'Left behind', endSessions: true });
  const { maintenanceEnd } = await admin.run<{ maintenanceEnd: unknown }>(
    'mutation ($input: MaintenanceEndInput!) { maintenanceEnd(input: $input) { tenant { status } userErrors { code } } }',
    { input: { tenantId: id } },
  );
  expect(maintenanceEnd).toEqual({ tenant: { status: 'ACTIVE' }, userErrors: [] });
});
