import { randomBytes } from 'node:crypto';
import type { Ids } from './world.ts';

export interface Call {
  readonly document: string;
  /**
   * The variables of one call, made anew for each. Choose input that is refused as a `userError` after the permission was checked where a success would be in
   * the way of later calls.
   */
  readonly variables: (ids: Ids) => Promise<Record<string, unknown>> | Record<string, unknown>;
  /** False for calls that name nothing of a tenant. */
  readonly namesTenant: boolean;
  /** The call ends its own token: it is made with a login of its own. */
  readonly endsLogin?: true;
}

function query(field: string, args: string, selection: string, variables: Call['variables']): Call {
  const declared = args === '' ? '' : ` (${args})`;
  const passed = args === '' ? '' : `(${args.replace(/\$(\w+): [\w!]+/g, '$1: $$$1')})`;
  return { document: `query${declared} { ${field}${passed} ${selection} }`, variables, namesTenant: args !== '' };
}

function subscription(field: string, name: string, selection: string, variables: Call['variables']): Call {
  return { document: `subscription ($${name}: ID!) { ${field}(${name}: $${name}) ${selection} }`, variables, namesTenant: true };
}

function mutation(field: string, input: (ids: Ids) => Promise<Record<string, unknown>> | Record<string, unknown>, options: { namesTenant?: false; endsLogin?: true } = {}): Call {
  const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`;
  return {
    document: `mutation ($input: ${type}!) { ${field}(input: $input) { userErrors { code message } } }`,
    variables: async (ids) => ({ input: await input(ids) }),
    namesTenant: options.namesTenant ?? true,
    ...(options.endsLogin === undefined ? {} : { endsLogin: options.endsLogin }),
  };
}

function ofTenant(field: string, selection: string): Call {
  return { document: `query ($id: ID!) { tenant(id: $id) { ${field} ${selection} } }`, variables: ({ tenant }) => ({ id: tenant }), namesTenant: true };
}

const anyEmail = () => `guest-${randomBytes(4).toString('hex')}@holdfast.test`;

/** One call for each row of docs/permissions.md. */
export const calls: Readonly<Record<string, Call>> = {
  'Query.auditEvents': query('auditEvents', '', '{ totalCount }', () => ({})),
  'Query.alerts': query('alerts', '', '{ totalCount }', () => ({})),
  'Query.apiKeys': query('apiKeys', '', '{ totalCount }', () => ({})),
  'Query.backup': query('backup', '$id: ID!', '{ id actions { permission } }', ({ backup }) => ({ id: backup })),
  'Query.classPreview': query('classPreview', '$input: ClassPreviewInput!', '{ name }', ({ tenant }) => ({ input: { tenantId: tenant, rules: [] } })),
  'Query.classProfile': query('classProfile', '', '{ pattern }', () => ({})),
  'Query.encryptionKeys': query('encryptionKeys', '', '{ keyId }', () => ({})),
  'Query.guidance': { document: '{ guidance(topic: RESTORE) { id } }', variables: () => ({}), namesTenant: false },
  'Query.node': query('node', '$id: ID!', '{ id }', ({ backup }) => ({ id: backup })),
  'Query.notifiers': query('notifiers', '', '{ totalCount }', () => ({})),
  'Query.operation': query('operation', '$id: ID!', '{ id tenant { id } log { message } }', ({ operation }) => ({ id: operation })),
  'Query.reset': query('reset', '$id: ID!', '{ id }', ({ reset }) => ({ id: reset })),
  'Query.restorePlan': query('restorePlan', '$id: ID!', '{ id }', ({ plan }) => ({ id: plan })),
  'Query.retentionPreview': query('retentionPreview', '$input: RetentionPreviewInput!', '{ dueCount }', ({ tenant }) => ({ input: { tenantId: tenant } })),
  'Query.scheduleRequests': query('scheduleRequests', '', '{ totalCount }', () => ({})),
  'Query.schedule': query('schedule', '$id: ID!', '{ id }', ({ schedule }) => ({ id: schedule })),
  'Query.stores': { document: '{ stores }', variables: () => ({}), namesTenant: false },
  'Query.tenant': query('tenant', '$slug: String!', '{ id }', ({ slug }) => ({ slug })),
  'Query.tenants': query('tenants', '', '{ totalCount }', () => ({})),
  'Query.viewer': query('viewer', '', '{ id tenants { totalCount } }', () => ({})),

  'Tenant.actions': ofTenant('actions', '{ permission }'),
  'Tenant.addressRules': ofTenant('addressRules', '{ range }'),
  'Tenant.alerts': ofTenant('alerts', '{ totalCount }'),
  'Tenant.approvals': ofTenant('approvals', '{ totalCount }'),
  'Tenant.announcements': ofTenant('announcements', '{ id }'),
  'Tenant.apiKeys': ofTenant('apiKeys', '{ totalCount }'),
  'Tenant.auditEvents': ofTenant('auditEvents', '{ edges { node { action } } }'),
  'Tenant.backups': ofTenant('backups', '{ edges { node { id } } }'),
  'Tenant.classRules': ofTenant('classRules', '{ pattern }'),
  'Tenant.collections': ofTenant('collections', '{ totalCount }'),
  'Tenant.cronKey': ofTenant('cronKey', '{ masked }'),
  'Tenant.database': ofTenant('database', '{ version }'),
  'Tenant.deletion': ofTenant('deletion', '{ dueAt }'),
  'Tenant.destinations': ofTenant('destinations', '{ id }'),
  'Tenant.encryption': ofTenant('encryption', '{ state }'),
  'Tenant.history': ofTenant('history', '{ edges { node { kind } } }'),
  'Tenant.lastGoodBackup': ofTenant('lastGoodBackup', '{ id }'),
  'Tenant.maintenance': ofTenant('maintenance', '{ on operation { id } }'),
  'Tenant.maintenanceWebhook': ofTenant('maintenanceWebhook', '{ url }'),
  'Tenant.members': ofTenant('members', '{ edges { node { email } } }'),
  'Tenant.notifiers': ofTenant('notifiers', '{ totalCount }'),
  'Tenant.operations': ofTenant('operations', '{ edges { node { id } } }'),
  'Tenant.proofPlan': ofTenant('proofPlan', '{ verifyEveryDays }'),
  'Tenant.policy': ofTenant('policy', '{ preset }'),
  'Tenant.policyChanges': ofTenant('policyChanges', '{ totalCount }'),
  'Tenant.scheduleRequests': ofTenant('scheduleRequests', '{ totalCount }'),
  'Tenant.schedules': ofTenant('schedules', '{ totalCount }'),
  'Tenant.storage': ofTenant('storage', '{ usedBytes }'),
  'Tenant.webhookDeliveries': ofTenant('webhookDeliveries', '{ totalCount }'),

  'Mutation.addressRulesLift': mutation('addressRulesLift', ({ tenant }) => ({ tenantId: tenant, reason: 'A test' })),
  'Mutation.addressRulesUpdate': mutation('addressRulesUpdate', ({ tenant }) => ({ tenantId: tenant, rules: [] })),
  'Mutation.approvalDecide': mutation('approvalDecide', async (ids) => ({ approvalId: await ids.approval(), decision: 'REJECTED' })),
  'Mutation.approvalRequest': mutation('approvalRequest', ({ backup }) => ({ action: 'DELETE_PERMANENTLY', subjectId: backup })),
  'Mutation.apiKeyCreate': mutation('apiKeyCreate', ({ tenant }) => ({ tenantId: tenant, name: 'Nobody', permissions: ['BACKUP_READ'], expiresAt: new Date(Date.now() + 60_000).toISOString() })),
  'Mutation.apiKeyRevoke': mutation('apiKeyRevoke', async (ids) => ({ apiKeyId: await ids.apiKey() })),
  'Mutation.backupCompare': mutation('backupCompare', ({ backup }) => ({ backupId: backup, otherBackupId: backup })),
  'Mutation.backupCreate': mutation('backupCreate', ({ tenant }) => ({ tenantId: tenant, scope: 'MASTER' })),
  'Mutation.backupDelete': mutation('backupDelete', ({ backup }) => ({ backupId: backup })),
  'Mutation.backupHold': mutation('backupHold', ({ backup }) => ({ backupId: backup })),
  'Mutation.backupPin': mutation('backupPin', ({ backup }) => ({ backupId: backup })),
  'Mutation.backupRelease': mutation('backupRelease', ({ backup }) => ({ backupId: backup })),
  'Mutation.backupUnpin': mutation('backupUnpin', ({ backup }) => ({ backupId: backup })),
  'Mutation.backupUpdate': mutation('backupUpdate', ({ backup }) => ({ backupId: backup, notes: 'seen' })),
  'Mutation.backupVerify': mutation('backupVerify', ({ backup }) => ({ backupId: backup })),
  'Mutation.classProfileUpdate': mutation('classProfileUpdate', () => ({ rules: [] }), { namesTenant: false }),
  'Mutation.classRulesUpdate': mutation('classRulesUpdate', ({ tenant }) => ({ tenantId: tenant, rules: [] })),
  'Mutation.cronKeyRotate': mutation('cronKeyRotate', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.destinationCreate': mutation('destinationCreate', ({ tenant }) => ({ tenantId: tenant, store: 'store-0' })),
  'Mutation.destinationDelete': mutation('destinationDelete', async (ids) => ({ destinationId: await ids.destination() })),
  'Mutation.destinationTest': mutation('destinationTest', async (ids) => ({ destinationId: await ids.destination() })),
  'Mutation.destinationUpdate': mutation('destinationUpdate', async (ids) => ({ destinationId: await ids.destination(), store: 'no such store' })),
  'Mutation.downloadCreate': mutation('downloadCreate', ({ backup }) => ({ backupId: backup, variant: 'ARCHIVE' })),
  'Mutation.historyExport': mutation('historyExport', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.drillRun': mutation('drillRun', ({ tenant, backup }) => ({ tenantId: tenant, backupId: backup })),
  'Mutation.keyReencrypt': mutation('keyReencrypt', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.login': mutation('login', () => ({ email: anyEmail(), password: 'not the password' }), { namesTenant: false }),
  'Mutation.logout': mutation('logout', () => ({}), { namesTenant: false, endsLogin: true }),
  'Mutation.maintenanceAcknowledge': mutation('maintenanceAcknowledge', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.maintenanceEnd': mutation('maintenanceEnd', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.maintenanceWebhookUpdate': mutation('maintenanceWebhookUpdate', ({ tenant }) => ({ tenantId: tenant, url: null })),
  'Mutation.memberInvite': mutation('memberInvite', ({ tenant }) => ({ tenantId: tenant, email: anyEmail(), role: 'VIEWER' })),
  'Mutation.memberSetPassword': mutation('memberSetPassword', async (ids) => ({ memberId: await ids.member(), password: 'too short' })),
  'Mutation.memberRemove': mutation('memberRemove', async (ids) => ({ memberId: await ids.member() })),
  'Mutation.memberSetRole': mutation('memberSetRole', async (ids) => ({ memberId: await ids.member(), role: 'OPERATOR' })),
  'Mutation.notifierCreate': mutation('notifierCreate', ({ tenant }) => ({ tenantId: tenant, name: 'Nobody', channel: 'SLACK', to: 'ftp://nowhere' })),
  'Mutation.notifierDelete': mutation('notifierDelete', async (ids) => ({ notifierId: await ids.notifier() })),
  'Mutation.notifierTest': mutation('notifierTest', async (ids) => ({ notifierId: await ids.notifier() })),
  'Mutation.notifierUpdate': mutation('notifierUpdate', async (ids) => ({ notifierId: await ids.notifier(), name: 'Changed' })),
  'Mutation.operationAbandon': mutation('operationAbandon', ({ operation }) => ({ operationId: operation, confirmName: 'not the name', reason: 'Tried' })),
  'Mutation.operationCancel': mutation('operationCancel', ({ operation }) => ({ operationId: operation })),
  'Mutation.passwordChange': mutation('passwordChange', () => ({ currentPassword: 'not the password', newPassword: 'another good password' }), { namesTenant: false }),
  'Mutation.proofPlanUpdate': mutation('proofPlanUpdate', ({ tenant }) => ({ tenantId: tenant, verifyEveryDays: 30 })),
  'Mutation.announcementCancel': mutation('announcementCancel', ({ announcement }) => ({ announcementId: announcement })),
  'Mutation.resetBegin': mutation('resetBegin', ({ tenant }) => ({ tenantId: tenant, reason: 'TESTING' })),
  'Mutation.resetCancel': mutation('resetCancel', ({ reset }) => ({ resetId: reset })),
  'Mutation.resetExecute': mutation('resetExecute', ({ reset }) => ({ resetId: reset, confirmText: '' })),
  'Mutation.resetSendCode': mutation('resetSendCode', ({ reset }) => ({ resetId: reset, channel: 'EMAIL' })),
  'Mutation.resetVerifyCode': mutation('resetVerifyCode', ({ reset }) => ({ resetId: reset, channel: 'EMAIL', code: '' })),
  'Mutation.restorePlanCreate': mutation('restorePlanCreate', ({ tenant, backup }) => ({ tenantId: tenant, source: { backupId: backup } })),
  'Mutation.restoreStart': mutation('restoreStart', ({ plan }) => ({ planId: plan, confirmName: 'not the name' })),
  'Mutation.restoreReleaseOld': mutation('restoreReleaseOld', ({ operation }) => ({ operationId: operation, confirmName: 'not the name' })),
  'Mutation.restoreUndo': mutation('restoreUndo', ({ operation }) => ({ operationId: operation, confirmName: 'not the name' })),
  'Mutation.retentionConfirm': mutation('retentionConfirm', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.scheduleCreate': mutation('scheduleCreate', ({ tenant }) => ({ tenantId: tenant, name: 'Never', cadence: 'CRON', cron: '0 0 1 1 *' })),
  'Mutation.scheduleDelete': mutation('scheduleDelete', async (ids) => ({ scheduleId: await ids.someSchedule() })),
  'Mutation.scheduleRequestChange': mutation('scheduleRequestChange', ({ tenant }) => ({ tenantId: tenant, cadence: 'EVERY_24H', reason: 'Year-end' })),
  'Mutation.scheduleRequestDecide': mutation('scheduleRequestDecide', async (ids) => ({ requestId: await ids.scheduleRequest(), accept: false })),
  'Mutation.scheduleRunNow': mutation('scheduleRunNow', ({ schedule }) => ({ scheduleId: schedule })),
  'Mutation.scheduleSetActive': mutation('scheduleSetActive', ({ schedule }) => ({ scheduleId: schedule, active: true })),
  'Mutation.scheduleUpdate': mutation('scheduleUpdate', ({ schedule }) => ({ scheduleId: schedule, name: 'Changed' })),
  'Mutation.tenantCreate': mutation(
    'tenantCreate',
    () => ({ slug: 'x', name: 'X', environment: 'SANDBOX', timeZone: 'UTC', target: { engine: 'MYSQL', uri: 'mysql://x', database: 'x' } }),
    { namesTenant: false },
  ),
  'Mutation.tenantDelete': mutation('tenantDelete', ({ tenant }) => ({ tenantId: tenant, confirmName: 'not the name' })),
  'Mutation.tenantPolicyUpdate': mutation('tenantPolicyUpdate', ({ tenant }) => ({ tenantId: tenant, pageSize: 20 })),
  'Mutation.tenantResume': mutation('tenantResume', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.tenantSuspend': mutation('tenantSuspend', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.tenantUndelete': mutation('tenantUndelete', ({ tenant }) => ({ tenantId: tenant })),
  'Mutation.tenantUpdate': mutation('tenantUpdate', ({ tenant }) => ({ tenantId: tenant, timeZone: 'Asia/Tokyo' })),
  'Mutation.tokenRefresh': mutation('tokenRefresh', () => ({}), { namesTenant: false }),
  'Mutation.uploadComplete': mutation('uploadComplete', ({ upload }) => ({ uploadId: upload })),
  'Mutation.uploadCreate': mutation('uploadCreate', ({ tenant }) => ({ tenantId: tenant, purpose: 'RESTORE', filename: 'dump.sql', size: '1', sha256: '0'.repeat(64) })),

  'Subscription.operationUpdated': subscription('operationUpdated', 'id', '{ id }', ({ operation }) => ({ id: operation })),
  'Subscription.tenantActivity': subscription('tenantActivity', 'tenantId', '{ id }', ({ tenant }) => ({ tenantId: tenant })),
  'Subscription.tenantUpdated': subscription('tenantUpdated', 'id', '{ id }', ({ tenant }) => ({ id: tenant })),
};
