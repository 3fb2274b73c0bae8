import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Links to the history as a file. */
export class HistoryExports1763780200000 implements MigrationInterface {
  name = 'HistoryExports1763780200000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table history_export (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        token_hash bytea not null unique,
        filter jsonb not null,
        expires_at timestamptz not null,
        spent_at timestamptz
      );
      create index history_export_expiry on history_export (expires_at);
      create index audit_event_by_subject on audit_event (subject_id) where subject_id is not null;
      create index backup_deleted on backup (tenant_id, deleted_at) where deleted_at is not null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table history_export; drop index audit_event_by_subject; drop index backup_deleted');
  }
}
