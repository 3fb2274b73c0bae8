import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { freePort } from '../../scripts/servers/server-process.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, operationFields, type OperationAnswer, restore, seedShop, watch, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { storedFiles } from '../support/store-faults.ts';
import { WorkerProcess } from '../support/worker-process.ts';

let api: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
beforeAll(async () => {
  api = await startTestApp({ env: { HOLDFAST_ROLE: 'api' } });
  admin = await api.loginAsAdmin();
  tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 200));
});
afterAll(() => api.stop());

/** A worker that waits in the middle of a backup until it gets SIGCONT. */
async function pausedWorker(graceSeconds: number): Promise<{ readonly worker: WorkerProcess; readonly url: string; readonly operationId: string }> {
  const port = await freePort();
  const worker = WorkerProcess.start({
    databaseUrl: api.config.databaseUrl,
    dataDir: api.config.dataDir,
    faultPoints: ['backup.read-back=pause'],
    env: { HOLDFAST_HOST: '127.0.0.1', HOLDFAST_PORT: String(port), HOLDFAST_SHUTDOWN_GRACE_SECONDS: String(graceSeconds) },
  });
  const operationId = idOf(await backupCreate(admin, tenant.id));
  await worker.reached(['backup.read-back']);
  return { worker, url: `http://127.0.0.1:${port}`, operationId };
}

const read = async (id: string): Promise<OperationAnswer> => (await admin.run<{ operation: OperationAnswer }>(`query ($id: ID!) { operation(id: $id) { ${operationFields} } }`, { id })).operation;

async function untilNotReady(url: string): Promise<unknown> {
  for (;;) {
    const response = await fetch(`${url}/readyz`);
    if (response.status === 503) return response.json();
    await response.arrayBuffer();
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

it('says at once that it is not ready, and finishes a running backup', async () => {
  const { worker, url, operationId } = await pausedWorker(60);
  worker.signal('SIGTERM');
  expect(await untilNotReady(url)).toMatchObject({ status: 'down', checks: { shutdown: { state: 'down' }, database: { state: 'ok' } } });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  worker.signal('SIGCONT');
  expect(await worker.exited()).toBe('SIGTERM');
  expect(await read(operationId)).toMatchObject({ state: 'COMPLETED', backup: { state: 'COMPLETED', usable: true } });
});

it('hands a backup that it may not finish over to another worker, under the same ids and with nothing left of the first try', async () => {
  const { worker, url, operationId } = await pausedWorker(0);
  const seen = watch(admin, operationId);
  worker.signal('SIGTERM');
  await untilNotReady(url);
  worker.signal('SIGCONT');
  expect(await worker.exited()).toBe('SIGTERM');
  expect(await read(operationId)).toMatchObject({ state: 'QUEUED', phase: 'QUEUED', failure: null, backup: { state: 'RUNNING', usable: false } });
  const before = await storedFiles(api);
  const next = await startTestApp({ databaseUrl: api.config.databaseUrl, env: { HOLDFAST_ROLE: 'worker', HOLDFAST_DATA_DIR: api.config.dataDir } });
  try {
    const operation = await ended(admin, operationId);
    expect(operation).toMatchObject({ state: 'COMPLETED', backup: { state: 'COMPLETED', usable: true } });
    const after = await storedFiles(api);
    expect(after.length).toBe(before.length + 1);
    const percents = (await seen).map(({ progress }) => progress.percent ?? 0);
    expect(percents).toEqual([...percents].sort((a, b) => a - b));
    expect((await restore(admin, tenant.id, operation.backup?.id ?? '')).state).toBe('COMPLETED');
  } finally {
    await next.stop();
  }
});

it('goes on answering for a moment without keeping connections, and tells the subscribers that it goes away', async () => {
  const own = await startTestApp({ databaseUrl: api.config.databaseUrl, env: { HOLDFAST_ROLE: 'api', HOLDFAST_SHUTDOWN_GRACE_SECONDS: '20', HOLDFAST_SHUTDOWN_DRAIN_SECONDS: '1' } });
  const client = await own.loginAsAdmin();
  const socket = new WebSocket(`${own.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const closed = new Promise<number>((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)));
  const acknowledged = new Promise((resolve) => socket.addEventListener('message', resolve, { once: true }));
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${client.accessToken}` } }));
  await acknowledged;
  const stopping = own.stop();
  expect((await fetch(`${own.url}/readyz`)).status).toBe(503);
  // It is still answered, and the connection is not kept.
  const late = await fetch(`${own.url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${client.accessToken}` }, body: JSON.stringify({ query: '{ viewer { id } }' }) });
  expect(late.status).toBe(200);
  expect(late.headers.get('connection')).toBe('close');
  await stopping;
  expect(await closed).toBe(1001);
  await expect(fetch(`${own.url}/healthz`)).rejects.toThrow();
});
