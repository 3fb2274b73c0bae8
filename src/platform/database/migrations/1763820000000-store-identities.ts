import type { MigrationInterface, QueryRunner } from 'typeorm';

/** By what each archive store is known again. */
export class StoreIdentities1763820000000 implements MigrationInterface {
  name = 'StoreIdentities1763820000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table store_identity (
        -- As HOLDFAST_STORES names it; empty: the main one.
        store text primary key,
        -- The same stands in the store.
        id uuid not null,
        since timestamptz not null default clock_timestamp()
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table store_identity');
  }
}
