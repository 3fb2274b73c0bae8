import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What lists ask of each of their rows. */
export class ListIndexes1763804100000 implements MigrationInterface {
  name = 'ListIndexes1763804100000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create index backup_of_operation on backup (operation_id) where operation_id is not null;
      create index backup_undoable on backup (tenant_id) where trigger = 'SAFETY' and state = 'COMPLETED' and deleted_at is null;
      create index download_by_tenant on download (tenant_id, expires_at);
      create index operation_of_tenant_unfinished on operation (tenant_id) where state in ('QUEUED', 'RUNNING');
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop index backup_of_operation, backup_undoable, download_by_tenant, operation_of_tenant_unfinished');
  }
}
