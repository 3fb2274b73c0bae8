import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which class of data a collection's name says that it holds: the provider's rules, and each tenant's before them. */
export class DataClasses1763790000000 implements MigrationInterface {
  name = 'DataClasses1763790000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table class_rules (
        -- Null: the provider's, for every tenant.
        tenant_id uuid references tenant (id),
        rules jsonb not null,
        updated_at timestamptz not null default now(),
        updated_by jsonb
      );
      create unique index class_rules_owner on class_rules (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'));
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table class_rules');
  }
}
