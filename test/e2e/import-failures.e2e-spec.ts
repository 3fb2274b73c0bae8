import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { AppError } from '../../libs/errors/index.ts';
import { UploadExpiry } from '../../src/transfers/upload-expiry.ts';
import { smallPayload } from '../support/archives.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, operationFields, type OperationAnswer } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testDatabaseUrl } from '../support/servers.ts';
import { storedFiles } from '../support/store-faults.ts';
import { type CompletedAnswer, uploadComplete, uploadFile } from '../support/upload-calls.ts';
import { WorkerProcess } from '../support/worker-process.ts';

let databaseUrl: string;
let api: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
let worker: TestApp | null = null;
const bytes = gzipSync(smallPayload().payload);

beforeAll(async () => {
  databaseUrl = await testDatabaseUrl();
  api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
  admin = await api.loginAsAdmin();
  tenant = await createTestTenant(admin);
});

afterAll(async () => {
  await worker?.stop();
  await api?.stop();
});

async function startWorker(): Promise<TestApp> {
  return (worker ??= await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: api.config.dataDir } }));
}

async function begun(): Promise<CompletedAnswer & { readonly operation: { readonly id: string } }> {
  const answer = await uploadFile(admin, tenant.id, 'a.gz', bytes, { purpose: 'IMPORT' });
  if (answer.operation === null) throw new Error(JSON.stringify(answer.userErrors));
  return { ...answer, operation: answer.operation };
}

const read = async (id: string): Promise<OperationAnswer> => (await admin.run<{ operation: OperationAnswer }>(`query ($id: ID!) { operation(id: $id) { ${operationFields} } }`, { id })).operation;
const cancel = (id: string) => admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId: id } });

describe('an import', () => {
  it('is finished by another worker when its own was killed with -9', async () => {
    const { operation } = await begun();
    expect(await WorkerProcess.start({ databaseUrl, dataDir: api.config.dataDir, faultPoints: ['import.verify=kill'], env: { HOLDFAST_PORT: String(randomInt(20_000, 60_000)) } }).exited()).toBe('SIGKILL');
    expect(await read(operation.id)).toMatchObject({ state: 'RUNNING', backup: { state: 'RUNNING', usable: false } });
    await startWorker();
    expect(await ended(admin, operation.id)).toMatchObject({ state: 'COMPLETED', backup: { state: 'COMPLETED', usable: true, documents: '80' } });
  }, 60_000);

  it('that failed of something that passes begins anew without the file being sent again', async () => {
    const worker = await startWorker();
    const heal = worker.at('import.verify', () => Promise.reject(new AppError('STORAGE_UNAVAILABLE', 'The archive store is away')));
    const { upload, operation, backup } = await begun();
    expect(await ended(admin, operation.id)).toMatchObject({ state: 'FAILED', failure: { code: 'STORAGE_UNAVAILABLE' }, backup: { state: 'FAILED', usable: false } });
    heal();
    const [one, two] = await Promise.all([uploadComplete(admin, upload!.id), uploadComplete(admin, upload!.id)]);
    const again = one.operation?.id === operation.id || one.operation === null ? two : one;
    expect(again.backup!.id).not.toBe(backup!.id);
    expect(await ended(admin, again.operation!.id)).toMatchObject({ state: 'COMPLETED', backup: { usable: true } });
    expect(await uploadComplete(admin, upload!.id)).toMatchObject({ operation: { id: again.operation!.id }, backup: { id: again.backup!.id } });
  });

  it('that is canceled leaves nothing, and neither does one that failed when its upload expires', async () => {
    const worker = await startWorker();
    const files = await storedFiles(api);
    const reached = Promise.withResolvers<void>();
    const off = worker.at('import.verify', async (signal) => {
      reached.resolve();
      await once(signal!, 'abort');
    });
    const canceled = await begun();
    await reached.promise;
    await cancel(canceled.operation.id);
    expect(await ended(admin, canceled.operation.id)).toMatchObject({ state: 'CANCELED', backup: { state: 'CANCELED' } });
    off();
    expect(await storedFiles(api)).toEqual(files);

    const heal = worker.at('import.verify', () => Promise.reject(new AppError('STORAGE_UNAVAILABLE', 'The archive store is away')));
    const failed = await begun();
    expect(await ended(admin, failed.operation.id)).toMatchObject({ state: 'FAILED' });
    heal();
    expect((await storedFiles(api)).length).toBe(files.length + 1);
    await api.nest.get(DataSource).query(`update upload set expires_at = now() - interval '1 second'`);
    await (await startWorker()).nest.get(UploadExpiry, { strict: false }).tick();
    // What was imported well stays.
    expect(await storedFiles(api)).toEqual(files);
  });
});
