import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How fast backups may read a tenant's database, and restores write it. */
export class TransferRates1763804200000 implements MigrationInterface {
  name = 'TransferRates1763804200000';

  async up(runner: QueryRunner): Promise<void> {
    // Null: the limit of the process, if it has one.
    await runner.query('alter table tenant add column max_bytes_per_second bigint check (max_bytes_per_second > 0)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table tenant drop column max_bytes_per_second');
  }
}
