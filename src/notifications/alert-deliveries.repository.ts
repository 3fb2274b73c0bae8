import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import type { EntityManager } from 'typeorm';
import { AppError } from '#errors';
import type { AlertEntity } from '../alerts/alert.entity.js';
import type { HttpAnswer } from '../webhooks/guarded-http.js';
import { AlertDeliveryEntity } from './alert-delivery.entity.js';

const maxAttempts = 8;
const firstPauseMs = 5_000;
const longestPauseMs = 900_000;
/** In SQL; also where a clock was set far forward, and back, when the pause began. */
const isDue = `(next_attempt_at <= now() or next_attempt_at > now() + ${2 * longestPauseMs} * interval '1 millisecond')`;

/** A delivery that this process may make now; whoever claims it later has another number of attempts. */
export interface ClaimedAlert {
  readonly id: string;
  readonly notifierId: string;
  readonly alertId: string;
  readonly attempt: number;
}

/** All SQL of the `alert_delivery` table. */
@Injectable()
export class AlertDeliveriesRepository {
  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  /** One for each notifier that wants to hear of it; within a notifier's cooldown it is noted, and not sent. Returns whether there is anything to send. */
  async queue({ id, tenantId, event, severity }: AlertEntity, manager: EntityManager): Promise<boolean> {
    const rows: { state: string }[] = await manager.query(
      `insert into alert_delivery (id, tenant_id, notifier_id, alert_id, event, state, finished_at)
       select gen_random_uuid(), $2, notifier.id, $1, $3, choice.state, case when choice.state = 'SUPPRESSED' then now() end
       from notifier, lateral (
         select case when exists (
           select 1 from alert_delivery earlier
           where earlier.notifier_id = notifier.id and earlier.event = $3 and earlier.tenant_id is not distinct from $2 and earlier.state in ('PENDING', 'DELIVERED')
             and earlier.created_at > now() - notifier.cooldown_minutes * interval '1 minute'
         ) then 'SUPPRESSED' else 'PENDING' end as state) choice
       where notifier.active and ($2::uuid is null or notifier.tenant_id is null or notifier.tenant_id = $2)
         and (notifier.events = '[]' or notifier.events ? $3)
         and array_position(array['INFO', 'WARNING', 'ERROR'], notifier.min_severity) <= array_position(array['INFO', 'WARNING', 'ERROR'], $4)
       returning state`,
      [id, tenantId, event, severity],
    );
    return rows.some(({ state }) => state === 'PENDING');
  }

  /**
   * Counts one of the owner's tests before it is sent, so that many at once cannot slip through.
   *
   * @throws AppError RATE_LIMITED
   */
  async beginTest(notifier: { readonly id: string; readonly tenantId: string | null }, mostPerHour: number, manager: EntityManager): Promise<string> {
    await manager.query(`select pg_advisory_xact_lock(hashtextextended('notifier-test:' || $1, 0))`, [notifier.tenantId ?? 'provider']);
    const [row]: { count: number; wait: number | null }[] = await manager.query(
      `select count(*)::int as count, (extract(epoch from min(created_at) + interval '1 hour' - clock_timestamp()) * 1000)::float8 as wait
       from (select created_at from alert_delivery where ${notifier.tenantId === null ? '$1::uuid is null and tenant_id is null' : 'tenant_id = $1'} and event = 'TEST' and created_at > clock_timestamp() - interval '1 hour' order by created_at desc limit $2) as newest`,
      [notifier.tenantId, mostPerHour],
    );
    if ((row?.count ?? 0) >= mostPerHour) throw new AppError('RATE_LIMITED', `${mostPerHour} tests were sent in the last hour`, { retryAfterMs: Math.max(1, Math.ceil(row?.wait ?? 0)) });
    const id = randomUUID();
    await manager.insert(AlertDeliveryEntity, {
      id, tenantId: notifier.tenantId, notifierId: notifier.id, alertId: null, event: 'TEST', state: 'FAILED', attempts: 1, lastError: 'The process that sent it stopped', finishedAt: () => 'now()',
    });
    return id;
  }

  /** What the test came to. */
  async endTest(id: string, { code, error }: HttpAnswer, manager: EntityManager): Promise<AlertDeliveryEntity> {
    await manager.update(AlertDeliveryEntity, { id }, { state: error === null ? 'DELIVERED' : 'FAILED', responseCode: code, lastError: error, finishedAt: () => 'now()' });
    return manager.findOneByOrFail(AlertDeliveryEntity, { id });
  }

  async claim(limit: number, heldForMs: number): Promise<ClaimedAlert[]> {
    const [rows]: [ClaimedAlert[], number] = await this.manager.query(
      `update alert_delivery delivery set attempts = attempts + 1, claimed_until = now() + $2 * interval '1 millisecond'
       where id in (
         select id from alert_delivery
         where state = 'PENDING' and notifier_id is not null and ${isDue} and attempts < ${maxAttempts} and (claimed_until is null or claimed_until <= now())
         order by next_attempt_at limit $1 for update skip locked)
       returning id, notifier_id as "notifierId", alert_id as "alertId", attempts as attempt`,
      [limit, heldForMs],
    );
    return rows;
  }

  async nextDueInMs(): Promise<number | null> {
    const [row]: { ms: number | null }[] = await this.manager.query(
      `select extract(epoch from min(greatest(next_attempt_at, claimed_until)) - now())::float8 * 1000 as ms from alert_delivery where state = 'PENDING'`,
    );
    return row?.ms ?? null;
  }

  async markDelivered({ id, attempt }: ClaimedAlert, code: number | null): Promise<void> {
    await this.manager.query(
      `update alert_delivery set state = 'DELIVERED', response_code = $3, last_error = null, claimed_until = null, finished_at = now() where id = $1 and attempts = $2 and state = 'PENDING'`,
      [id, attempt, code],
    );
  }

  /** Tried again after a pause that doubles, until the last attempt. */
  async markFailed({ id, attempt }: ClaimedAlert, code: number | null, error: string): Promise<void> {
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1));
    await this.manager.query(
      `update alert_delivery set response_code = $3, last_error = $4, claimed_until = null, next_attempt_at = now() + $5 * interval '1 millisecond',
         state = case when attempts >= ${maxAttempts} then 'FAILED' else state end, finished_at = case when attempts >= ${maxAttempts} then now() end
       where id = $1 and attempts = $2 and state = 'PENDING'`,
      [id, attempt, code, error, pauseMs],
    );
  }

  /** Those whose last attempt ended with the process that made it. */
  async failLost(): Promise<void> {
    await this.manager.query(
      `update alert_delivery set state = 'FAILED', finished_at = now(), last_error = coalesce(last_error, 'The process that sent it stopped')
       where state = 'PENDING' and attempts >= ${maxAttempts} and claimed_until <= now()`,
    );
  }
}
