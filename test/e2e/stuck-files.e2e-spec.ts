import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { BackupLeftovers } from '../../src/backups/backup-leftovers.ts';
import { DiscardedArchives } from '../../src/backups/discarded-archives.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import type { Sweep } from '../../src/platform/queue/sweep.ts';
import { UploadExpiry } from '../../src/transfers/upload-expiry.ts';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';

let app: TestApp;
let tenantId: string;
let operationId: string;
let backupId: string;

beforeAll(async () => {
  app = await startTestApp();
  const admin = await app.loginAsAdmin();
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 5));
  backupId = parseGlobalId((await takeBackup(admin, tenant.id)).id)!.uuid;
  [{ tenantId, operationId }] = (await sql<{ tenantId: string; operationId: string }>('select tenant_id as "tenantId", operation_id as "operationId" from backup where id = $1', [backupId])) as [{ tenantId: string; operationId: string }];
});

afterAll(() => app?.stop());

const sql = <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(text, [...values]);

/** A file that a sweep is to remove. */
async function stored(name: string): Promise<string> {
  const key = `${tenantId}/db-backups/${name}`;
  const path = join(storeFolder(app), key);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, 'x');
  return key;
}

/** A name that no store takes stands for a file that it does not let go. */
const stuck = (name: string): string => `${tenantId}/db-backups/.${name}`;

/** However often it has to look: what it comes upon is chance. */
async function goes(key: string, sweep: Pick<Sweep, 'tick'>): Promise<boolean> {
  for (let round = 0; round < 40 && (await storedFiles(app)).includes(key); round += 1) await sweep.tick();
  return !(await storedFiles(app)).includes(key);
}

describe('files that the store does not let go keep no other one', () => {
  it('of those that a re-encryption discarded', async () => {
    const note = (key: string, at: string): Promise<unknown> => sql('insert into discarded_archive (store_key, tenant_id, operation_id, noted_at) values ($1, $2, $3, $4)', [key, tenantId, operationId, at]);
    for (const name of ['one', 'two']) await note(stuck(name), '2020-01-01');
    const key = await stored('discarded.gz.enc');
    await note(key, '2021-01-01');
    expect(await goes(key, app.nest.get(DiscardedArchives, { strict: false }))).toBe(true);
    expect(await sql('select 1 from discarded_archive')).toHaveLength(2);
  });

  it('of those that came to nothing', async () => {
    const leave = (key: string, at: string): Promise<unknown> =>
      sql(
        `insert into backup (id, tenant_id, operation_id, name, label, trigger, scope, codec, state, encrypted, contents, store_key, bytes_left, created_at, finished_at)
         select gen_random_uuid(), tenant_id, operation_id, 'Failed', label, trigger, scope, codec, 'FAILED', encrypted, contents, $2, true, $3, $3 from backup where id = $1`,
        [backupId, key, at],
      );
    for (const name of ['three', 'four']) await leave(stuck(name), '2020-01-01');
    const key = await stored('failed.gz.enc');
    await leave(key, '2021-01-01');
    expect(await goes(key, app.nest.get(BackupLeftovers, { strict: false }))).toBe(true);
    expect(await sql('select 1 from backup where bytes_left')).toHaveLength(2);
  });

  it('of uploads that have expired', async () => {
    const upload = (key: string, at: string): Promise<unknown> =>
      sql(
        `insert into upload (id, tenant_id, purpose, state, file_name, size_bytes, sha256, token_hash, store_key, protocol, created_by, expires_at)
         values (gen_random_uuid(), $1, 'IMPORT', 'OPEN', 'a.gz', 1, repeat('0', 64), sha256($2::text::bytea), $2, 'TUS', '{}', $3)`,
        [tenantId, key, at],
      );
    for (const name of ['five', 'six']) await upload(stuck(name), '2020-01-01');
    const key = await stored('imported_upload');
    await upload(key, '2021-01-01');
    expect(await goes(key, app.nest.get(UploadExpiry, { strict: false }))).toBe(true);
    expect(await sql('select 1 from upload')).toHaveLength(2);
  });
});
