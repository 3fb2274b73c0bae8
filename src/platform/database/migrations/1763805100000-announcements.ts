import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Restores and resets that begin at a time of which people are told beforehand. */
export class Announcements1763805100000 implements MigrationInterface {
  name = 'Announcements1763805100000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table announcement (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        work text not null check (work in ('RESTORE', 'RESET')),
        subject_id uuid not null unique,
        actor jsonb not null,
        state text not null check (state in ('PENDING', 'STARTED', 'CANCELED', 'REFUSED')),
        start_at timestamptz(3) not null,
        failure jsonb,
        operation_id uuid references operation (id),
        created_at timestamptz(3) not null default clock_timestamp()
      );
      create unique index announcement_pending on announcement (tenant_id) where state = 'PENDING';
      create index announcement_due on announcement (start_at) where state = 'PENDING';
      create index announcement_tenant on announcement (tenant_id, created_at desc);
      create table announcement_mail (
        id uuid primary key,
        announcement_id uuid not null references announcement (id),
        tenant_id uuid not null references tenant (id),
        recipient text not null,
        subject text not null,
        body text not null,
        attempts integer not null default 0,
        next_attempt_at timestamptz(3) not null default clock_timestamp(),
        sent_at timestamptz(3)
      );
      create index announcement_mail_due on announcement_mail (next_attempt_at) where sent_at is null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table announcement_mail; drop table announcement');
  }
}
