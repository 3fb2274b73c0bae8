import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The end of workspaces, what their suspension closes, and the provider's answers to wishes for another schedule. */
export class TenantDeletion1763807000000 implements MigrationInterface {
  name = 'TenantDeletion1763807000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table tenant
        add column resumed_at timestamptz,
        add column deletion_asked_at timestamptz,
        add column deletion_asked_by jsonb,
        -- Until then it can be taken back.
        add column deletion_due_at timestamptz,
        -- Its deletion suspended it, not the provider before.
        add column suspended_by_deletion boolean not null default false,
        -- From here on the archives go, and nothing can be taken back.
        add column deletion_begun_at timestamptz,
        add column deleted_at timestamptz,
        add constraint tenant_deletion_order check ((deletion_asked_at is null) = (deletion_due_at is null) and (deletion_begun_at is null or deletion_asked_at is not null) and (deleted_at is null or deletion_begun_at is not null));
      create index tenant_deletion_due on tenant (deletion_due_at) where deletion_due_at is not null and deleted_at is null;

      alter table download add column by_provider boolean not null default false;

      alter table schedule_request
        add column state text not null default 'OPEN' check (state in ('OPEN', 'ACCEPTED', 'DECLINED')),
        add column note text,
        add column decided_by jsonb,
        add column decided_at timestamptz;
      create index schedule_request_open on schedule_request (created_at desc, id desc) where state = 'OPEN';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop index schedule_request_open;
      alter table schedule_request drop column state, drop column note, drop column decided_by, drop column decided_at;
      alter table download drop column by_provider;
      alter table tenant drop constraint tenant_deletion_order, drop column resumed_at, drop column deletion_asked_at, drop column deletion_asked_by, drop column deletion_due_at,
        drop column suspended_by_deletion, drop column deletion_begun_at, drop column deleted_at;
    `);
  }
}
