import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { runInTransaction } from '../platform/database/data-source.js';
import type { JsonObject, OperationFailure, OperationKind } from './operation-handler.js';
import { type FinalState, type OperationProgress, type OperationStep, WholeOperationEntity } from './operation.entity.js';

/** An operation that this worker has the lease of. */
export interface Claim {
  readonly operation: WholeOperationEntity;
  /** By the database's clock, at the moment of the claim. */
  readonly deadlineInMs: number;
}

export interface LogLine {
  readonly at: Date;
  readonly level: 'INFO' | 'WARN' | 'ERROR';
  readonly message: string;
}

export interface Ending {
  readonly state: FinalState;
  readonly steps: readonly OperationStep[];
  readonly progress: OperationProgress;
  readonly failure: OperationFailure | null;
  readonly result: JsonObject | null;
}

export type CommitOutcome = 'COMMITTED' | 'CANCELED' | 'LOST';

/** Claims at the same moment that each get one operation of a tenant, where no other tenant waits. */
const oldestOfEach = 8;
/** Claims at the same moment that do not keep each other from finding one. */
const mostPassedOver = 64;

/** The lease holder's row, by id and token: a write by anybody else changes nothing. */
const held = `id = $1 and fencing_token = $2 and state = 'RUNNING' and lease_owner is not null`;

/** All that a worker writes to `operation`, each statement conditional on the fencing token, every time by the database's clock. */
@Injectable()
export class LeasedOperationRepository {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * The next queued operation: of the tenant that has the fewest running, then of the one that was served longest ago, then the oldest. Of each tenant that waits the few oldest are looked
   * at, the second as if the first were running already: what another worker is just claiming is passed over for another tenant's. Null when there is none for this worker.
   */
  claimQueued(owner: string, kinds: readonly OperationKind[], leaseMs: number): Promise<Claim | null> {
    return this.claim(
      `waiting as (
         (select tenant_id from operation where state = 'QUEUED' order by tenant_id limit 1)
         union all
         select (select o.tenant_id from operation o where o.state = 'QUEUED' and o.tenant_id > waiting.tenant_id order by o.tenant_id limit 1)
         from waiting where waiting.tenant_id is not null),
       first as (
         select oldest.id, oldest.created_at, oldest.place + tenant.running as load, tenant.served_at
         from waiting,
           lateral (
             select (select count(*) from operation r where r.tenant_id = waiting.tenant_id and r.state = 'RUNNING') as running,
               (select max(s.started_at) from operation s where s.tenant_id = waiting.tenant_id) as served_at) tenant,
           lateral (
             select q.id, q.created_at, row_number() over (order by q.created_at, q.id) as place from (
               select o.id, o.created_at from operation o
               where o.tenant_id = waiting.tenant_id and o.state = 'QUEUED' and o.kind = any($1) and o.deadline > clock_timestamp()
               order by o.created_at, o.id limit ${oldestOfEach}) q) oldest
         order by load, served_at nulls first, created_at, id limit ${mostPassedOver}),
       next as (
         select o.id from first join operation o on o.id = first.id
         where o.state = 'QUEUED'
         order by first.load, first.served_at nulls first, first.created_at, first.id limit 1 for update of o skip locked)`,
      owner,
      kinds,
      leaseMs,
    );
  }

  /** An operation whose worker has not renewed its lease in time, the longest dead first. */
  takeOver(owner: string, kinds: readonly OperationKind[], leaseMs: number): Promise<Claim | null> {
    return this.claim(
      `next as (
         select o.id from operation o
         where o.state = 'RUNNING' and o.kind = any($1) and o.lease_until < clock_timestamp()
         order by o.lease_until limit 1 for update of o skip locked)`,
      owner,
      kinds,
      leaseMs,
    );
  }

  /**
   * Leases that end later than any can: the database's clock was set forward when they were given, and back. A worker that lives renews its own long before it ends; one that is gone would keep its
   * operation for as long as the clock was wrong.
   */
  async shorten(leaseMs: number, longestMs: number): Promise<void> {
    await this.dataSource.query(
      `update operation set lease_until = clock_timestamp() + $1 * interval '1 millisecond' where state = 'RUNNING' and lease_until > clock_timestamp() + $2 * interval '1 millisecond'`,
      [leaseMs, longestMs],
    );
  }

  /** Null when the lease is no longer ours. */
  async renew(id: string, token: number, leaseMs: number): Promise<{ readonly cancelRequested: boolean } | null> {
    const rows: { cancel_requested: boolean }[] = await this.dataSource.query(
      `with changed as (
         update operation set lease_until = clock_timestamp() + $3 * interval '1 millisecond' where ${held}
         returning cancel_requested_at is not null as cancel_requested)
       select * from changed`,
      [id, token, leaseMs],
    );
    return rows[0] === undefined ? null : { cancelRequested: rows[0].cancel_requested };
  }

  /** Each of these returns the row's new revision, or null when the lease is no longer ours. */
  saveProgress(id: string, token: number, progress: OperationProgress): Promise<number | null> {
    return this.change(id, token, 'progress = $3', [JSON.stringify(progress)]);
  }

  enterPhase(id: string, token: number, phase: string, steps: readonly OperationStep[], progress: OperationProgress): Promise<number | null> {
    return this.change(id, token, 'phase = $3, steps = $4, progress = $5', [phase, JSON.stringify(steps), JSON.stringify(progress)]);
  }

  saveJournal(id: string, token: number, patch: JsonObject): Promise<number | null> {
    return this.change(id, token, 'journal = journal || $3::jsonb', [JSON.stringify(patch)]);
  }

  attachBackup(id: string, token: number, backupId: string): Promise<number | null> {
    return this.change(id, token, 'backup_id = $3', [backupId]);
  }

  appendLog(id: string, token: number, lines: readonly LogLine[]): Promise<number | null> {
    return this.dataSource.transaction(async (manager) => {
      const revision = await this.change(id, token, 'revision = revision + 1', [], manager);
      if (revision === null) return null;
      await manager.query(
        `insert into operation_log (operation_id, at, level, message)
         select $1, line.at, line.level, line.message
         from unnest($2::timestamptz[], $3::text[], $4::text[]) with ordinality as line (at, level, message, place) order by line.place`,
        [id, lines.map(({ at }) => at), lines.map(({ level }) => level), lines.map(({ message }) => message)],
      );
      return revision;
    });
  }

  /** Says COMMITTED again when it is repeated after an answer that was lost. */
  async commit(id: string, token: number, patch: JsonObject, also?: (manager: EntityManager) => Promise<void>): Promise<CommitOutcome> {
    return runInTransaction(this.dataSource, async (manager) => {
      const [before]: { committed: boolean }[] = await manager.query(`select committed from operation where ${held} for update`, [id, token]);
      if (before?.committed === true) return 'COMMITTED';
      const rows: unknown[] = await manager.query(
        `with changed as (
           update operation set committed = true, journal = journal || $3::jsonb, revision = revision + 1
           where ${held} and cancel_requested_at is null returning id)
         select * from changed`,
        [id, token, JSON.stringify(patch)],
      );
      if (rows.length > 0) {
        await also?.(manager);
        return 'COMMITTED';
      }
      const still: unknown[] = await manager.query(`select 1 from operation where ${held}`, [id, token]);
      return still.length > 0 ? 'CANCELED' : 'LOST';
    });
  }

  /** @throws AppError LEASE_LOST */
  fenced<T>(id: string, token: number, work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return runInTransaction(this.dataSource, async (manager) => {
      const rows: unknown[] = await manager.query(`select 1 from operation where ${held} for update`, [id, token]);
      if (rows.length === 0) throw leaseLost();
      return work(manager);
    });
  }

  /** Ends the operation; null when the lease is no longer ours. Repeated after a lost answer it finds the row ended and says null, too. */
  finish(id: string, token: number, ending: Ending, manager: EntityManager): Promise<number | null> {
    return this.change(
      id,
      token,
      `state = $3, steps = $4, progress = $5, failure = $6, result = $7, finished_at = clock_timestamp(), lease_owner = null, lease_until = null`,
      [ending.state, JSON.stringify(ending.steps), JSON.stringify(ending.progress), json(ending.failure), json(ending.result)],
      manager,
    );
  }

  /** Gives the lease up so that any worker recovers the operation after the pause. */
  async release(id: string, token: number, pauseMs: number, wasRecovery: boolean): Promise<void> {
    await this.change(id, token, `lease_owner = null, lease_until = clock_timestamp() + $3 * interval '1 millisecond', recoveries = recoveries + $4`, [pauseMs, wasRecovery ? 1 : 0]);
  }

  /** Puts an operation that has touched nothing yet back to where it was before its claim; null when it was canceled or the lease is no longer ours. */
  async requeue(id: string, token: number, steps: readonly OperationStep[]): Promise<number | null> {
    const rows: { revision: number }[] = await this.dataSource.query(
      `with changed as (
         update operation set state = 'QUEUED', phase = 'QUEUED', steps = $3, journal = '{}', started_at = null, lease_owner = null, lease_until = null, revision = revision + 1
         where ${held} and not committed and cancel_requested_at is null returning revision)
       select * from changed`,
      [id, token, JSON.stringify(steps)],
    );
    return rows[0]?.revision ?? null;
  }

  /** @param next the query called `next`, and those that it builds on: it locks what it finds */
  private async claim(next: string, owner: string, kinds: readonly OperationKind[], leaseMs: number): Promise<Claim | null> {
    const rows: { id: string; deadline_in_ms: string }[] = await this.dataSource.query(
      `with recursive ${next},
       changed as (
         update operation o
         set state = 'RUNNING', lease_owner = $2, lease_until = clock_timestamp() + $3 * interval '1 millisecond',
             fencing_token = fencing_token + 1, started_at = coalesce(started_at, clock_timestamp()), revision = revision + 1
         from next where o.id = next.id
         returning o.id, extract(epoch from o.deadline - clock_timestamp()) * 1000 as deadline_in_ms)
       select * from changed`,
      [kinds, owner, leaseMs],
    );
    const [claimed] = rows;
    if (claimed === undefined) return null;
    const operation = await this.dataSource.manager.findOneByOrFail(WholeOperationEntity, { id: claimed.id });
    return { operation, deadlineInMs: Number(claimed.deadline_in_ms) };
  }

  private async change(id: string, token: number, set: string, values: readonly unknown[], manager: EntityManager = this.dataSource.manager): Promise<number | null> {
    const revise = set.includes('revision =') ? '' : ', revision = revision + 1';
    const rows: { revision: number }[] = await manager.query(
      `with changed as (update operation set ${set}${revise} where ${held} returning revision) select * from changed`,
      [id, token, ...values],
    );
    return rows[0]?.revision ?? null;
  }
}

export function leaseLost(cause?: unknown): AppError {
  return new AppError('LEASE_LOST', 'The lease on the operation was lost', cause === undefined ? {} : { cause });
}

function json(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value);
}
