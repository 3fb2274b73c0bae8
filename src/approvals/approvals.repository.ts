import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { ApprovalEntity } from './approval.entity.js';
import type { ApprovableWork } from './approvable-work.js';

export interface NewApproval {
  readonly id: string;
  readonly work: ApprovableWork;
  readonly hash: Buffer;
  readonly note: string | null;
  readonly requestedBy: ActorStamp;
  readonly validForHours: number;
}

export interface Decision {
  readonly state: 'APPROVED' | 'REJECTED';
  readonly by: ActorStamp;
  readonly note: string | null;
}

/** Times are the database's. */
@Injectable()
export class ApprovalsRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** For `authorizeRow`. */
  findAnywhere(id: string): Promise<ApprovalEntity | null> {
    return this.dataSource.manager.findOneBy(ApprovalEntity, { id });
  }

  find({ tenantId }: TenantScope, id: string, manager: EntityManager): Promise<ApprovalEntity | null> {
    return manager.findOneBy(ApprovalEntity, { tenantId, id });
  }

  async insert({ tenantId }: TenantScope, { id, work, hash, note, requestedBy, validForHours }: NewApproval, manager: EntityManager): Promise<void> {
    await manager.query(
      `insert into approval (id, tenant_id, action, subject_type, subject_id, summary, bound_hash, note, requested_by, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, clock_timestamp() + $10 * interval '1 hour')`,
      [id, tenantId, work.action, work.subject.type, work.subject.id, work.summary, hash, note, JSON.stringify(requestedBy), validForHours],
    );
  }

  /** The newest that the person has asked for, whatever became of it. */
  async newest({ tenantId }: TenantScope, hash: Buffer, requesterId: string, manager: EntityManager): Promise<ApprovalEntity | null> {
    return manager
      .createQueryBuilder(ApprovalEntity, 'approval')
      .where('approval.tenantId = :tenantId and approval.boundHash = :hash', { tenantId, hash })
      .andWhere(`approval.requested_by->>'id' = :requesterId`, { requesterId })
      .orderBy('approval.createdAt', 'DESC')
      .getOne();
  }

  async countWaiting({ tenantId }: TenantScope, manager: EntityManager): Promise<number> {
    const rows: { count: number }[] = await manager.query(`select count(*)::int as count from approval where tenant_id = $1 and state = 'REQUESTED' and expires_at > clock_timestamp()`, [tenantId]);
    return rows[0]?.count ?? 0;
  }

  /** False for one that is decided already, or has expired. */
  async decide({ tenantId }: TenantScope, id: string, { state, by, note }: Decision, manager: EntityManager): Promise<boolean> {
    const [rows]: [unknown[], number] = await manager.query(
      `update approval set state = $3, decided_by = $4::jsonb, decided_at = clock_timestamp(), decision_note = $5
       where tenant_id = $1 and id = $2 and state = 'REQUESTED' and expires_at > clock_timestamp() returning id`,
      [tenantId, id, state, JSON.stringify(by), note],
    );
    return rows.length > 0;
  }

  /** Uses one up; of two transactions that want the same one the second waits and gets null. */
  async use({ tenantId }: TenantScope, hash: Buffer, requesterId: string, manager: EntityManager): Promise<string | null> {
    const [rows]: [{ id: string }[], number] = await manager.query(
      `update approval set state = 'USED', used_at = clock_timestamp()
       where state = 'APPROVED' and id = (
         select id from approval
         where tenant_id = $1 and bound_hash = $2 and requested_by->>'id' = $3 and state = 'APPROVED' and expires_at > clock_timestamp()
         order by created_at limit 1 for update
       ) returning id`,
      [tenantId, hash, requesterId],
    );
    return rows[0]?.id ?? null;
  }

  /** @param requesterId whose alone; null: everybody's */
  list({ tenantId }: TenantScope, requesterId: string | null, page: Page): Promise<PageOfRows<ApprovalEntity>> {
    const query = this.dataSource.manager.createQueryBuilder(ApprovalEntity, 'approval').where('approval.tenantId = :tenantId', { tenantId });
    if (requesterId !== null) query.andWhere(`approval.requested_by->>'id' = :requesterId`, { requesterId });
    return findPage(query, 'createdAt', page);
  }
}
