import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How an upload's bytes come: through Holdfast, or straight into the store. */
export class DirectUploads1763740000000 implements MigrationInterface {
  name = 'DirectUploads1763740000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table upload add column protocol text not null default 'TUS' check (protocol in ('TUS', 'S3_MULTIPART'))`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table upload drop column protocol');
  }
}
