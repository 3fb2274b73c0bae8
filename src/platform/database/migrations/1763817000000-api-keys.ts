import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Keys of programs, and how many tests a notifier was given. */
export class ApiKeys1763817000000 implements MigrationInterface {
  name = 'ApiKeys1763817000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table api_key (
        id uuid primary key,
        -- Null: of the provider, good in every tenant.
        tenant_id uuid references tenant (id),
        name text not null,
        permissions jsonb not null,
        key_hash bytea not null,
        hint text not null,
        created_by jsonb not null,
        created_at timestamptz(3) not null default clock_timestamp(),
        expires_at timestamptz(3) not null,
        used_at timestamptz,
        revoked_at timestamptz
      );
      create unique index api_key_hash on api_key (key_hash);
      create index api_key_of_owner on api_key (tenant_id, created_at desc, id desc);

      -- Counted before each test of a notifier.
      create index alert_delivery_tests on alert_delivery (tenant_id, created_at) where event = 'TEST';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop index alert_delivery_tests; drop table api_key');
  }
}
