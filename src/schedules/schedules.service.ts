import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { BackupScope } from '../backups/backup.entity.js';
import { BackupsService, type StartedBackup } from '../backups/backups.service.js';
import { type Actor, type ActorStamp, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { PoliciesService } from '../policies/policies.service.js';
import type { Cadence } from '../policies/policy-enums.js';
import { parseRetentionRule, type RetentionRule } from '../policies/retention-rule.js';
import { type TenantPolicy, policyOf } from '../policies/tenant-policy.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { nextRunAfter } from './next-run.js';
import { cronProblem, labelOf } from './occurrences.js';
import { type Bump, cadenceAt, type ScheduleEntity, type ScheduleOutline } from './schedule.entity.js';
import { SchedulesRepository } from './schedules.repository.js';

export interface ScheduleDraft {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly cadence: Cadence;
  readonly atTime?: string | null | undefined;
  readonly timeZone?: string | null | undefined;
  readonly cron?: string | null | undefined;
  readonly scope?: BackupScope | null | undefined;
  readonly retention?: unknown;
}

export type ScheduleChanges = { readonly [Field in keyof ScheduleDraft]?: ScheduleDraft[Field] | null } & { readonly bump?: { readonly cadence: Cadence; readonly until: Date } | null | undefined };

const assignedBy: ActorStamp = { id: 'system:policy', kind: 'SYSTEM', email: null, name: 'The policy' };

/** What people do with schedules. Where the policy says PROVIDER_MANAGED, the provider alone makes and changes them. */
@Injectable()
export class SchedulesService implements OnModuleInit {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly policies: PoliciesService,
    private readonly tenants: TenantsService,
    private readonly backups: BackupsService,
    private readonly schedules: SchedulesRepository,
  ) {}

  /** A workspace whose schedule the provider assigns has one from the start. */
  onModuleInit(): void {
    this.tenants.watch(async (before, after, manager) => {
      const [was, is] = [policyOf(before.policy), policyOf(after.policy)];
      if (is.scheduling === 'PROVIDER_MANAGED' && was.scheduling !== 'PROVIDER_MANAGED' && (await this.schedules.count({ tenantId: after.id }, manager)) === 0) await this.assign(after, is, manager);
    });
  }

  /** @throws AppError POLICY_FORBIDS, BAD_USER_INPUT */
  async create(actor: Actor, tenantGlobalId: string, draft: ScheduleDraft): Promise<ScheduleEntity> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', tenantGlobalId), Permission.SCHEDULE_MANAGE);
    return runInTransaction(this.dataSource, async (manager) => {
      const tenant = await this.tenants.getForUpdate(manager, scope.tenantId);
      const policy = policyOf(tenant.policy);
      this.requireOwn(actor, policy);
      if (!actor.isProvider && (await this.schedules.count(scope, manager)) >= policy.maxSchedules) throw new AppError('POLICY_FORBIDS', `The workspace may have ${policy.maxSchedules} schedules`);
      const id = await this.insert(tenant, policy, draft, true, stampOf(actor), manager);
      await this.audit.record({ action: 'schedule.created', tenantId: scope.tenantId, actor, subject: { type: 'Schedule', id }, detail: { name: draft.name, cadence: draft.cadence } }, manager);
      return this.require(scope, id, manager);
    });
  }

  async update(actor: Actor, globalId: string, changes: ScheduleChanges): Promise<ScheduleEntity> {
    const { scope, id } = await this.manage(actor, globalId);
    return runInTransaction(this.dataSource, (manager) => this.change(actor, scope, id, changes, manager));
  }

  /** For callers that have checked the permission. @throws AppError POLICY_FORBIDS, BAD_USER_INPUT */
  async change(actor: Actor, scope: TenantScope, id: string, changes: ScheduleChanges, manager: EntityManager): Promise<ScheduleEntity> {
    const tenant = await this.tenants.getForUpdate(manager, scope.tenantId);
    const policy = policyOf(tenant.policy);
    const before = await this.lock(scope, id, manager);
    const bump = changes.bump === undefined ? before.bump : bumpOf(changes.bump);
    if (bump !== before.bump) {
      this.access.requireProvider(actor);
      if (bump !== null) requireAllowed(policy, tenant, bump.cadence, 'bump');
    }
    const draft: ScheduleDraft = {
      name: changes.name ?? before.name, description: changes.description === undefined ? before.description : changes.description, cadence: changes.cadence ?? before.cadence, atTime: changes.atTime ?? before.atTime,
      timeZone: changes.timeZone ?? before.timeZone, cron: changes.cron ?? before.cron, scope: changes.scope ?? before.scope, retention: changes.retention === undefined ? before.retention : changes.retention,
    };
    const fields = fieldsOf(tenant, policy, draft);
    const after: ScheduleEntity = { ...before, ...fields, bump };
    await this.schedules.update(scope, id, { ...fields, bump, ...(before.active ? nextRunAfter(after, await this.schedules.now(manager)) : {}) }, manager);
    await this.audit.record({ action: 'schedule.updated', tenantId: scope.tenantId, actor, subject: { type: 'Schedule', id }, detail: { name: fields.name, cadence: fields.cadence, bump: bump?.cadence ?? null } }, manager);
    return this.require(scope, id, manager);
  }

  /** @throws AppError CONFIRMATION_MISSING where one is disabled without `confirm` */
  async setActive(actor: Actor, globalId: string, active: boolean, confirm: boolean): Promise<ScheduleEntity> {
    const { scope, id } = await this.manage(actor, globalId);
    if (!active && !confirm) throw new AppError('CONFIRMATION_MISSING', 'No further automatic backups run for a schedule that is disabled', { field: ['confirm'] });
    return runInTransaction(this.dataSource, async (manager) => {
      const schedule = await this.lock(scope, id, manager);
      await this.schedules.update(scope, id, { active, ...(active ? nextRunAfter(schedule, await this.schedules.now(manager)) : { nextRunAt: null, dueAt: null, lastDueAt: null }) }, manager);
      await this.audit.record({ action: active ? 'schedule.enabled' : 'schedule.disabled', tenantId: scope.tenantId, actor, subject: { type: 'Schedule', id }, detail: { name: schedule.name } }, manager);
      return this.require(scope, id, manager);
    });
  }

  /** Backups that it made stay. */
  async delete(actor: Actor, globalId: string): Promise<ScheduleEntity> {
    const { scope, id } = await this.manage(actor, globalId);
    return runInTransaction(this.dataSource, async (manager) => {
      const schedule = await this.lock(scope, id, manager);
      await this.schedules.delete(scope, id, manager);
      await this.audit.record({ action: 'schedule.deleted', tenantId: scope.tenantId, actor, subject: { type: 'Schedule', id }, detail: { name: schedule.name } }, manager);
      return schedule;
    });
  }

  /** Beside its times, which stay. @throws AppError OPERATION_ALREADY_RUNNING, ENCRYPTION_KEY_MISSING, STORAGE_QUOTA_EXCEEDED */
  async runNow(actor: Actor, globalId: string): Promise<StartedBackup> {
    const schedule = await this.get(actor, globalId);
    const scope = await this.access.authorize(actor, schedule.tenantId, Permission.BACKUP_CREATE);
    return runInTransaction(this.dataSource, async (manager) => this.start(scope, schedule, await this.schedules.now(manager), stampOf(actor), manager));
  }

  /** As the schedule is at this moment: the label stays on the backup. */
  start(scope: TenantScope, schedule: ScheduleEntity, at: Date, startedBy: ActorStamp, manager: EntityManager): Promise<StartedBackup> {
    return this.backups.startAutomatic(scope, { label: labelOf(cadenceAt(schedule, at), schedule.name), trigger: 'SCHEDULE', scope: schedule.scope, scheduleId: schedule.id, startedBy }, manager);
  }

  get(actor: Actor, globalId: string): Promise<ScheduleEntity> {
    return this.getByUuid(actor, fromGlobalId('Schedule', globalId));
  }

  async getByUuid(actor: Actor, id: string): Promise<ScheduleEntity> {
    return this.access.authorizeRow(actor, 'Schedule', await this.schedules.findAnywhere(id), Permission.BACKUP_READ);
  }

  async list(actor: Actor, tenantId: string, page: Page): Promise<PageOfRows<ScheduleEntity>> {
    return this.schedules.list(await this.access.authorize(actor, tenantId, Permission.BACKUP_READ), page);
  }

  async nextRunAt(actor: Actor, tenantId: string): Promise<Date | null> {
    return this.schedules.nextRunAt(await this.access.authorize(actor, tenantId, null));
  }

  /** For callers that have checked the permission. */
  ofTenant(scope: TenantScope, manager?: EntityManager): Promise<readonly ScheduleOutline[]> {
    return this.schedules.ofTenant(scope, manager);
  }

  /** The policy's, where the schedule has none of its own. */
  async retentionOf(schedule: ScheduleEntity): Promise<RetentionRule> {
    return schedule.retention ?? (await this.policies.of(schedule)).retention;
  }

  private async manage(actor: Actor, globalId: string): Promise<{ readonly scope: TenantScope; readonly id: string }> {
    const { id, tenantId } = await this.get(actor, globalId);
    const scope = await this.access.authorize(actor, tenantId, Permission.SCHEDULE_MANAGE);
    this.requireOwn(actor, await this.policies.of(scope));
    return { scope, id };
  }

  private requireOwn(actor: Actor, { scheduling }: TenantPolicy): void {
    if (scheduling === 'PROVIDER_MANAGED' && !actor.isProvider) throw new AppError('POLICY_FORBIDS', 'The provider assigns the schedule of this workspace; request a change');
  }

  private async lock(scope: TenantScope, id: string, manager: EntityManager): Promise<ScheduleEntity> {
    const schedule = await this.schedules.lock(scope, id, manager);
    if (schedule === null) throw notFound('Schedule');
    return schedule;
  }

  private async require(scope: TenantScope, id: string, manager: EntityManager): Promise<ScheduleEntity> {
    const schedule = await this.schedules.find(scope, id, manager);
    if (schedule === null) throw notFound('Schedule');
    return schedule;
  }

  private async assign(tenant: TenantEntity, policy: TenantPolicy, manager: EntityManager): Promise<void> {
    const { active, cadence, atTime } = policy.defaultSchedule;
    const id = await this.insert(tenant, policy, { name: 'Assigned', cadence, atTime }, active, assignedBy, manager);
    await this.audit.record({ action: 'schedule.created', tenantId: tenant.id, actor: assignedBy, subject: { type: 'Schedule', id }, detail: { name: 'Assigned', cadence } }, manager);
  }

  private async insert(tenant: TenantEntity, policy: TenantPolicy, draft: ScheduleDraft, active: boolean, createdBy: ActorStamp, manager: EntityManager): Promise<string> {
    const id = randomUUID();
    const now = await this.schedules.now(manager);
    const row = { id, tenantId: tenant.id, active, bump: null, anchor: now, lastDueAt: null, createdBy, ...fieldsOf(tenant, policy, draft) };
    const next = active ? nextRunAfter({ ...row, nextRunAt: null, dueAt: null, createdAt: now }, now) : { nextRunAt: null, dueAt: null };
    await this.schedules.insert({ ...row, ...next }, manager);
    return id;
  }
}

/** @throws AppError POLICY_FORBIDS, BAD_USER_INPUT */
function fieldsOf(tenant: TenantEntity, policy: TenantPolicy, draft: ScheduleDraft) {
  const { name, description = null, cadence } = draft;
  requireAllowed(policy, tenant, cadence, 'cadence');
  const scope = draft.scope ?? 'ALL';
  if (scope !== 'ALL' && !policy.partialBackups) throw new AppError('POLICY_FORBIDS', 'Backups of this workspace are of the whole database', { field: ['scope'] });
  const isCron = cadence === 'CRON';
  const cron = isCron ? (draft.cron ?? null) : null;
  if (isCron) {
    const problem = cron === null ? 'is needed for CRON' : cronProblem(cron);
    if (problem !== null) throw new AppError('BAD_USER_INPUT', `cron: ${problem}`, { field: ['cron'] });
  }
  return { name, description, cadence, atTime: isCron ? null : (draft.atTime ?? policy.defaultSchedule.atTime), timeZone: draft.timeZone ?? tenant.timeZone, cron, scope, retention: draft.retention == null ? null : parseRetentionRule(draft.retention, 'retention') };
}

function requireAllowed(policy: TenantPolicy, { environment }: TenantEntity, cadence: Cadence, field: string): void {
  const allowed = environment === 'SANDBOX' ? policy.sandboxCadences : policy.productionCadences;
  if (!allowed.includes(cadence)) throw new AppError('POLICY_FORBIDS', `This workspace may have the cadences ${allowed.join(', ')}`, { field: [field] });
}

function bumpOf(bump: { readonly cadence: Cadence; readonly until: Date } | null): Bump | null {
  return bump && { cadence: bump.cadence, until: bump.until.toISOString() };
}
