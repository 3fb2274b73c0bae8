import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When a server lost a snapshot, instead of that it once did: it is asked for one again after a day. */
export class SnapshotLosses1763840000000 implements MigrationInterface {
  name = 'SnapshotLosses1763840000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table tenant add column snapshot_lost_at timestamptz');
    await runner.query('update tenant set snapshot_lost_at = clock_timestamp() where fuzzy_only');
    await runner.query('alter table tenant drop column fuzzy_only');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table tenant add column fuzzy_only boolean not null default false');
    await runner.query('update tenant set fuzzy_only = snapshot_lost_at is not null');
    await runner.query('alter table tenant drop column snapshot_lost_at');
  }
}
