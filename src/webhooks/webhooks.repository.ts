import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import { Any, type EntityManager, type QueryDeepPartialEntity } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { BatchedReads } from '../platform/database/batched-reads.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import type { SealedSecret } from '../platform/stored-secrets/stored-secrets.js';
import { WebhookDeliveryEntity } from './webhook-delivery.entity.js';
import { WebhookEntity, type WebhookPurpose } from './webhook.entity.js';

export const maxAttempts = 12;
const firstPauseMs = 1_000;
const longestPauseMs = 300_000;
/** In SQL; also where a clock was set far forward, and back, when the pause began. */
const isDue = `(next_attempt_at <= now() or next_attempt_at > now() + ${2 * longestPauseMs} * interval '1 millisecond')`;

/** A delivery that this process may send now; whoever claims it later has another number of attempts. */
export interface ClaimedDelivery {
  readonly id: string;
  readonly tenantId: string;
  readonly event: string;
  readonly body: string;
  readonly attempt: number;
  readonly webhookId: string;
  readonly url: string;
  readonly secretCipher: Buffer;
}

@Injectable()
export class WebhooksRepository {
  private readonly ofTenants = new BatchedReads<string, WebhookEntity>(async (keys) => {
    const rows = await this.manager.findBy(WebhookEntity, { tenantId: Any(keys.flatMap((key) => key.split('/').slice(0, 1))) });
    return new Map(rows.map((row) => [`${row.tenantId}/${row.purpose}`, row]));
  });

  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  find({ tenantId }: TenantScope, purpose: WebhookPurpose, manager?: EntityManager): Promise<WebhookEntity | null> {
    return manager === undefined ? this.ofTenants.find(`${tenantId}/${purpose}`) : manager.findOneBy(WebhookEntity, { tenantId, purpose });
  }

  async insert(row: QueryDeepPartialEntity<WebhookEntity>, manager: EntityManager): Promise<void> {
    await manager.insert(WebhookEntity, row);
  }

  async update({ tenantId }: TenantScope, id: string, patch: QueryDeepPartialEntity<WebhookEntity>, manager: EntityManager): Promise<void> {
    await manager.update(WebhookEntity, { tenantId, id }, { ...patch, updatedAt: () => 'now()' });
  }

  /** What still waits for it will not be sent. */
  async delete({ tenantId }: TenantScope, id: string, manager: EntityManager): Promise<void> {
    await manager.query(
      `update webhook_delivery set state = 'FAILED', last_error = 'The webhook was removed', finished_at = now() where tenant_id = $1 and webhook_id = $2 and state = 'PENDING'`,
      [tenantId, id],
    );
    await manager.delete(WebhookEntity, { tenantId, id });
  }

  /** The sealed secrets of all webhooks. */
  sealed(after: string | null, limit: number): Promise<SealedSecret[]> {
    return this.manager.query('select id as owner, secret_cipher as sealed from webhook where $1::uuid is null or id > $1 order by id limit $2', [after, limit]);
  }

  async insertDelivery(row: Pick<WebhookDeliveryEntity, 'id' | 'tenantId' | 'event' | 'body'> & { readonly webhookId: string }, manager: EntityManager): Promise<void> {
    await manager.insert(WebhookDeliveryEntity, { ...row, state: 'PENDING' });
  }

  /** One that is being sent at this moment goes out all the same; what follows waits for its end. */
  async supersede({ tenantId }: TenantScope, event: string, manager: EntityManager): Promise<void> {
    await manager.query(`update webhook_delivery set state = 'SUPERSEDED', finished_at = now() where tenant_id = $1 and event = $2 and state = 'PENDING'`, [tenantId, event]);
  }

  deliveries({ tenantId }: TenantScope, page: Page): Promise<PageOfRows<WebhookDeliveryEntity>> {
    return findPage(this.manager.createQueryBuilder(WebhookDeliveryEntity, 'delivery').where('delivery.tenantId = :tenantId', { tenantId }), 'createdAt', page);
  }

  /** The oldest one of each webhook, so that no receiver gets them in another order than they happened. */
  async claim(limit: number, heldForMs: number): Promise<ClaimedDelivery[]> {
    const [rows]: [ClaimedDelivery[], number] = await this.manager.query(
      `update webhook_delivery delivery set attempts = attempts + 1, claimed_until = now() + $2 * interval '1 millisecond'
       from webhook where webhook.id = delivery.webhook_id and delivery.id in (
         select id from webhook_delivery due
         where state = 'PENDING' and webhook_id is not null and ${isDue} and attempts < ${maxAttempts} and (claimed_until is null or claimed_until <= now())
           and not exists (
             select 1 from webhook_delivery other
             where other.webhook_id = due.webhook_id and other.id <> due.id
               and ((other.state = 'PENDING' and other.seq < due.seq) or (other.state in ('PENDING', 'SUPERSEDED') and other.claimed_until > now())))
         order by seq limit $1 for update skip locked)
       returning delivery.id, delivery.tenant_id as "tenantId", delivery.event, delivery.body, delivery.attempts as attempt,
         webhook.id as "webhookId", webhook.url, webhook.secret_cipher as "secretCipher"`,
      [limit, heldForMs],
    );
    return rows;
  }

  /** How long until the first of some webhook is due; null where none waits. */
  async nextDueInMs(): Promise<number | null> {
    const [row]: { ms: number | null }[] = await this.manager.query(
      `select extract(epoch from min(greatest(next_attempt_at, claimed_until)) - now())::float8 * 1000 as ms
       from (select distinct on (webhook_id) next_attempt_at, claimed_until from webhook_delivery where state = 'PENDING' order by webhook_id, seq) first`,
    );
    return row?.ms ?? null;
  }

  async markDelivered({ id, attempt }: ClaimedDelivery, code: number | null, manager: EntityManager): Promise<void> {
    await manager.query(
      `update webhook_delivery set state = 'DELIVERED', response_code = $3, last_error = null, claimed_until = null, finished_at = now()
       where id = $1 and attempts = $2 and state in ('PENDING', 'SUPERSEDED')`,
      [id, attempt, code],
    );
  }

  /** Tried again after a pause that doubles, until the last attempt. */
  async markFailed({ id, attempt }: ClaimedDelivery, code: number | null, error: string): Promise<void> {
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1));
    await this.manager.query(
      `update webhook_delivery set response_code = $3, last_error = $4, claimed_until = null, next_attempt_at = now() + $5 * interval '1 millisecond',
         state = case when state = 'PENDING' and attempts >= ${maxAttempts} then 'FAILED' else state end,
         finished_at = case when state = 'PENDING' and attempts >= ${maxAttempts} then now() else finished_at end
       where id = $1 and attempts = $2 and state in ('PENDING', 'SUPERSEDED')`,
      [id, attempt, code, error, pauseMs],
    );
  }

  /** Those whose last attempt ended with the process that made it. */
  async failLost(): Promise<void> {
    await this.manager.query(
      `update webhook_delivery set state = 'FAILED', finished_at = now(), last_error = coalesce(last_error, 'The process that sent it stopped')
       where state = 'PENDING' and attempts >= ${maxAttempts} and claimed_until <= now()`,
    );
  }
}
