import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who has a database of a server: a tenant, a copy that is being made, or a former database that undo may still go back to. */
export class DatabaseClaims1763730000000 implements MigrationInterface {
  name = 'DatabaseClaims1763730000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table database_claim (
        deployment text not null,
        database text not null,
        tenant_id uuid not null references tenant (id) on delete cascade,
        purpose text not null check (purpose in ('LIVE', 'COPY', 'KEPT', 'DROPPING')),
        -- The copy that is being made, or the restore or undo that the database is kept for.
        operation_id uuid,
        -- The connection string by which a kept database was reached, sealed as the tenant's own.
        target_cipher bytea,
        -- When a kept database may be dropped.
        expires_at timestamptz,
        created_at timestamptz not null default clock_timestamp(),
        primary key (deployment, database),
        check ((purpose = 'LIVE') = (operation_id is null)),
        check ((purpose in ('KEPT', 'DROPPING')) = (target_cipher is not null and expires_at is not null))
      )`);
    await runner.query('create index on database_claim (operation_id)');
    await runner.query(`create index on database_claim (expires_at) where expires_at is not null`);
    await runner.query(`insert into database_claim (deployment, database, tenant_id, purpose) select target_deployment, target_database, id, 'LIVE' from tenant`);
    // A trigger, so that no way of changing a tenant can forget it; the primary key makes two transactions wait for each other.
    await runner.query(`
      create function claim_tenant_database() returns trigger language plpgsql as $$
      begin
        if tg_op = 'UPDATE' then delete from database_claim where tenant_id = new.id and purpose = 'LIVE'; end if;
        insert into database_claim (deployment, database, tenant_id, purpose) values (new.target_deployment, new.target_database, new.id, 'LIVE');
        return null;
      end $$`);
    await runner.query(`create trigger claim_tenant_database after insert on tenant for each row execute function claim_tenant_database()`);
    await runner.query(`
      create trigger move_tenant_database after update of target_deployment, target_database on tenant for each row
      when ((old.target_deployment, old.target_database) is distinct from (new.target_deployment, new.target_database)) execute function claim_tenant_database()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop trigger claim_tenant_database on tenant');
    await runner.query('drop trigger move_tenant_database on tenant');
    await runner.query('drop function claim_tenant_database');
    await runner.query('drop table database_claim');
  }
}
