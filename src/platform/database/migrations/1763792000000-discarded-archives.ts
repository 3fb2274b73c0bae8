import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Objects in the store that no backup points to: noted before they are written, and when a backup has got another file. */
export class DiscardedArchives1763792000000 implements MigrationInterface {
  name = 'DiscardedArchives1763792000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table discarded_archive (
        store_key text primary key,
        tenant_id uuid not null references tenant (id),
        operation_id uuid not null references operation (id),
        noted_at timestamptz not null default now()
      );
      create index discarded_archive_of_operation on discarded_archive (operation_id);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table discarded_archive');
  }
}
