import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The request that started an operation, so that its logs and spans join that request's trace. */
export class OperationTrace1763780100000 implements MigrationInterface {
  name = 'OperationTrace1763780100000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table operation add column trace_parent text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table operation drop column trace_parent');
  }
}
