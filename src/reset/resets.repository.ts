import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import type { EntityManager, QueryDeepPartialEntity } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { type ChannelKind, openStates, ResetCodeEntity, ResetEntity, type ResetState } from './reset.entity.js';

const openList = openStates.map((state) => `'${state}'`).join(', ');

/** How many codes were sent in the last hour, and when the oldest of them is an hour old. */
export interface SendCount {
  readonly count: number;
  readonly freeInMs: number;
}

/** All SQL of `reset_request` and `reset_code`. Times are the database's. */
@Injectable()
export class ResetsRepository {
  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  find(scope: TenantScope, id: string, manager = this.manager): Promise<ResetEntity | null> {
    return manager.findOneBy(ResetEntity, { tenantId: scope.tenantId, id });
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  findAnywhere(id: string): Promise<ResetEntity | null> {
    return this.manager.findOneBy(ResetEntity, { id });
  }

  async insert(row: Omit<ResetEntity, 'createdAt' | 'expiresAt' | 'operationId'>, validForMs: number, manager: EntityManager): Promise<void> {
    await manager.query(
      `insert into reset_request (id, tenant_id, actor_id, begun_by, reason, state, lists, target_revision, channels, tries_left, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp() + $11 * interval '1 millisecond')`,
      [row.id, row.tenantId, row.actorId, JSON.stringify(row.begunBy), row.reason, row.state, JSON.stringify(row.lists), row.targetRevision, JSON.stringify(row.channels), row.triesLeft, validForMs],
    );
  }

  /** Held until the transaction ends; one whose time is over is EXPIRED when it is returned. */
  async lock(scope: TenantScope, id: string, manager: EntityManager): Promise<ResetEntity | null> {
    await manager.query(`update reset_request set state = 'EXPIRED' where tenant_id = $1 and id = $2 and state in (${openList}) and expires_at <= clock_timestamp()`, [scope.tenantId, id]);
    return manager.findOne(ResetEntity, { where: { tenantId: scope.tenantId, id }, lock: { mode: 'pessimistic_write' } });
  }

  async update(scope: TenantScope, id: string, values: QueryDeepPartialEntity<ResetEntity>, manager: EntityManager): Promise<void> {
    await manager.update(ResetEntity, { tenantId: scope.tenantId, id }, values);
  }

  /** The open ones of one person in one tenant. */
  async cancelOpen(scope: TenantScope, actorId: string, manager: EntityManager): Promise<void> {
    await manager.query(`update reset_request set state = 'CANCELED' where tenant_id = $1 and actor_id = $2 and state in (${openList})`, [scope.tenantId, actorId]);
  }

  async endOf(scope: TenantScope, operationId: string, state: ResetState, manager: EntityManager): Promise<void> {
    await manager.query(`update reset_request set state = $3 where tenant_id = $1 and operation_id = $2`, [scope.tenantId, operationId, state]);
  }

  /** Sends of one person, and of one tenant, come one after the other: what is counted then is all there is. */
  async serializeSends(scope: TenantScope, actorId: string, manager: EntityManager): Promise<void> {
    await manager.query(`select pg_advisory_xact_lock(hashtextextended('reset-code-actor:' || $1, 0))`, [actorId]);
    await manager.query(`select pg_advisory_xact_lock(hashtextextended('reset-code-tenant:' || $1, 0))`, [scope.tenantId]);
  }

  sentBy(actorId: string, limit: number, manager: EntityManager): Promise<SendCount> {
    return this.sent('actor_id', actorId, limit, manager);
  }

  sentIn(scope: TenantScope, limit: number, manager: EntityManager): Promise<SendCount> {
    return this.sent('tenant_id', scope.tenantId, limit, manager);
  }

  async insertCode(code: Pick<ResetCodeEntity, 'id' | 'resetId' | 'tenantId' | 'actorId' | 'channel' | 'hash'>, validForMs: number, manager: EntityManager): Promise<void> {
    await manager.query(
      `insert into reset_code (id, reset_id, tenant_id, actor_id, channel, hash, expires_at) values ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 millisecond')`,
      [code.id, code.resetId, code.tenantId, code.actorId, code.channel, code.hash, validForMs],
    );
  }

  /** The newest of each channel; with `delivered` the newest that was not in vain. */
  codesOf(reset: Pick<ResetEntity, 'id' | 'tenantId'>, { delivered }: { readonly delivered: boolean }, manager = this.manager): Promise<ResetCodeEntity[]> {
    return manager
      .createQueryBuilder(ResetCodeEntity, 'code')
      .where('code.resetId = :id and code.tenantId = :tenantId', { id: reset.id, tenantId: reset.tenantId })
      .andWhere(delivered ? 'code.error is null' : 'true')
      .distinctOn(['code.channel'])
      .orderBy('code.channel')
      .addOrderBy('code.sentAt', 'DESC')
      .getMany();
  }

  /** Milliseconds until the channel may be sent another code; 0 or less: now. What was not delivered holds nobody up. */
  async resendInMs(resetId: string, channel: ChannelKind, pauseMs: number, manager: EntityManager): Promise<number> {
    const [row]: { wait: number | null }[] = await manager.query(
      `select (extract(epoch from max(sent_at) - clock_timestamp()) * 1000)::float8 + $3 as wait from reset_code where reset_id = $1 and channel = $2 and error is null`,
      [resetId, channel, pauseMs],
    );
    return row?.wait ?? 0;
  }

  async isExpired(codeId: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query('select 1 from reset_code where id = $1 and expires_at > clock_timestamp()', [codeId]);
    return rows.length === 0;
  }

  async useCode(codeId: string, manager: EntityManager): Promise<void> {
    await manager.query('update reset_code set verified_at = clock_timestamp(), hash = null where id = $1', [codeId]);
  }

  async failCode(codeId: string, error: string, manager: EntityManager): Promise<void> {
    await manager.query('update reset_code set error = $2, hash = null where id = $1', [codeId, error]);
  }

  /** What nobody came back to, and codes that count for no limit any more. */
  async tidy(): Promise<void> {
    await this.manager.query(`update reset_request set state = 'EXPIRED' where state in (${openList}) and expires_at <= clock_timestamp()`);
    await this.manager.query(`update reset_code set hash = null where hash is not null and expires_at <= clock_timestamp()`);
  }

  private async sent(column: 'actor_id' | 'tenant_id', value: string, limit: number, manager: EntityManager): Promise<SendCount> {
    const [row]: { count: number; wait: number | null }[] = await manager.query(
      `select count(*)::int as count, (extract(epoch from min(sent_at) + interval '1 hour' - clock_timestamp()) * 1000)::float8 as wait
       from (select sent_at from reset_code where ${column} = $1 and sent_at > clock_timestamp() - interval '1 hour' order by sent_at desc limit $2) as newest`,
      [value, limit],
    );
    return { count: row?.count ?? 0, freeInMs: Math.max(1, Math.ceil(row?.wait ?? 0)) };
  }
}
