import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { HoldDecision, RunRecord } from './bulk-hold.js';

export interface ClockRecord {
  readonly lastSeenAt: Date | null;
  readonly heldUntil: Date | null;
  readonly heldBecause: string | null;
}

const runColumns = `ran_at as "ranAt", due_seen as "dueSeen", held_since as "heldSince", held_due as "heldDue", confirmed_at as "confirmedAt"`;

/** All SQL of `retention_state` and `retention_clock`. The times are the caller's. */
@Injectable()
export class RetentionRepository {
  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  /** Held until the transaction ends. */
  async lockClock(manager: EntityManager): Promise<ClockRecord> {
    const [row]: ClockRecord[] = await manager.query('select last_seen_at as "lastSeenAt", held_until as "heldUntil", held_because as "heldBecause" from retention_clock for update');
    if (row === undefined) throw new Error('The row of the clock is gone');
    return row;
  }

  async saveClock({ lastSeenAt, heldUntil, heldBecause }: ClockRecord, manager: EntityManager): Promise<void> {
    await manager.query('update retention_clock set last_seen_at = $1, held_until = $2, held_because = $3', [lastSeenAt, heldUntil, heldBecause]);
  }

  /** Tenants that are new have their turn at once. */
  async addTenants(now: Date): Promise<void> {
    await this.manager.query('insert into retention_state (tenant_id, next_at) select id, $1 from tenant where not exists (select 1 from retention_state where tenant_id = tenant.id) on conflict do nothing', [now]);
  }

  /** The tenant whose turn it is, moved on so that no other process takes it. Suspended ones wait; a turn that a wrong clock set far ahead counts as come. */
  async takeNext(now: Date, againInMs: number): Promise<TenantScope | null> {
    const [rows]: [TenantScope[], number] = await this.manager.query(
      `update retention_state set next_at = $1::timestamptz + $2 * interval '1 millisecond' where tenant_id = (
         select state.tenant_id from retention_state state join tenant on tenant.id = state.tenant_id
         where (state.next_at <= $1 or state.next_at > $1::timestamptz + 2 * $2 * interval '1 millisecond') and tenant.suspended_at is null
         order by state.next_at limit 1 for update of state skip locked)
       returning tenant_id as "tenantId"`,
      [now, againInMs],
    );
    return rows[0] ?? null;
  }

  async comeAgain({ tenantId }: TenantScope, at: Date): Promise<void> {
    await this.manager.query('update retention_state set next_at = $2 where tenant_id = $1', [tenantId, at]);
  }

  async run({ tenantId }: TenantScope, manager: EntityManager): Promise<RunRecord> {
    const [row]: RunRecord[] = await manager.query(`select ${runColumns} from retention_state where tenant_id = $1`, [tenantId]);
    return row ?? { ranAt: null, dueSeen: 0, heldSince: null, heldDue: null, confirmedAt: null };
  }

  async saveHold({ tenantId }: TenantScope, { heldSince, heldDue }: HoldDecision, manager: EntityManager): Promise<void> {
    await manager.query('update retention_state set held_since = $2, held_due = $3 where tenant_id = $1', [tenantId, heldSince, heldDue]);
  }

  async saveRun({ tenantId }: TenantScope, ranAt: Date, dueSeen: number): Promise<void> {
    await this.manager.query('update retention_state set ran_at = $2, due_seen = $3 where tenant_id = $1', [tenantId, ranAt, dueSeen]);
  }

  /** Its next turn comes at once. False where nothing of the tenant is held back. */
  async confirm({ tenantId }: TenantScope, now: Date, manager: EntityManager): Promise<boolean> {
    const [, count]: [unknown, number] = await manager.query('update retention_state set confirmed_at = $2, next_at = $2 where tenant_id = $1 and held_since is not null', [tenantId, now]);
    return count > 0;
  }
}
