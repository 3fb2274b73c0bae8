import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Further stores that a workspace's archives are copied to, and the copies. */
export class BackupCopies1763807100000 implements MigrationInterface {
  name = 'BackupCopies1763807100000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table destination (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        -- A name of the configuration: where it is, and by which credentials, no row knows.
        store text not null,
        -- While copies move: they are in this store until all of them are good in the other.
        moving_from text,
        created_by jsonb,
        created_at timestamptz(3) not null default clock_timestamp(),
        -- Its copies go; then its row.
        deleted_at timestamptz
      );
      create index destination_of_tenant on destination (tenant_id, created_at);
      create unique index destination_store on destination (tenant_id, store) where deleted_at is null;

      create table backup_copy (
        backup_id uuid not null references backup (id),
        store text not null,
        tenant_id uuid not null references tenant (id),
        -- DELETING: nobody reads it any more, and its bytes go.
        state text not null check (state in ('PENDING', 'COPYING', 'GOOD', 'FAILED', 'MISSING', 'DELETING')),
        store_key text not null,
        attempts integer not null default 0,
        next_attempt_at timestamptz not null default clock_timestamp(),
        failure jsonb,
        copied_at timestamptz,
        checked_at timestamptz,
        primary key (backup_id, store)
      );
      create index backup_copy_of_tenant on backup_copy (tenant_id, state);
      create index backup_copy_place on backup_copy (store_key);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table backup_copy, destination');
  }
}
