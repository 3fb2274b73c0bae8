import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';
import { BatchedReads } from '../platform/database/batched-reads.js';
import type { ClassRule } from './data-class.js';

const provider = '00000000-0000-0000-0000-000000000000';
/** As the index has it. */
const owner = `coalesce(tenant_id, '${provider}')`;

/** All SQL of the `class_rules` table. A null tenant stands for the provider's rules. */
@Injectable()
export class ClassRulesRepository {
  private readonly rulesOf = new BatchedReads<string, readonly ClassRule[]>(async (owners) => {
    const rows: { owner: string; rules: ClassRule[] }[] = await this.dataSource.query(`select ${owner} as owner, rules from class_rules where ${owner} = any($1)`, [owners]);
    return new Map(rows.map((row) => [row.owner, row.rules]));
  });

  constructor(private readonly dataSource: DataSource) {}

  /** Null: none were ever saved. */
  async find(tenantId: string | null, manager?: EntityManager): Promise<readonly ClassRule[] | null> {
    if (manager === undefined) return this.rulesOf.find(tenantId ?? provider);
    const rows: { rules: ClassRule[] }[] = await manager.query(`select rules from class_rules where ${owner} = $1`, [tenantId ?? provider]);
    return rows[0]?.rules ?? null;
  }

  async replace(tenantId: string | null, rules: readonly ClassRule[], by: ActorStamp, manager: EntityManager): Promise<void> {
    await manager.query(
      `insert into class_rules (tenant_id, rules, updated_by) values ($1, $2::jsonb, $3::jsonb)
       on conflict (${owner}) do update set rules = excluded.rules, updated_at = now(), updated_by = excluded.updated_by`,
      [tenantId, JSON.stringify(rules), JSON.stringify(by)],
    );
  }
}
