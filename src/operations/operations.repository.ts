import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { BatchedReads, EntitiesById, RowsOfEach } from '../platform/database/batched-reads.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { currentTraceParent } from '../platform/telemetry/trace-context.js';
import type { JsonObject, OperationFailure, OperationKind, OperationState } from './operation-handler.js';
import { OperationEntity, type OperationStep, WholeOperationEntity } from './operation.entity.js';

export interface OperationFilter {
  readonly kinds?: readonly OperationKind[] | null;
  readonly states?: readonly OperationState[] | null;
  readonly from?: Date | null;
  readonly to?: Date | null;
}

export interface NewOperation {
  readonly id: string;
  readonly tenantId: string;
  readonly kind: OperationKind;
  readonly exclusive: boolean;
  readonly steps: readonly OperationStep[];
  readonly input: JsonObject;
  readonly deadlineMs: number;
  readonly startedBy: JsonObject;
  readonly backupId: string | null;
  readonly planId: string | null;
}

export interface IdempotencyKey {
  readonly actorId: string;
  readonly key: string;
}

export interface LogRow {
  readonly at: Date;
  readonly level: 'INFO' | 'WARN' | 'ERROR';
  readonly message: string;
}

export type Abandoning = Pick<OperationEntity, 'steps' | 'progress' | 'failure'>;

interface CompletedQuestion {
  readonly tenantId: string;
  readonly kinds: readonly OperationKind[];
  readonly since: Date;
}

const mostLogLines = 500;
const mostCompleted = 100;

/** How long an idempotency key is remembered. */
const keptFor = `interval '24 hours'`;

/** All SQL on operations but what a worker writes under its lease. */
@Injectable()
export class OperationsRepository {
  private readonly byId = new EntitiesById(() => this.dataSource.manager, OperationEntity);
  private readonly logs = new RowsOfEach<LogRow>(
    () => this.dataSource.manager,
    `select l.at, l.level, l.message from operation_log l where l.operation_id = key.id order by l.id desc limit ${mostLogLines}`,
  );
  private readonly exclusives = new RowsOfEach<{ readonly id: string }>(
    () => this.dataSource.manager,
    `select o.id from operation o where o.tenant_id = key.id and o.exclusive and o.state in ('QUEUED', 'RUNNING')`,
  );
  private readonly completions = new BatchedReads<CompletedQuestion, OperationEntity[]>((questions) => this.readCompleted(questions));

  constructor(private readonly dataSource: DataSource) {}

  find(tenantId: string, id: string, manager: EntityManager = this.dataSource.manager): Promise<OperationEntity | null> {
    return manager.findOneBy(OperationEntity, { tenantId, id });
  }

  findWhole(tenantId: string, id: string, manager: EntityManager = this.dataSource.manager): Promise<WholeOperationEntity | null> {
    return manager.findOneBy(WholeOperationEntity, { tenantId, id });
  }

  /** For ids that come from outside: the caller authorizes against the row's tenant before it shows anything. */
  findAnywhere(id: string, manager?: EntityManager): Promise<OperationEntity | null> {
    return manager === undefined ? this.byId.find(id) : manager.findOneBy(OperationEntity, { id });
  }

  page(tenantId: string, filter: OperationFilter, page: Page): Promise<PageOfRows<OperationEntity>> {
    const query = this.dataSource.manager.createQueryBuilder(OperationEntity, 'operation').where('operation.tenant_id = :tenantId', { tenantId });
    if (filter.kinds && filter.kinds.length > 0) query.andWhere('operation.kind = any(:kinds)', { kinds: filter.kinds });
    if (filter.states && filter.states.length > 0) query.andWhere('operation.state = any(:states)', { states: filter.states });
    if (filter.from) query.andWhere('operation.created_at >= :from', { from: filter.from });
    if (filter.to) query.andWhere('operation.created_at < :to', { to: filter.to });
    return findPage(query, 'createdAt', page);
  }

  /** At most 100, newest first. */
  async completedSince(tenantId: string, kinds: readonly OperationKind[], since: Date, manager?: EntityManager): Promise<OperationEntity[]> {
    if (manager !== undefined) return this.completedWithin(manager, [tenantId], kinds, since);
    return (await this.completions.find({ tenantId, kinds, since })) ?? [];
  }

  /** Unfinished operations of a tenant, oldest first; where there is none, its newest. */
  current(tenantId: string): Promise<OperationEntity[]> {
    return this.dataSource.manager
      .createQueryBuilder(OperationEntity, 'operation')
      .where(
        `operation.tenant_id = :tenantId and (operation.state in ('QUEUED', 'RUNNING') or operation.id =
         (select newest.id from operation newest where newest.tenant_id = :tenantId order by newest.created_at desc, newest.id desc limit 1))`,
        { tenantId },
      )
      .orderBy('operation.createdAt', 'ASC')
      .addOrderBy('operation.id', 'ASC')
      .getMany();
  }

  /** The newest `limit` lines, 500 at most, oldest first. */
  async log(operationId: string, limit: number): Promise<LogRow[]> {
    return (await this.logs.of(operationId)).slice(0, limit).reverse();
  }

  /** Held until the transaction ends: starts of one tenant come one after the other. False when there is no such tenant. */
  async lockTenant(tenantId: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query('select 1 from tenant where id = $1 for no key update', [tenantId]);
    return rows.length > 0;
  }

  async findExclusive(tenantId: string): Promise<OperationEntity | null> {
    const [row] = await this.exclusives.of(tenantId);
    return row === undefined ? null : this.byId.find(row.id);
  }

  /** What keeps another exclusive operation of the tenant from starting: one that is unfinished, or an abandoned one whose worker may still be at it, until its lease would have run out. */
  async findHindering(tenantId: string, manager: EntityManager): Promise<OperationEntity | null> {
    return manager
      .createQueryBuilder(OperationEntity, 'operation')
      .where(
        `operation.tenant_id = :tenantId and (operation.exclusive and operation.state in ('QUEUED', 'RUNNING') or operation.state = 'FAILED' and operation.lease_until > clock_timestamp())`,
        { tenantId },
      )
      .getOne();
  }

  /** Whether another tenant's unfinished operation is just filling this one's database. */
  async isBeingFilled(tenantId: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `select 1 from tenant t join operation o on o.id = t.maintenance_operation_id where t.id = $1 and o.tenant_id <> t.id and o.state in ('QUEUED', 'RUNNING')`,
      [tenantId],
    );
    return rows.length > 0;
  }

  async insert(operation: NewOperation, manager: EntityManager): Promise<OperationEntity> {
    const { id, tenantId, kind, exclusive, steps, input, deadlineMs, startedBy, backupId, planId } = operation;
    await manager.query(
      `insert into operation (id, tenant_id, kind, state, exclusive, steps, input, deadline, started_by, backup_id, plan_id, trace_parent, created_at)
       values ($1, $2, $3, 'QUEUED', $4, $5, $6, clock_timestamp() + $7 * interval '1 millisecond', $8, $9, $10, $11, clock_timestamp())`,
      [id, tenantId, kind, exclusive, JSON.stringify(steps), JSON.stringify(input), deadlineMs, JSON.stringify(startedBy), backupId, planId, currentTraceParent()],
    );
    return manager.findOneByOrFail(OperationEntity, { id });
  }

  async findKey({ actorId, key }: IdempotencyKey, manager: EntityManager): Promise<{ readonly inputHash: string; readonly operationId: string } | null> {
    const rows: { input_hash: string; operation_id: string }[] = await manager.query(
      `select input_hash, operation_id from idempotency_key where actor_id = $1 and key = $2 and created_at > clock_timestamp() - ${keptFor}`,
      [actorId, key],
    );
    return rows[0] === undefined ? null : { inputHash: rows[0].input_hash, operationId: rows[0].operation_id };
  }

  /** False when the key is already taken by something that is not older than it may be. */
  async insertKey({ actorId, key }: IdempotencyKey, inputHash: string, operationId: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `insert into idempotency_key as kept (actor_id, key, input_hash, operation_id) values ($1, $2, $3, $4)
       on conflict (actor_id, key) do update
         set input_hash = excluded.input_hash, operation_id = excluded.operation_id, created_at = clock_timestamp()
         where kept.created_at <= clock_timestamp() - ${keptFor}
       returning 1`,
      [actorId, key, inputHash, operationId],
    );
    return rows.length > 0;
  }

  async deleteOldKeys(): Promise<void> {
    await this.dataSource.query(`delete from idempotency_key where created_at <= clock_timestamp() - ${keptFor}`);
  }

  lock(id: string, manager: EntityManager): Promise<OperationEntity | null> {
    return manager.findOne(OperationEntity, { where: { id }, lock: { mode: 'pessimistic_write' } });
  }

  async findQueuedPastDeadline(limit: number): Promise<string[]> {
    const rows: { id: string }[] = await this.dataSource.query(`select id from operation where state = 'QUEUED' and deadline <= clock_timestamp() order by deadline limit $1`, [limit]);
    return rows.map(({ id }) => id);
  }

  /** Ends an operation that never ran; the caller holds its row. Returns the new revision. */
  async endQueued(id: string, state: 'FAILED' | 'CANCELED', failure: OperationFailure, manager: EntityManager): Promise<number> {
    const [row]: { revision: number }[] = await manager.query(
      `with changed as (
         update operation set state = $2, failure = $3, finished_at = clock_timestamp(), revision = revision + 1,
           cancel_requested_at = case when $2 = 'CANCELED' then clock_timestamp() end
         where id = $1 and state = 'QUEUED' returning revision)
       select * from changed`,
      [id, state, JSON.stringify(failure)],
    );
    if (row === undefined) throw new Error('The operation is no longer queued');
    return row.revision;
  }

  async requestCancel(id: string, manager: EntityManager): Promise<number> {
    const [row]: { revision: number }[] = await manager.query(
      `with changed as (
         update operation set cancel_requested_at = clock_timestamp(), revision = revision + 1
         where id = $1 and state = 'RUNNING' and not committed returning revision)
       select * from changed`,
      [id],
    );
    if (row === undefined) throw new Error('The operation can no longer be canceled');
    return row.revision;
  }

  /**
   * Ends it over its worker's head: nothing that was written under its lease is written any more. Where a worker has that, its end stays in the row. The caller holds
   * the row. Returns the new revision.
   */
  async abandon(id: string, { steps, progress, failure }: Abandoning, line: string, manager: EntityManager): Promise<number> {
    const [row]: { revision: number }[] = await manager.query(
      `with changed as (
         update operation set state = 'FAILED', steps = $2, progress = $3, failure = $4, finished_at = clock_timestamp(), fencing_token = fencing_token + 1,
           lease_until = case when lease_owner is not null then lease_until end, lease_owner = null, revision = revision + 1
         where id = $1 and state = 'RUNNING' and committed returning revision),
       logged as (insert into operation_log (operation_id, at, level, message) select $1, clock_timestamp(), 'WARN', $5)
       select * from changed`,
      [id, JSON.stringify(steps), JSON.stringify(progress), JSON.stringify(failure), line],
    );
    if (row === undefined) throw new Error('The operation can no longer be abandoned');
    return row.revision;
  }

  private async readCompleted(questions: readonly CompletedQuestion[]): Promise<ReadonlyMap<CompletedQuestion, OperationEntity[]>> {
    const answers = new Map<CompletedQuestion, OperationEntity[]>();
    for (const [, alike] of Map.groupBy(questions, ({ kinds }) => kinds.join())) {
      const earliest = new Date(Math.min(...alike.map(({ since }) => since.getTime())));
      const rows = await this.completedWithin(this.dataSource.manager, [...new Set(alike.map(({ tenantId }) => tenantId))], alike[0]?.kinds ?? [], earliest);
      for (const question of alike) answers.set(question, rows.filter(({ tenantId, finishedAt }) => tenantId === question.tenantId && finishedAt !== null && finishedAt >= question.since));
    }
    return answers;
  }

  private completedWithin(manager: EntityManager, tenantIds: readonly string[], kinds: readonly OperationKind[], since: Date): Promise<OperationEntity[]> {
    return manager
      .createQueryBuilder(OperationEntity, 'operation')
      .where(
        `operation.id in (select newest.id from unnest(cast(:tenantIds as uuid[])) as key (id), lateral (
           select o.id from operation o where o.tenant_id = key.id and o.kind = any(:kinds) and o.state = 'COMPLETED' and o.finished_at > :since order by o.finished_at desc limit ${mostCompleted}) newest)`,
        { tenantIds, kinds, since },
      )
      .orderBy('operation.finished_at', 'DESC')
      .getMany();
  }
}
