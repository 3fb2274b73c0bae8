import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { ActorStamp } from '../platform/auth/actor.js';
import type { ClassRule } from './data-class.js';

/** All SQL of the `class_rules` table. A null tenant stands for the provider's rules. */
@Injectable()
export class ClassRulesRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Null: none were ever saved. */
  async find(tenantId: string | null, manager: EntityManager = this.dataSource.manager): Promise<readonly ClassRule[] | null> {
    const rows: { rules: ClassRule[] }[] = await manager.query('select rules from class_rules where tenant_id is not distinct from $1', [tenantId]);
    return rows[0]?.rules ?? null;
  }

  async replace(tenantId: string | null, rules: readonly ClassRule[], by: ActorStamp, manager: EntityManager): Promise<void> {
    await manager.query(
      `insert into class_rules (tenant_id, rules, updated_by) values ($1, $2::jsonb, $3::jsonb)
       on conflict (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000')) do update set rules = excluded.rules, updated_at = now(), updated_by = excluded.updated_by`,
      [tenantId, JSON.stringify(rules), JSON.stringify(by)],
    );
  }
}
