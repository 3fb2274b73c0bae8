import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { AuditService } from '../audit/audit.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import type { Cadence } from '../policies/policy-enums.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import type { ScheduleEntity } from './schedule.entity.js';
import { ScheduleRequestEntity, type ScheduleRequestState } from './schedule-request.entity.js';
import { SchedulesService } from './schedules.service.js';

export interface ScheduleWish {
  readonly cadence: Cadence;
  readonly until: Date | null;
  readonly reason: string;
}

export interface ScheduleDecision {
  readonly requestId: string;
  readonly accept: boolean;
  readonly note?: string | null | undefined;
  readonly scheduleId?: string | null | undefined;
}

const asked = 'SCHEDULE_CHANGE_REQUESTED';
/** What a workspace writes goes to whomever its notifiers name: it must not be able to flood them. */
const mostOpen = 20;

/** Workspaces ask for another schedule, and the provider answers. */
@Injectable()
export class ScheduleRequests {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly alerts: AlertsService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly schedules: SchedulesService,
  ) {}

  /** @throws AppError BAD_USER_INPUT for what the provider could not do by accepting it, RATE_LIMITED */
  async ask(actor: Actor, tenantGlobalId: string, { cadence, until, reason }: ScheduleWish): Promise<TenantEntity> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', tenantGlobalId), Permission.SCHEDULE_MANAGE);
    if (cadence === 'CRON') throw new AppError('BAD_USER_INPUT', 'cadence: say what you need as one of the other cadences, or in the reason', { field: ['cadence'] });
    return runInTransaction(this.dataSource, async (manager) => {
      const tenant = await this.tenants.getForUpdate(manager, scope.tenantId);
      if ((await manager.countBy(ScheduleRequestEntity, { ...scope, state: 'OPEN' })) >= mostOpen) throw new AppError('RATE_LIMITED', `${mostOpen} wishes of this workspace wait for an answer`);
      const id = randomUUID();
      await manager.insert(ScheduleRequestEntity, { id, ...scope, cadence, until, reason, state: 'OPEN', createdBy: stampOf(actor) });
      await this.audit.record({ action: 'schedule.change-requested', ...scope, actor, subject: { type: 'ScheduleRequest', id }, detail: { cadence, until: until?.toISOString() ?? null, reason } }, manager);
      await this.alerts.raise({ ...scope, event: asked, subject: id, text: `${tenant.name} asks for backups ${cadence}${until === null ? '' : ` until ${until.toISOString()}`}: ${reason}` }, manager);
      return tenant;
    });
  }

  /**
   * Accepting changes the schedule in the same transaction: for good, or, where the wish has an end, as a bump until then.
   *
   * @throws AppError NOT_FOUND, REQUEST_DECIDED, BAD_USER_INPUT where it is not clear which schedule, POLICY_FORBIDS
   */
  async decide(actor: Actor, { requestId, accept, note = null, scheduleId = null }: ScheduleDecision): Promise<ScheduleRequestEntity> {
    this.access.requireProvider(actor);
    const { id, tenantId } = await this.access.authorizeRow(actor, 'ScheduleRequest', await this.find(fromGlobalId('ScheduleRequest', requestId)), null);
    const scope = { tenantId };
    return runInTransaction(this.dataSource, async (manager) => {
      await this.tenants.getForUpdate(manager, tenantId);
      const request = await this.find(id, manager);
      if (request === null) throw notFound('ScheduleRequest');
      if (request.state !== 'OPEN') throw new AppError('REQUEST_DECIDED', `The request is ${request.state} already`);
      const state: ScheduleRequestState = accept ? 'ACCEPTED' : 'DECLINED';
      if (accept) await this.apply(actor, request, scheduleId, manager);
      await manager.update(ScheduleRequestEntity, { tenantId, id }, { state, note, decidedBy: stampOf(actor), decidedAt: () => 'clock_timestamp()' });
      await this.audit.record({ action: accept ? 'schedule.change-accepted' : 'schedule.change-declined', ...scope, actor, subject: { type: 'ScheduleRequest', id }, detail: { cadence: request.cadence, note } }, manager);
      await this.alerts.resolve({ ...scope, event: asked, subject: id }, manager);
      await this.alerts.raise({ ...scope, event: 'SCHEDULE_CHANGE_ANSWERED', subject: id, text: `The provider has ${accept ? 'accepted' : 'declined'} the wish for backups ${request.cadence}${note === null ? '' : `: ${note}`}` }, manager);
      return this.find(id, manager).then((row) => row ?? request);
    });
  }

  async ofTenant(actor: Actor, tenantId: string, page: Page): Promise<PageOfRows<ScheduleRequestEntity>> {
    const scope = await this.access.authorize(actor, tenantId, Permission.BACKUP_READ);
    return findPage(this.dataSource.manager.createQueryBuilder(ScheduleRequestEntity, 'request').where('request.tenantId = :tenantId', scope), 'createdAt', page);
  }

  /** Of every workspace. */
  list(actor: Actor, state: ScheduleRequestState | null, page: Page): Promise<PageOfRows<ScheduleRequestEntity>> {
    this.access.requireProvider(actor);
    const query = this.dataSource.manager.createQueryBuilder(ScheduleRequestEntity, 'request');
    return findPage(state === null ? query.where('true') : query.where('request.state = :state', { state }), 'createdAt', page);
  }

  private async apply(actor: Actor, { tenantId, cadence, until }: ScheduleRequestEntity, scheduleId: string | null, manager: EntityManager): Promise<void> {
    const { id } = await this.choose(tenantId, scheduleId, manager);
    await this.schedules.change(actor, { tenantId }, id, until === null ? { cadence } : { bump: { cadence, until } }, manager);
  }

  private async choose(tenantId: string, scheduleId: string | null, manager: EntityManager): Promise<Pick<ScheduleEntity, 'id'>> {
    const all = await this.schedules.ofTenant({ tenantId }, manager);
    const wanted = scheduleId === null ? null : fromGlobalId('Schedule', scheduleId);
    const [chosen, ...others] = wanted === null ? all : all.filter(({ id }) => id === wanted);
    if (wanted !== null && chosen === undefined) throw notFound('Schedule');
    if (chosen === undefined) throw new AppError('BAD_USER_INPUT', 'The workspace has no schedule: make one first', { field: ['scheduleId'] });
    if (others.length > 0) throw new AppError('BAD_USER_INPUT', `scheduleId: the workspace has ${all.length} schedules; say which one changes`, { field: ['scheduleId'] });
    return chosen;
  }

  private find(id: string, manager: EntityManager = this.dataSource.manager): Promise<ScheduleRequestEntity | null> {
    return manager.findOneBy(ScheduleRequestEntity, { id });
  }
}
