import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who changed which switch of a tenant's policy, and what it was before. */
export class PolicyChanges1763760000000 implements MigrationInterface {
  name = 'PolicyChanges1763760000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table policy_change (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        at timestamptz(3) not null default clock_timestamp(),
        by jsonb not null,
        key text not null,
        old_value jsonb not null,
        new_value jsonb not null
      );
      create index policy_change_by_tenant on policy_change (tenant_id, at desc, id desc);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table policy_change');
  }
}
