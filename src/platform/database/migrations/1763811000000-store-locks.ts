import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Bytes that a store does not let go yet: why, and until when. Copies are of a file, so that those of a former file of the backup may go while those of its present one are made. */
export class StoreLocks1763811000000 implements MigrationInterface {
  name = 'StoreLocks1763811000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table backup add column removal_failure jsonb, add column locked_until timestamptz;
      alter table discarded_archive add column locked_until timestamptz;
      alter table tenant add column removal_after timestamptz;
      alter table backup_copy drop constraint backup_copy_pkey, add primary key (backup_id, store, store_key), add column locked_until timestamptz;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      delete from backup_copy c using backup b where b.id = c.backup_id and b.store_key is distinct from c.store_key;
      alter table backup_copy drop constraint backup_copy_pkey, add primary key (backup_id, store), drop column locked_until;
      alter table tenant drop column removal_after;
      alter table discarded_archive drop column locked_until;
      alter table backup drop column removal_failure, drop column locked_until;
    `);
  }
}
