import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Addresses that are told what happens in a tenant, and what was sent to them. */
export class Webhooks1763719200000 implements MigrationInterface {
  name = 'Webhooks1763719200000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table webhook (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        purpose text not null,
        url text not null,
        secret_cipher bytea not null,
        required boolean not null default false,
        created_at timestamptz(3) not null default now(),
        updated_at timestamptz(3) not null default now(),
        unique (tenant_id, purpose)
      );

      create table webhook_delivery (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        webhook_id uuid references webhook (id) on delete set null,
        -- Breaks ties of created_at: what one transaction queues has one time.
        seq bigint generated always as identity,
        event text not null,
        body text not null,
        state text not null check (state in ('PENDING', 'DELIVERED', 'FAILED', 'SUPERSEDED')),
        attempts integer not null default 0,
        response_code integer,
        last_error text,
        next_attempt_at timestamptz not null default now(),
        -- Whoever sends it holds it until then.
        claimed_until timestamptz,
        created_at timestamptz(3) not null default now(),
        finished_at timestamptz
      );
      create index webhook_delivery_pending on webhook_delivery (next_attempt_at) where state = 'PENDING';
      create index webhook_delivery_of_webhook on webhook_delivery (webhook_id, seq) where state in ('PENDING', 'SUPERSEDED');
      create index webhook_delivery_by_tenant on webhook_delivery (tenant_id, created_at desc, id desc);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table webhook_delivery, webhook');
  }
}
