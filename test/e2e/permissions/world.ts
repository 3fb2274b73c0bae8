import { randomBytes, randomUUID } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { toGlobalId } from '../../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, type TestApp, type TestRole, type TestTenant } from '../../support/app.ts';
import type { GraphqlClient } from '../../support/graphql-client.ts';

/** The ids that a call is made with: the caller's own tenant's, another tenant's, or ones that do not exist. */
export interface Ids {
  readonly tenant: string;
  readonly slug: string;
  /** Made for one call, because the call may remove it. */
  member(): Promise<string>;
  readonly backup: string;
  /** Made for one call, because the call decides it. */
  approval(): Promise<string>;
  readonly operation: string;
  readonly plan: string;
  readonly reset: string;
  readonly announcement: string;
  readonly upload: string;
  /** Made for one call, because the call ends it. */
  apiKey(): Promise<string>;
  /** Made for one call, because the call may remove it. */
  notifier(): Promise<string>;
  readonly schedule: string;
  /** Made for one call, because the call may remove it. */
  someSchedule(): Promise<string>;
  /** Made for one call, because the call may remove it. */
  destination(): Promise<string>;
  /** Made for one call, because the call answers it. */
  scheduleRequest(): Promise<string>;
}

export const roles = ['Owner', 'Admin', 'Operator', 'Restorer', 'Viewer', 'Provider', 'not logged in'] as const;
export type Role = (typeof roles)[number];

export interface World {
  readonly app: TestApp;
  readonly clients: ReadonlyMap<Role, GraphqlClient>;
  /** A viewer of the own tenant who owns the other one: a guard that asks only "ever?" lets it through. */
  readonly viewerWhoOwnsTheOther: GraphqlClient;
  readonly own: Ids;
  readonly other: Ids;
  readonly unknown: Ids;
}

const password = 'a password for everybody';

/** Two tenants that have everything, members of each role in the first, and the owner of the second. */
export async function createWorld(app: TestApp): Promise<World> {
  const admin = await app.loginAsAdmin();
  const [ownTenant, otherTenant] = [await createTestTenant(admin), await createTestTenant(admin)];
  const own = await furnish(admin, ownTenant);
  const other = await furnish(admin, otherTenant);
  const clients = new Map<Role, GraphqlClient>([
    ['Provider', admin],
    ['not logged in', app.anonymous],
  ]);
  for (const role of ['Owner', 'Admin', 'Operator', 'Restorer', 'Viewer'] as const) {
    clients.set(role, await createTestMember(app, admin, own.tenant, role.toUpperCase() as TestRole));
  }
  const both = `both-${randomBytes(4).toString('hex')}@holdfast.test`;
  await invite(admin, own.tenant, both, 'VIEWER', password);
  await invite(admin, other.tenant, both, 'OWNER');
  const unknown: Ids = {
    tenant: toGlobalId('Tenant', randomUUID()),
    slug: 'no-such-slug',
    member: () => Promise.resolve(toGlobalId('Member', randomUUID())),
    backup: toGlobalId('Backup', randomUUID()),
    approval: () => Promise.resolve(toGlobalId('Approval', randomUUID())),
    operation: toGlobalId('Operation', randomUUID()),
    plan: toGlobalId('RestorePlan', randomUUID()),
    reset: toGlobalId('Reset', randomUUID()),
    announcement: toGlobalId('Announcement', randomUUID()),
    upload: toGlobalId('Upload', randomUUID()),
    apiKey: () => Promise.resolve(toGlobalId('ApiKey', randomUUID())),
    notifier: () => Promise.resolve(toGlobalId('Notifier', randomUUID())),
    schedule: toGlobalId('Schedule', randomUUID()),
    someSchedule: () => Promise.resolve(toGlobalId('Schedule', randomUUID())),
    destination: () => Promise.resolve(toGlobalId('Destination', randomUUID())),
    scheduleRequest: () => Promise.resolve(toGlobalId('ScheduleRequest', randomUUID())),
  };
  return { app, clients, viewerWhoOwnsTheOther: await app.login(both, password), own, other, unknown };
}

async function furnish(admin: GraphqlClient, tenant: TestTenant): Promise<Ids> {
  const client = await MongoClient.connect(tenant.uri);
  try {
    await client.db(tenant.database).collection('orders').insertMany([{ total: 1 }, { total: 2 }]);
  } finally {
    await client.close();
  }
  const { backupCreate } = await admin.run<{ backupCreate: { backup: { id: string }; operation: { id: string } } }>(
    'mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { backup { id } operation { id } userErrors { code message } } }',
    { input: { tenantId: tenant.id } },
  );
  const updates = admin.subscribe<{ operationUpdated: { state: string; failure: { message: string } | null } }>(
    'subscription ($id: ID!) { operationUpdated(id: $id) { state failure { message } } }',
    { id: backupCreate.operation.id },
  );
  let state = '';
  for await (const { data } of updates) state = `${data?.operationUpdated.state} ${data?.operationUpdated.failure?.message ?? ''}`;
  if (!state.startsWith('COMPLETED')) throw new Error(`The backup ended ${state}`);
  const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: { id: string } } }>(
    'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } userErrors { code message } } }',
    { input: { tenantId: tenant.id, source: { backupId: backupCreate.backup.id } } },
  );
  const { resetBegin } = await admin.run<{ resetBegin: { reset: { id: string } } }>(
    'mutation ($input: ResetBeginInput!) { resetBegin(input: $input) { reset { id } userErrors { code message } } }',
    { input: { tenantId: tenant.id, reason: 'TESTING' } },
  );
  const { uploadCreate } = await admin.run<{ uploadCreate: { upload: { id: string } } }>(
    'mutation ($input: UploadCreateInput!) { uploadCreate(input: $input) { upload { id } userErrors { code message } } }',
    { input: { tenantId: tenant.id, purpose: 'RESTORE', filename: 'a.gz', size: '10', sha256: '0'.repeat(64) } },
  );
  await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, approvals: ['DELETE_PERMANENTLY'] } });
  return {
    tenant: tenant.id,
    slug: tenant.slug,
    member: () => invite(admin, tenant.id, `victim-${randomBytes(4).toString('hex')}@holdfast.test`, 'VIEWER'),
    backup: backupCreate.backup.id,
    approval: () => askForApproval(admin, backupCreate.backup.id),
    operation: backupCreate.operation.id,
    plan: restorePlanCreate.plan.id,
    reset: resetBegin.reset.id,
    announcement: await announce(admin, tenant, backupCreate.backup.id),
    upload: uploadCreate.upload.id,
    apiKey: () => makeApiKey(admin, tenant.id),
    notifier: () => makeNotifier(admin, tenant.id),
    schedule: await makeSchedule(admin, tenant.id),
    someSchedule: () => makeSchedule(admin, tenant.id),
    destination: () => makeDestination(admin, tenant.id),
    scheduleRequest: () => makeScheduleRequest(admin, tenant.id),
  };
}

/** Of the application under test: enough that each call has one of its own. */
export const storeNames = Array.from({ length: 100 }, (_, n) => `store-${n}`);
let storesUsed = 1;

async function makeDestination(admin: GraphqlClient, tenantId: string): Promise<string> {
  const { destinationCreate } = await admin.run<{ destinationCreate: { destination: { id: string } } }>('mutation ($input: DestinationCreateInput!) { destinationCreate(input: $input) { destination { id } userErrors { code message } } }', {
    input: { tenantId, store: storeNames[storesUsed++] },
  });
  return destinationCreate.destination.id;
}

async function makeScheduleRequest(admin: GraphqlClient, tenantId: string): Promise<string> {
  const { scheduleRequestChange } = await admin.run<{ scheduleRequestChange: { tenant: { scheduleRequests: { edges: { node: { id: string } }[] } } } }>(
    'mutation ($input: ScheduleRequestChangeInput!) { scheduleRequestChange(input: $input) { tenant { scheduleRequests(first: 1) { edges { node { id } } } } } }',
    { input: { tenantId, cadence: 'WEEKLY', reason: 'Quieter days' } },
  );
  return scheduleRequestChange.tenant.scheduleRequests.edges[0]?.node.id ?? '';
}

async function askForApproval(admin: GraphqlClient, backupId: string): Promise<string> {
  const { approvalRequest } = await admin.run<{ approvalRequest: { approval: { id: string } } }>(
    'mutation ($input: ApprovalRequestInput!) { approvalRequest(input: $input) { approval { id } userErrors { code message } } }',
    { input: { action: 'DELETE_PERMANENTLY', subjectId: backupId } },
  );
  return approvalRequest.approval.id;
}

/** Sends to a port where nobody listens: a test of it fails at once. */
async function makeNotifier(admin: GraphqlClient, tenantId: string): Promise<string> {
  const { notifierCreate } = await admin.run<{ notifierCreate: { notifier: { id: string } } }>(
    'mutation ($input: NotifierCreateInput!) { notifierCreate(input: $input) { notifier { id } userErrors { code message } } }',
    { input: { tenantId, name: 'Nobody', channel: 'SLACK', to: 'http://127.0.0.1:1/', minSeverity: 'ERROR' } },
  );
  return notifierCreate.notifier.id;
}

async function makeApiKey(admin: GraphqlClient, tenantId: string): Promise<string> {
  const { apiKeyCreate } = await admin.run<{ apiKeyCreate: { apiKey: { id: string } } }>(
    'mutation ($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { apiKey { id } userErrors { code message } } }',
    { input: { tenantId, name: 'Nobody', permissions: ['BACKUP_READ'] } },
  );
  return apiKeyCreate.apiKey.id;
}

async function invite(admin: GraphqlClient, tenantId: string, email: string, role: TestRole, secret?: string): Promise<string> {
  const { memberInvite } = await admin.run<{ memberInvite: { member: { id: string } } }>(
    'mutation ($input: MemberInviteInput!) { memberInvite(input: $input) { member { id } userErrors { code message } } }',
    { input: { tenantId, email, role, ...(secret === undefined ? {} : { password: secret }) } },
  );
  return memberInvite.member.id;
}

async function announce(admin: GraphqlClient, tenant: TestTenant, backupId: string): Promise<string> {
  const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: { id: string } } }>(
    'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } userErrors { code message } } }',
    { input: { tenantId: tenant.id, source: { backupId } } },
  );
  const { restoreStart } = await admin.run<{ restoreStart: { announcement: { id: string } } }>(
    'mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { announcement { id } userErrors { code message } } }',
    { input: { planId: restorePlanCreate.plan.id, confirmName: tenant.name, startAt: new Date(Date.now() + 24 * 3_600_000).toISOString() } },
  );
  return restoreStart.announcement.id;
}

async function makeSchedule(admin: GraphqlClient, tenantId: string): Promise<string> {
  const { scheduleCreate } = await admin.run<{ scheduleCreate: { schedule: { id: string } } }>(
    'mutation ($input: ScheduleCreateInput!) { scheduleCreate(input: $input) { schedule { id } userErrors { code message } } }',
    { input: { tenantId, name: 'Never', cadence: 'CRON', cron: '0 0 1 1 *' } },
  );
  return scheduleCreate.schedule.id;
}
