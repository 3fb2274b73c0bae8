import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '../../libs/errors/index.ts';
import { BackupRunner } from '../../src/backups/backup-runner.ts';
import type { BackupWork } from '../../src/backups/backup-work.ts';
import { BackupEntity } from '../../src/backups/backup.entity.ts';
import { OperationWorker } from '../../src/operations/operation-worker.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { TenantsService } from '../../src/tenants/tenants.service.ts';
import { smallPayload } from '../support/archives.ts';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { ended, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';
import { uploadFile } from '../support/upload-calls.ts';

let api: TestApp;
let worker: TestApp;
let admin: GraphqlClient;
let isWorking = true;

beforeAll(async () => {
  const databaseUrl = await testDatabaseUrl();
  api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
  worker = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: api.config.dataDir } });
  admin = await api.loginAsAdmin();
});

afterAll(async () => {
  if (isWorking) await worker?.stop();
  await api?.stop();
});

const sql = <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> => api.nest.get(DataSource).query(text, [...values]);
const uuid = (id: string): string => parseGlobalId(id)!.uuid;

describe('a worker that does not know that another one has its operation', () => {
  it('leaves alone what the other one has backed up under the same name', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => seedShop(db, 20));
    const { id } = await takeBackup(admin, tenant.id);
    const scope = { tenantId: uuid(tenant.id) };
    const manager = worker.nest.get(DataSource).manager;
    const backup = await manager.findOneByOrFail(BackupEntity, { id: uuid(id) });
    const session = await worker.nest.get(TenantsService, { strict: false }).openTarget(scope);
    // Whatever it does next fails, and not of its lease.
    await session.close();
    const fail = (fenced: BackupWork['fenced']): Promise<unknown> =>
      worker.nest.get(BackupRunner, { strict: false }).run(
        { ...scope, id: backup.operationId!, signal: new AbortController().signal, enter: () => Promise.resolve(), report: () => undefined, log: () => undefined, faultPoint: () => Promise.resolve(), fenced },
        backup,
        { session },
      );
    await expect(fail((work: (inside: EntityManager) => Promise<never>) => work(manager))).rejects.toThrow();
    expect(await storedFiles(api)).toContain(backup.storeKey);

    // The other one is not through yet.
    await sql(`update backup set state = 'RUNNING' where id = $1`, [backup.id]);
    let asked = 0;
    await expect(fail((work: (inside: EntityManager) => Promise<never>) => (++asked > 1 ? Promise.reject(new AppError('LEASE_LOST', 'The lease on the operation was lost')) : work(manager)))).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(await storedFiles(api)).toContain(backup.storeKey);
  });

  it('does not put its file in the place of the other one\'s', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => seedShop(db, 20));
    const { id } = await takeBackup(admin, tenant.id);
    const scope = { tenantId: uuid(tenant.id) };
    const manager = worker.nest.get(DataSource).manager;
    const backup = await manager.findOneByOrFail(BackupEntity, { id: uuid(id) });
    const path = join(storeFolder(api), backup.storeKey!);
    const before = await readFile(path);
    await sql(`update backup set state = 'RUNNING' where id = $1`, [backup.id]);
    const session = await worker.nest.get(TenantsService, { strict: false }).openTarget(scope);
    let asked = 0;
    const fenced = (work: (inside: EntityManager) => Promise<never>): Promise<never> => (++asked > 1 ? Promise.reject(new AppError('LEASE_LOST', 'The lease on the operation was lost')) : work(manager));
    const late: BackupWork = { ...scope, id: backup.operationId!, signal: new AbortController().signal, enter: () => Promise.resolve(), report: () => undefined, log: () => undefined, faultPoint: () => Promise.resolve(), fenced };
    await expect(worker.nest.get(BackupRunner, { strict: false }).run(late, backup, { session })).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await session.close();
    expect((await readFile(path)).equals(before)).toBe(true);
  });

  it('leaves alone the file of an import that was canceled there and finished here', async () => {
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    let count = 0;
    worker.at('import.verify', async () => {
      if (++count > 1) return;
      reached.resolve();
      await gate.promise;
    });
    const tenant = await createTestTenant(admin);
    const { backup, operation } = await uploadFile(admin, tenant.id, 'a.gz', gzipSync(smallPayload().payload), { purpose: 'IMPORT' });
    await reached.promise;
    await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: operation!.id } });
    await sql(`update operation set lease_until = clock_timestamp() - interval '1 second' where id = $1`, [uuid(operation!.id)]);
    await worker.nest.get(OperationWorker, { strict: false }).sweep();
    expect(await ended(admin, operation!.id)).toMatchObject({ state: 'COMPLETED', backup: { state: 'COMPLETED', usable: true } });
    gate.resolve();
    // Only when it has come to its end.
    await worker.stop();
    isWorking = false;
    const [row] = await sql<{ store_key: string }>('select store_key from backup where id = $1', [uuid(backup!.id)]);
    expect(await storedFiles(api)).toContain(row!.store_key);
  });
});
