import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, seedShop, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
}

interface Export {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly ReceivedSpan[] }[] }[];
}

const spans: ReceivedSpan[] = [];
const collector = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (request.url === '/v1/traces') {
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Export;
      spans.push(...body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
});

const lines: Record<string, unknown>[] = [];
let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
beforeAll(async () => {
  await once(collector.listen(0, '127.0.0.1'), 'listening');
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/`;
  app = await startTestApp({ env: { HOLDFAST_OTEL_ENDPOINT: endpoint, HOLDFAST_LOG_LEVEL: 'debug' }, onLogLine: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) });
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 50));
});
afterAll(() => {
  collector.closeAllConnections();
  collector.close();
});

it('follows a request into the operation that it started and the phases of that, in spans and in log lines', async () => {
  const traceId = 'a1'.repeat(16);
  const response = await fetch(`${app.url}/graphql?secret=hunter2`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${admin.accessToken}`, traceparent: `00-${traceId}-${'b2'.repeat(8)}-01` },
    body: JSON.stringify({ query: 'mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { operation { id } } }', variables: { input: { tenantId: tenant.id } } }),
  });
  const { data } = (await response.json()) as { data: { backupCreate: { operation: { id: string } } } };
  expect((await ended(admin, data.backupCreate.operation.id)).state).toBe('COMPLETED');
  await fetch(`${app.url}/downloads/hunter2`);
  await app.stop();

  const own = spans.filter((span) => span.traceId === traceId);
  const request = own.find(({ name }) => name === 'POST /graphql');
  const operation = own.find(({ name }) => name === 'operation BACKUP');
  expect(request?.parentSpanId).toBe('b2'.repeat(8));
  expect(operation?.parentSpanId).toBe(request?.spanId);
  for (const phase of ['PREPARE', 'DUMP', 'FINALIZE', 'READ_BACK']) expect(own.find(({ name }) => name === phase)?.parentSpanId).toBe(operation?.spanId);
  expect(operation?.attributes).toContainEqual({ key: 'holdfast.operation.state', value: { stringValue: 'COMPLETED' } });
  expect(spans.some(({ name }) => name === 'GET /downloads')).toBe(true);
  expect(JSON.stringify(spans)).not.toContain('hunter2');

  const ofWork = lines.filter(({ kind, traceId: id }) => kind === 'BACKUP' && id === traceId);
  expect(ofWork.length).toBeGreaterThan(0);
  for (const line of ofWork) expect(line).toMatchObject({ operationId: expect.stringMatching(/^[0-9a-f-]{36}$/), tenantId: expect.any(String) });
});
