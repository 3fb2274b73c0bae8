import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a claim asks of each tenant: what waits, how much runs, and when something last began. */
export class FairClaims1763804000000 implements MigrationInterface {
  name = 'FairClaims1763804000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create index operation_waiting on operation (tenant_id, created_at, id) where state = 'QUEUED';
      create index operation_waiting_until on operation (deadline) where state = 'QUEUED';
      create index operation_running on operation (tenant_id) where state = 'RUNNING';
      create index operation_started on operation (tenant_id, started_at) where started_at is not null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop index operation_waiting, operation_waiting_until, operation_running, operation_started');
  }
}
