import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import type { EntityManager, QueryDeepPartialEntity } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { RowsOfEach } from '../platform/database/batched-reads.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { ScheduleEntity, type ScheduleOutline } from './schedule.entity.js';

/** A schedule with a run that nobody has seen completed in time. */
export interface MissedRun {
  readonly id: string;
  readonly tenantId: string;
  readonly name: string;
  readonly dueAt: Date;
}

/** All SQL of the `schedule` table; times are the database's. */
@Injectable()
export class SchedulesRepository {
  private readonly outlines = new RowsOfEach<ScheduleOutline>(() => this.manager, 'select s.id, s.name, s.cadence, s.bump, s.retention from schedule s where s.tenant_id = key.id');
  private readonly nextRuns = new RowsOfEach<{ readonly at: Date | null }>(() => this.manager, 'select min(s.next_run_at) as at from schedule s where s.tenant_id = key.id and s.active');

  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  async insert(row: QueryDeepPartialEntity<ScheduleEntity>, manager: EntityManager): Promise<void> {
    await manager.insert(ScheduleEntity, row);
  }

  async update({ tenantId }: TenantScope, id: string, patch: QueryDeepPartialEntity<ScheduleEntity>, manager: EntityManager): Promise<void> {
    await manager.update(ScheduleEntity, { tenantId, id }, patch);
  }

  async delete({ tenantId }: TenantScope, id: string, manager: EntityManager): Promise<void> {
    await manager.delete(ScheduleEntity, { tenantId, id });
  }

  find({ tenantId }: TenantScope, id: string, manager = this.manager): Promise<ScheduleEntity | null> {
    return manager.findOneBy(ScheduleEntity, { tenantId, id });
  }

  lock({ tenantId }: TenantScope, id: string, manager: EntityManager): Promise<ScheduleEntity | null> {
    return manager.findOne(ScheduleEntity, { where: { tenantId, id }, lock: { mode: 'pessimistic_write' } });
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  findAnywhere(id: string): Promise<ScheduleEntity | null> {
    return this.manager.findOneBy(ScheduleEntity, { id });
  }

  list({ tenantId }: TenantScope, page: Page): Promise<PageOfRows<ScheduleEntity>> {
    return findPage(this.manager.createQueryBuilder(ScheduleEntity, 'schedule').where('schedule.tenantId = :tenantId', { tenantId }), 'createdAt', page);
  }

  ofTenant({ tenantId }: TenantScope, manager?: EntityManager): Promise<readonly ScheduleOutline[]> {
    return this.outlines.of(tenantId, manager);
  }

  count({ tenantId }: TenantScope, manager: EntityManager): Promise<number> {
    return manager.countBy(ScheduleEntity, { tenantId });
  }

  async nextRunAt({ tenantId }: TenantScope): Promise<Date | null> {
    return (await this.nextRuns.of(tenantId))[0]?.at ?? null;
  }

  async now(manager: EntityManager): Promise<Date> {
    const [row]: { now: Date }[] = await manager.query('select clock_timestamp() as now');
    return row?.now ?? new Date();
  }

  /** The next one that is due, held until the transaction ends, so that one process starts it. Suspended tenants wait. */
  async lockDue(manager: EntityManager): Promise<ScheduleEntity | null> {
    const rows: { id: string }[] = await manager.query(
      `select s.id from schedule s join tenant t on t.id = s.tenant_id
       where s.active and s.due_at <= clock_timestamp() and t.suspended_at is null order by s.due_at limit 1 for update of s skip locked`,
    );
    const [row] = rows;
    return row === undefined ? null : manager.findOneBy(ScheduleEntity, { id: row.id });
  }

  /** Those whose next run may be further away than their cadence allows, the furthest first; of a CRON nobody can tell in SQL. */
  farAhead(limit: number): Promise<ScheduleEntity[]> {
    return this.manager
      .createQueryBuilder(ScheduleEntity, 'schedule')
      .where(
        `schedule.active and schedule.next_run_at > clock_timestamp() +
           case when schedule.cadence in ('EVERY_8H', 'EVERY_12H', 'EVERY_24H', 'DAILY_AT', 'CRON') then interval '2 days' else interval '32 days' end`,
      )
      .orderBy('schedule.next_run_at', 'DESC')
      .limit(limit)
      .getMany();
  }

  /** Nothing where it has been changed or run meanwhile. */
  async bringBack({ tenantId }: TenantScope, id: string, from: Date, { nextRunAt, dueAt }: Pick<ScheduleEntity, 'nextRunAt' | 'dueAt'>): Promise<void> {
    await this.manager.query('update schedule set next_run_at = $4, due_at = $5 where tenant_id = $1 and id = $2 and next_run_at = $3', [tenantId, id, from, nextRunAt, dueAt]);
  }

  /** Runs that should have been over by now, without a completed backup. */
  missed(patienceMs: number): Promise<MissedRun[]> {
    return this.manager.query(
      `select s.id, s.tenant_id as "tenantId", s.name, due.at as "dueAt"
       from schedule s join tenant t on t.id = s.tenant_id, lateral (select case when greatest(s.next_run_at, t.resumed_at) < now() - $1 * interval '1 millisecond' then s.next_run_at else s.last_due_at end as at) due
       where s.active and t.suspended_at is null and due.at < now() - $1 * interval '1 millisecond'
         and not exists (select 1 from backup b where b.schedule_id = s.id and b.created_at >= due.at and b.finished_at is not null and b.state in ('COMPLETED', 'DELETED'))
       order by due.at limit 100`,
      [patienceMs],
    );
  }
}
