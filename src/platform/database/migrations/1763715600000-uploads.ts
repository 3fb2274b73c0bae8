import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Uploaded archives, and what a backup must know of an archive that was imported. */
export class Uploads1763715600000 implements MigrationInterface {
  name = 'Uploads1763715600000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table upload (
        id uuid primary key,
        tenant_id uuid not null references tenant (id),
        purpose text not null check (purpose in ('RESTORE', 'IMPORT')),
        state text not null check (state in ('OPEN', 'COMPLETED', 'REFUSED')),
        file_name text not null,
        size_bytes bigint not null check (size_bytes > 0),
        sha256 text not null,
        token_hash bytea not null unique,
        store_key text not null unique,
        -- The tenant whose keys must open the archive, where the provider named another one than the owner.
        source_tenant_id uuid,
        -- What the bytes turned out to be.
        archive jsonb,
        failure jsonb,
        backup_id uuid references backup (id),
        -- Whoever writes or checks the bytes holds this lease.
        writer uuid,
        writer_until timestamptz,
        created_by jsonb,
        created_at timestamptz(3) not null default now(),
        expires_at timestamptz not null
      );
      create index upload_expiry on upload (expires_at);
      create index upload_by_tenant on upload (tenant_id, created_at);

      alter table restore_plan add column upload_id uuid references upload (id) on delete set null;
      create index restore_plan_by_upload on restore_plan (upload_id) where upload_id is not null;

      alter table backup add column archive_id text, add column key_tenant_id uuid, add column taken_at timestamptz;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table backup drop column archive_id, drop column key_tenant_id, drop column taken_at;
      alter table restore_plan drop column upload_id;
      drop table upload;
    `);
  }
}
