import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Restores whose staged collections could not be removed, because the database server was away. */
export class StageLeftOvers1763800000000 implements MigrationInterface {
  name = 'StageLeftOvers1763800000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table stage_left_over (
        operation_id uuid primary key references operation (id) on delete cascade,
        tried_at timestamptz not null default clock_timestamp()
      );
      create index stage_left_over_by_try on stage_left_over (tried_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table stage_left_over');
  }
}
