import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What somebody has to be told, whom to tell, and what was sent. */
export class Alerts1763791000000 implements MigrationInterface {
  name = 'Alerts1763791000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table alert (
        id uuid primary key,
        -- Null: of the installation.
        tenant_id uuid references tenant (id),
        event text not null,
        severity text not null check (severity in ('INFO', 'WARNING', 'ERROR')),
        -- What it is about: an operation's id, or the name of a condition that lasts until it is resolved.
        subject text not null,
        text text not null,
        detail jsonb not null default '{}',
        created_at timestamptz(3) not null default now(),
        resolved_at timestamptz
      );
      create unique index alert_open on alert (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'), event, subject) where resolved_at is null;
      create index alert_by_tenant on alert (tenant_id, created_at desc, id desc);
      create index alert_created on alert (created_at desc, id desc);

      create table notifier (
        id uuid primary key,
        -- Null: the provider's, told of every tenant.
        tenant_id uuid references tenant (id),
        name text not null,
        channel text not null check (channel in ('EMAIL', 'SLACK', 'TELEGRAM', 'DISCORD', 'TEAMS', 'WEBHOOK', 'PING')),
        address_cipher bytea not null,
        shown_address text not null,
        -- Empty: every event.
        events jsonb not null default '[]',
        min_severity text not null check (min_severity in ('INFO', 'WARNING', 'ERROR')),
        cooldown_minutes integer not null,
        active boolean not null default true,
        created_by jsonb,
        created_at timestamptz(3) not null default now(),
        updated_at timestamptz(3) not null default now()
      );
      create index notifier_by_tenant on notifier (tenant_id, created_at desc, id desc);

      create table alert_delivery (
        id uuid primary key,
        tenant_id uuid references tenant (id),
        notifier_id uuid references notifier (id) on delete set null,
        -- Null: a test.
        alert_id uuid references alert (id),
        event text not null,
        state text not null check (state in ('PENDING', 'DELIVERED', 'FAILED', 'SUPPRESSED')),
        attempts integer not null default 0,
        response_code integer,
        last_error text,
        next_attempt_at timestamptz not null default now(),
        claimed_until timestamptz,
        created_at timestamptz(3) not null default now(),
        finished_at timestamptz
      );
      create index alert_delivery_pending on alert_delivery (next_attempt_at) where state = 'PENDING';
      create index alert_delivery_of_notifier on alert_delivery (notifier_id, created_at desc, id desc);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table alert_delivery, notifier, alert');
  }
}
