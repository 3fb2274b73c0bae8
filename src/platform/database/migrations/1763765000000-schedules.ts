import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When backups are taken by themselves, and the keys by which an outer cron asks for them. */
export class Schedules1763765000000 implements MigrationInterface {
  name = 'Schedules1763765000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table schedule (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        name text not null,
        description text,
        active boolean not null,
        cadence text not null,
        at_time text,
        time_zone text not null,
        cron text,
        scope text not null check (scope in ('ALL', 'TRANSACTIONS', 'MASTER')),
        -- Null: the policy's.
        retention jsonb,
        -- Another cadence for a while: {cadence, until}.
        bump jsonb,
        -- Cadences of days and hours count from here.
        anchor timestamptz not null,
        -- The nominal time, as people see it, and when it is really started: a little later, so that not all start at once, or when the workspace was busy.
        next_run_at timestamptz,
        due_at timestamptz,
        last_due_at timestamptz,
        created_by jsonb,
        created_at timestamptz(3) not null default now()
      );
      create index schedule_by_tenant on schedule (tenant_id, created_at desc, id desc);
      create index schedule_due on schedule (due_at) where active;
      alter table backup add column schedule_id uuid;
      create index backup_of_schedule on backup (schedule_id, created_at desc) where schedule_id is not null;

      create table schedule_request (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        cadence text not null,
        until timestamptz,
        reason text not null,
        created_by jsonb,
        created_at timestamptz(3) not null default now()
      );
      create index schedule_request_by_tenant on schedule_request (tenant_id, created_at desc, id desc);

      create table cron_key (
        tenant_id uuid primary key references tenant (id),
        key_hash bytea not null,
        hint text not null,
        created_by jsonb,
        created_at timestamptz not null default now(),
        used_at timestamptz
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table cron_key, schedule_request, schedule; alter table backup drop column schedule_id');
  }
}
