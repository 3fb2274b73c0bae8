import { Injectable } from '@nestjs/common';
import { InjectEntityManager } from '@nestjs/typeorm';
import type { EntityManager } from 'typeorm';
import type { JsonObject, OperationKind } from '../operations/operation-handler.js';

export interface StageLeftOver {
  readonly operationId: string;
  readonly tenantId: string;
  readonly kind: OperationKind;
  readonly input: JsonObject;
}

/** All SQL of `stage_left_over`. */
@Injectable()
export class StageLeftOversRepository {
  constructor(@InjectEntityManager() private readonly manager: EntityManager) {}

  /** Idempotent. */
  async note(operationId: string, manager: EntityManager): Promise<void> {
    await manager.query('insert into stage_left_over (operation_id) values ($1) on conflict do nothing', [operationId]);
  }

  /** Idempotent. */
  async forget(operationId: string, manager = this.manager): Promise<void> {
    await manager.query('delete from stage_left_over where operation_id = $1', [operationId]);
  }

  async isNoted(operationId: string, manager: EntityManager): Promise<boolean> {
    const rows: unknown[] = await manager.query('select 1 from stage_left_over where operation_id = $1', [operationId]);
    return rows.length > 0;
  }

  /** Of restores and drills that have ended, those that were tried longest ago; whoever calls next gets others first. */
  takeNext(limit: number): Promise<StageLeftOver[]> {
    return this.manager.query(
      `with next as (
         select operation_id from stage_left_over l join operation o on o.id = l.operation_id
         where o.state not in ('QUEUED', 'RUNNING') order by l.tried_at limit $1 for update of l skip locked),
       tried as (
         update stage_left_over l set tried_at = clock_timestamp() from next where l.operation_id = next.operation_id returning l.operation_id)
       select o.id as "operationId", o.tenant_id as "tenantId", o.kind, o.input from tried join operation o on o.id = tried.operation_id`,
      [limit],
    );
  }
}
