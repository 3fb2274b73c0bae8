import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { RowsOfEach } from '../platform/database/batched-reads.js';

export interface ProofPlan {
  /** Null: never. */
  readonly verifyEveryDays: number | null;
  readonly drillEveryDays: number | null;
  readonly nextVerifyAt: Date | null;
  readonly nextDrillAt: Date | null;
}

export interface DueProof extends TenantScope {
  readonly verify: boolean;
  readonly drill: boolean;
}

const none: ProofPlan = { verifyEveryDays: null, drillEveryDays: null, nextVerifyAt: null, nextDrillAt: null };

/** In SQL: it is due, or, because a clock was set far forward, further away than it ever can be. */
const isDue = (next: string, days: string): string => `coalesce(${next} <= now() or ${next} > now() + (${days} + 1) * interval '1 day', false)`;
const verifyIsDue = isDue('next_verify_at', 'verify_every_days');
const drillIsDue = isDue('next_drill_at', 'drill_every_days');

const planSql =
  `select p.verify_every_days as "verifyEveryDays", p.drill_every_days as "drillEveryDays", p.next_verify_at as "nextVerifyAt", p.next_drill_at as "nextDrillAt" from proof_plan p where p.tenant_id = key.id`;

/** All SQL of the `proof_plan` table, by the database's clock. */
@Injectable()
export class ProofPlansRepository {
  private readonly plans = new RowsOfEach<ProofPlan>(() => this.dataSource.manager, planSql);

  constructor(private readonly dataSource: DataSource) {}

  async find({ tenantId }: TenantScope, manager?: EntityManager): Promise<ProofPlan> {
    const rows = await this.plans.of(tenantId, manager);
    return rows[0] ?? none;
  }

  /** The first ones come at a random moment within the first day, so that not all tenants' come at once. */
  async set({ tenantId }: TenantScope, { verifyEveryDays, drillEveryDays }: Pick<ProofPlan, 'verifyEveryDays' | 'drillEveryDays'>, manager: EntityManager): Promise<void> {
    await manager.query(
      `insert into proof_plan as plan (tenant_id, verify_every_days, drill_every_days, next_verify_at, next_drill_at)
       values ($1, $2, $3, case when $2::int is not null then now() + random() * interval '1 day' end, case when $3::int is not null then now() + random() * interval '1 day' end)
       on conflict (tenant_id) do update set verify_every_days = excluded.verify_every_days, drill_every_days = excluded.drill_every_days,
         next_verify_at = case when excluded.verify_every_days is not distinct from plan.verify_every_days then plan.next_verify_at else excluded.next_verify_at end,
         next_drill_at = case when excluded.drill_every_days is not distinct from plan.drill_every_days then plan.next_drill_at else excluded.next_drill_at end`,
      [tenantId, verifyEveryDays, drillEveryDays],
    );
  }

  /** Takes what is due and moves it on, so that nobody else takes it: a day that was missed is made up for once. Suspended tenants wait. */
  async takeDue(limit: number): Promise<DueProof[]> {
    return this.dataSource.transaction(async (manager) => {
      const due: DueProof[] = await manager.query(
        `select plan.tenant_id as "tenantId", ${verifyIsDue} as verify, ${drillIsDue} as drill
         from proof_plan plan join tenant on tenant.id = plan.tenant_id
         where (${verifyIsDue} or ${drillIsDue}) and tenant.suspended_at is null
         order by least(next_verify_at, next_drill_at) limit $1 for update of plan skip locked`,
        [limit],
      );
      await manager.query(
        `update proof_plan set
           next_verify_at = case when ${verifyIsDue} then now() + verify_every_days * interval '1 day' else next_verify_at end,
           next_drill_at = case when ${drillIsDue} then now() + drill_every_days * interval '1 day' else next_drill_at end
         where tenant_id = any($1)`,
        [due.map(({ tenantId }) => tenantId)],
      );
      return due;
    });
  }
}
