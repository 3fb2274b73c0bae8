import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Backups that came to nothing, and whose bytes the store would not let go yet. */
export class BackupLeftovers1763730100000 implements MigrationInterface {
  name = 'BackupLeftovers1763730100000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table backup add column bytes_left boolean not null default false');
    await runner.query('create index on backup (finished_at) where bytes_left');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table backup drop column bytes_left');
  }
}
