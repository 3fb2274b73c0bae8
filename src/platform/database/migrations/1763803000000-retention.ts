import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the deletion of old backups remembers: of each tenant, and of the clock. */
export class Retention1763803000000 implements MigrationInterface {
  name = 'Retention1763803000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table retention_state (
        tenant_id uuid primary key references tenant (id),
        next_at timestamptz not null,
        -- How many were due at the end of the last run: more than a few at once beyond these are held back.
        due_seen integer not null default 0,
        ran_at timestamptz,
        held_since timestamptz,
        held_due integer,
        confirmed_at timestamptz
      );
      create index retention_next on retention_state (next_at);

      create table retention_clock (
        only_one boolean primary key default true check (only_one),
        last_seen_at timestamptz,
        held_until timestamptz,
        held_because text
      );
      insert into retention_clock default values;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table retention_clock, retention_state');
  }
}
