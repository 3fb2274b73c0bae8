import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import type { UserErrorAnswer } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { HttpReceiver } from '../support/http-receiver.ts';

let app: TestApp;
let admin: GraphqlClient;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(() => app.stop());

interface RequestAnswer {
  readonly id: string;
  readonly cadence: string;
  readonly reason: string;
  readonly state: string;
  readonly note: string | null;
  readonly decidedBy: { readonly email: string } | null;
  readonly tenant: { readonly slug: string };
}

interface ConnectionAnswer {
  readonly totalCount: number;
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  readonly edges: readonly { readonly node: RequestAnswer }[];
}

const fields = 'id cadence reason state note decidedBy { email } tenant { slug }';
const connection = `totalCount pageInfo { hasNextPage endCursor } edges { node { ${fields} } }`;

async function call<Answer>(client: GraphqlClient, name: string, selection: string, input: Readonly<Record<string, unknown>>): Promise<Answer & { readonly userErrors: readonly UserErrorAnswer[] }> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const answer = await client.run<Record<string, Answer & { userErrors: UserErrorAnswer[] }>>(`mutation ($input: ${type}!) { ${name}(input: $input) { ${selection} userErrors { code message field hint } } }`, { input });
  return answer[name]!;
}

const ask = (client: GraphqlClient, tenant: TestTenant, input: Readonly<Record<string, unknown>> = {}) =>
  call(client, 'scheduleRequestChange', '', { tenantId: tenant.id, cadence: 'EVERY_24H', reason: 'Year-end', ...input });
const decide = (input: Readonly<Record<string, unknown>>) => call<{ request: RequestAnswer | null }>(admin, 'scheduleRequestDecide', `request { ${fields} }`, input);

async function of(tenant: TestTenant, client = admin): Promise<RequestAnswer[]> {
  const answer = await client.run<{ tenant: { scheduleRequests: ConnectionAnswer } }>(`query ($id: ID!) { tenant(id: $id) { scheduleRequests { ${connection} } } }`, { id: tenant.id });
  return answer.tenant.scheduleRequests.edges.map(({ node }) => node);
}

async function schedulesOf(tenant: TestTenant): Promise<{ id: string; cadence: string; bump: { cadence: string } | null }[]> {
  const answer = await admin.run<{ tenant: { schedules: { edges: { node: { id: string; cadence: string; bump: { cadence: string } | null } }[] } } }>('query ($id: ID!) { tenant(id: $id) { schedules { edges { node { id cadence bump { cadence } } } } } }', { id: tenant.id });
  return answer.tenant.schedules.edges.map(({ node }) => node);
}

async function managed(): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await call(admin, 'tenantPolicyUpdate', '', { tenantId: tenant.id, preset: 'MANAGED' });
  return tenant;
}

it('a wish for another schedule is told to the provider, listed for both, and answered with a note that the workspace reads', async () => {
  const receiver = await HttpReceiver.start();
  try {
    const [tenant, other] = [await managed(), await managed()];
    await call(admin, 'notifierCreate', '', { name: 'Provider', channel: 'SLACK', to: `${receiver.url}/asked`, cooldownMinutes: 0 });
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    expect((await ask(owner, tenant)).userErrors).toEqual([]);
    await ask(admin, other, { reason: 'Another one' });
    // Either may be the first to arrive.
    await receiver.untilReceived('/asked', 2);
    expect(receiver.at('/asked').map(({ body }) => body).join()).toContain('Year-end');

    const open = async (): Promise<ConnectionAnswer> => (await admin.run<{ scheduleRequests: ConnectionAnswer }>(`{ scheduleRequests(state: OPEN, first: 1) { ${connection} } }`)).scheduleRequests;
    const first = await open();
    expect(first).toMatchObject({ totalCount: 2, pageInfo: { hasNextPage: true }, edges: [{ node: { reason: 'Another one', tenant: { slug: other.slug } } }] });
    const { scheduleRequests: rest } = await admin.run<{ scheduleRequests: ConnectionAnswer }>(`query ($after: String) { scheduleRequests(state: OPEN, after: $after) { ${connection} } }`, { after: first.pageInfo.endCursor });
    expect(rest.edges.map(({ node }) => node.tenant.slug)).toEqual([tenant.slug]);

    const [mine] = await of(tenant, owner);
    expect(mine).toMatchObject({ cadence: 'EVERY_24H', reason: 'Year-end', state: 'OPEN', note: null });
    expect(await decide({ requestId: mine!.id, accept: false, note: 'Ask again in December' })).toMatchObject({ request: { state: 'DECLINED', decidedBy: { email: 'admin@holdfast.test' } } });
    expect(await of(tenant, owner)).toEqual([expect.objectContaining({ state: 'DECLINED', note: 'Ask again in December' })]);
    expect((await schedulesOf(tenant)).map(({ cadence }) => cadence)).toEqual(['EVERY_15_DAYS']);
    expect(await decide({ requestId: mine!.id, accept: true })).toMatchObject({ request: null, userErrors: [{ code: 'REQUEST_DECIDED' }] });
    const { tenant: told } = await owner.run<{ tenant: { alerts: { edges: { node: { event: string; text: string; resolvedAt: string | null } }[] } } }>('query ($id: ID!) { tenant(id: $id) { alerts { edges { node { event text resolvedAt } } } } }', { id: tenant.id });
    expect(told.alerts.edges.map(({ node }) => node)).toEqual([
      expect.objectContaining({ event: 'SCHEDULE_CHANGE_ANSWERED', text: expect.stringContaining('Ask again in December') }),
      expect.objectContaining({ event: 'SCHEDULE_CHANGE_REQUESTED', resolvedAt: expect.any(String) }),
    ]);
  } finally {
    await receiver.stop();
  }
});

it('accepting a wish changes the schedule with it, for good or until its end', async () => {
  const tenant = await managed();
  await ask(admin, tenant, { cadence: 'EVERY_3_DAYS' });
  await ask(admin, tenant, { until: new Date(Date.now() + 86_400_000).toISOString() });
  const [bump, forGood] = await of(tenant);
  expect(await decide({ requestId: forGood!.id, accept: true })).toMatchObject({ request: { state: 'ACCEPTED' } });
  expect(await schedulesOf(tenant)).toMatchObject([{ cadence: 'EVERY_3_DAYS', bump: null }]);
  expect(await decide({ requestId: bump!.id, accept: true })).toMatchObject({ request: { state: 'ACCEPTED' } });
  expect(await schedulesOf(tenant)).toMatchObject([{ cadence: 'EVERY_3_DAYS', bump: { cadence: 'EVERY_24H' } }]);
});

it('a wish that cannot be met stays open: not for a schedule that is not named among several, nor against the policy', async () => {
  const tenant = await managed();
  await call(admin, 'scheduleCreate', '', { tenantId: tenant.id, name: 'Second', cadence: 'EVERY_30_DAYS' });
  await ask(admin, tenant);
  const [request] = await of(tenant);
  await expect(decide({ requestId: request!.id, accept: true })).rejects.toThrow('the workspace has 2 schedules');
  const foreign = (await schedulesOf(await managed()))[0];
  await expect(decide({ requestId: request!.id, accept: true, scheduleId: foreign!.id })).rejects.toThrow('no such schedule');
  await call(admin, 'tenantPolicyUpdate', '', { tenantId: tenant.id, sandboxCadences: ['EVERY_30_DAYS', 'EVERY_15_DAYS'] });
  expect(await decide({ requestId: request!.id, accept: true, scheduleId: (await schedulesOf(tenant))[0]!.id })).toMatchObject({ userErrors: [{ code: 'POLICY_FORBIDS' }] });
  expect(await of(tenant)).toEqual([expect.objectContaining({ state: 'OPEN' })]);
  await expect(ask(admin, tenant, { cadence: 'CRON' })).rejects.toThrow('cadence');
  await expect(ask(admin, tenant, { until: new Date(0).toISOString() })).rejects.toThrow('until: must be in the future');
});

it('twenty wishes of a workspace wait for an answer at most: each of them tells whomever a notifier names what the workspace has written', async () => {
  const tenant = await managed();
  const asking = 'mutation ($input: ScheduleRequestChangeInput!) { scheduleRequestChange(input: $input) { userErrors { code } } }';
  const input = { tenantId: tenant.id, cadence: 'EVERY_24H', reason: 'Year-end' };
  const codes = await Promise.all(Array.from({ length: 22 }, () => admin.codeOf(asking, { input })));
  expect(codes.filter((code) => code === null)).toHaveLength(20);
  expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(2);
  expect(await decide({ requestId: (await of(tenant))[0]!.id, accept: false })).toMatchObject({ request: { state: 'DECLINED' } });
  expect(await admin.codeOf(asking, { input })).toBeNull();
});
