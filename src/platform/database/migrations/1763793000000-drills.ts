import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When a tenant's backups are verified and restored for proof, and when that last went well. */
export class Drills1763793000000 implements MigrationInterface {
  name = 'Drills1763793000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table tenant add column proven_restorable_at timestamptz;
      create table proof_plan (
        tenant_id uuid primary key references tenant (id),
        -- Null: never.
        verify_every_days integer check (verify_every_days between 1 and 365),
        drill_every_days integer check (drill_every_days between 1 and 365),
        next_verify_at timestamptz,
        next_drill_at timestamptz
      );
      create index proof_plan_due on proof_plan (least(next_verify_at, next_drill_at));
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table proof_plan; alter table tenant drop column proven_restorable_at');
  }
}
