import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Resets on their way from the first step to the operation, and the codes that were sent for them. */
export class Resets1763805000000 implements MigrationInterface {
  name = 'Resets1763805000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table reset_request (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        actor_id text not null,
        begun_by jsonb not null,
        reason text not null,
        state text not null check (state in ('BEGUN', 'CODE_SENT', 'VERIFIED', 'CONFIRMED', 'EXECUTING', 'DONE', 'FAILED', 'CANCELED', 'VOID', 'EXPIRED')),
        -- What the person was shown, and nothing else is wiped.
        lists jsonb not null,
        target_revision integer not null,
        channels jsonb not null,
        tries_left integer not null check (tries_left >= 0),
        created_at timestamptz(3) not null default clock_timestamp(),
        expires_at timestamptz(3) not null,
        operation_id uuid references operation (id)
      );
      create index reset_request_tenant on reset_request (tenant_id, actor_id);
      create index reset_request_open on reset_request (expires_at) where state in ('BEGUN', 'CODE_SENT', 'VERIFIED');
      create unique index reset_request_operation on reset_request (operation_id);
      create table reset_code (
        id uuid primary key,
        reset_id uuid not null references reset_request (id),
        tenant_id uuid not null references tenant (id),
        actor_id text not null,
        channel text not null check (channel in ('EMAIL', 'SMS')),
        -- Null once it was used.
        hash bytea,
        sent_at timestamptz(3) not null default clock_timestamp(),
        expires_at timestamptz(3) not null,
        verified_at timestamptz(3),
        -- Why it was not delivered.
        error text
      );
      create index reset_code_reset on reset_code (reset_id, channel, sent_at);
      create index reset_code_actor on reset_code (actor_id, sent_at);
      create index reset_code_tenant on reset_code (tenant_id, sent_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table reset_code; drop table reset_request');
  }
}
