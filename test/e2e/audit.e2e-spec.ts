import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { auditVerify } from '../../src/admin/audit-verify.ts';
import { commands } from '../../src/admin/commands.ts';
import { run } from '../../src/admin/run.ts';
import { OperationsService } from '../../src/operations/operations.service.ts';
import { createTestMember, createTestTenant, startTestApp, testAdmin, type TestApp } from '../support/app.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(() => app.stop());

interface Events {
  readonly totalCount: number;
  readonly edges: readonly { readonly node: { readonly action: string; readonly sequence: string; readonly hash: string } }[];
}

const fields = '{ totalCount edges { node { action sequence hash } } }';
const ofTenant = async (id: string, filter: Record<string, unknown>): Promise<Events> => {
  const { tenant } = await admin.run<{ tenant: { auditEvents: Events } }>(`query ($id: ID!, $filter: AuditFilter) { tenant(id: $id) { auditEvents(filter: $filter) ${fields} } }`, { id, filter });
  return tenant.auditEvents;
};

it('lists a tenant\'s events by action, outcome, actor and time, each with its place in the chain', async () => {
  const tenant = await createTestTenant(admin);
  const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
  await createTestMember(app, owner, tenant.id, 'VIEWER');
  const all = await ofTenant(tenant.id, {});
  expect(all.edges.map(({ node }) => node.sequence)).toEqual(Array.from({ length: all.totalCount }, (_, n) => String(all.totalCount - n)));
  for (const { node } of all.edges) expect(node.hash).toMatch(/^[0-9a-f]{64}$/);
  expect((await ofTenant(tenant.id, { actor: owner.email.toUpperCase() })).edges.map(({ node }) => node.action)).toEqual(['member.invited']);
  expect((await ofTenant(tenant.id, { actor: testAdmin.email, action: 'member.invited' })).totalCount).toBe(1);
  expect((await ofTenant(tenant.id, { outcome: 'REFUSED' })).totalCount).toBe(0);
  expect((await ofTenant(tenant.id, { since: new Date(Date.now() + 60_000).toISOString() })).totalCount).toBe(0);
  expect((await ofTenant(tenant.id, { until: new Date(Date.now() + 60_000).toISOString() })).totalCount).toBe(all.totalCount);
});

it('shows what concerns no tenant to the provider alone', async () => {
  const tenant = await createTestTenant(admin);
  const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
  const { auditEvents } = await admin.run<{ auditEvents: Events }>(`query { auditEvents(filter: { action: "account.login" }) ${fields} }`);
  expect(auditEvents.totalCount).toBeGreaterThan(1);
  expect((await owner.send(`query { auditEvents ${fields} }`)).errors?.[0]?.extensions?.['code']).toBe('FORBIDDEN');
});

it('verifies the log of a running system, and gives its commands the services without taking up work', async () => {
  const lines: string[] = [];
  const output = { print: (line: string) => lines.push(line), complain: (line: string) => lines.push(line) };
  expect(await run(['audit-verify'], () => app.config, output)).toBe(0);
  expect(lines.length).toBeGreaterThan(1);
  expect(commands).toContain(auditVerify);
  const seen: unknown[] = [];
  const probe = { name: 'probe', options: '', summary: '', run: async (context: Parameters<typeof auditVerify.run>[0]) => {
    const services = await context.application();
    seen.push(services.get(OperationsService), context.config.runsApi, context.config.runsWorker);
    return 0;
  } };
  expect(await run(['probe'], () => app.config, output, [probe])).toBe(0);
  expect(seen).toEqual([expect.any(OperationsService), false, false]);
});
