import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Addresses from which a tenant may be used. */
export class AddressRules1763806000000 implements MigrationInterface {
  name = 'AddressRules1763806000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table tenant add column address_rules jsonb not null default '[]' check (jsonb_typeof(address_rules) = 'array')`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table tenant drop column address_rules');
  }
}
