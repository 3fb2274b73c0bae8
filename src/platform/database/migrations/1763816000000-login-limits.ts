import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Failed logins of an address over all accounts, and which refusals the audit log was told of. */
export class LoginLimits1763816000000 implements MigrationInterface {
  name = 'LoginLimits1763816000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create index login_failure_of_address on login_failure (address, failed_at);
      create index login_failure_age on login_failure (failed_at);

      create table login_refusal (
        -- Of whom too many logins failed: an address, alone or with an account.
        place text primary key,
        told_at timestamptz not null default now()
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table login_refusal; drop index login_failure_age; drop index login_failure_of_address');
  }
}
