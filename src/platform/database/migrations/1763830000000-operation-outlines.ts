import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What lists and subscribers need of an operation's input and journal, without what grows with the collections of its database: thousands of them are megabytes, read for each change. */
export class OperationOutlines1763830000000 implements MigrationInterface {
  name = 'OperationOutlines1763830000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table operation
        add column input_outline jsonb not null generated always as (input - array['live', 'choice', 'pointer', 'wiped', 'counters']) stored,
        add column journal_outline jsonb not null generated always as
          ((journal - array['swapPlan', 'swapReport', 'mergePlan', 'mergeReport', 'live', 'archive', 'warnings', 'checked']) #- '{pointer,former}') stored;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table operation drop column input_outline, drop column journal_outline');
  }
}
