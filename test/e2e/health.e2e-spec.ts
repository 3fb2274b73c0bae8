import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { startPostgres } from '../support/servers.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.stop());

const get = async (url: string) => {
  const response = await fetch(url);
  return { status: response.status, body: (await response.json()) as { status: string; checks?: Record<string, { state: string }> } };
};

it('is alive and ready', async () => {
  expect(await get(`${app.url}/healthz`)).toEqual({ status: 200, body: { status: 'ok' } });
  expect(await get(`${app.url}/readyz`)).toMatchObject({ status: 200, body: { checks: { database: { state: 'ok' } } } });
});

it('is ready without an encryption key, with a warning', async () => {
  const keyless = await startTestApp({ env: { BACKUP_ENCRYPTION_KEY: '' } });
  try {
    expect(await get(`${keyless.url}/readyz`)).toMatchObject({ status: 200, body: { status: 'warning' } });
  } finally {
    await keyless.stop();
  }
});

it('stays alive but is not ready while its database is away, and comes back', async () => {
  const postgres = await startPostgres();
  const own = await startTestApp({ databaseUrl: await postgres.databaseUrl() });
  try {
    await postgres.kill();
    expect(await get(`${own.url}/healthz`)).toMatchObject({ status: 200 });
    expect(await get(`${own.url}/readyz`)).toMatchObject({ status: 503, body: { checks: { database: { state: 'down' } } } });
    await postgres.restart();
    expect(await get(`${own.url}/readyz`)).toMatchObject({ body: { checks: { database: { state: 'ok' } } } });
  } finally {
    await own.stop();
    await postgres.stop();
  }
});

it('answers an address that does not exist as JSON, without naming the framework', async () => {
  const response = await fetch(`${app.url}/no/such/address`);
  expect(response.status).toBe(404);
  expect(response.headers.get('x-powered-by')).toBeNull();
  expect(await response.json()).toMatchObject({ error: { code: 'NOT_FOUND' } });
});

it('answers for a process that is only a worker, which serves nothing else', async () => {
  const worker = await startTestApp({ env: { HOLDFAST_ROLE: 'worker' } });
  try {
    expect((await get(`${worker.url}/readyz`)).status).toBe(200);
    expect((await fetch(`${worker.url}/graphql`, { method: 'POST' })).status).toBe(404);
  } finally {
    await worker.stop();
  }
});
