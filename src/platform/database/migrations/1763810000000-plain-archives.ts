import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Archives without encryption, whose manifests lie beside them. */
export class PlainArchives1763810000000 implements MigrationInterface {
  name = 'PlainArchives1763810000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table backup
        -- Of the manifest that lies beside an archive of ours that is not encrypted; null where the archive holds it, or has none.
        add column manifest_sha256 text check (manifest_sha256 is null or not encrypted);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table backup drop column manifest_sha256');
  }
}
