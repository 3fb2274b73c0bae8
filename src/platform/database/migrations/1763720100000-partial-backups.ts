import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Backups of chosen collections: what a restore of them may touch. */
export class PartialBackups1763720100000 implements MigrationInterface {
  name = 'PartialBackups1763720100000';

  async up(runner: QueryRunner): Promise<void> {
    // Names, those included that did not exist when the backup was taken; null: the whole database.
    await runner.query('alter table backup add column collections jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table backup drop column collections');
  }
}
