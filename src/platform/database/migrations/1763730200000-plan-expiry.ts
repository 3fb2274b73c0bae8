import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What of an archive expires at once: part of a plan. */
export class PlanExpiry1763730200000 implements MigrationInterface {
  name = 'PlanExpiry1763730200000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table restore_plan add column expiring jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table restore_plan drop column expiring');
  }
}
