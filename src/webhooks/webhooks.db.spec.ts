import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { testDatabaseUrl } from '../../test/support/servers.js';
import { dataSourceOptions, openDataSource } from '../platform/database/data-source.js';
import { WebhookDeliveryEntity } from './webhook-delivery.entity.js';
import { WebhookEntity } from './webhook.entity.js';
import { maxAttempts, WebhooksRepository } from './webhooks.repository.js';

let dataSource: DataSource;
let webhooks: WebhooksRepository;
let scope: { readonly tenantId: string };
let webhookId: string;

beforeAll(async () => {
  dataSource = await openDataSource({ ...dataSourceOptions(await testDatabaseUrl()), entities: [WebhookEntity, WebhookDeliveryEntity] });
  webhooks = new WebhooksRepository(dataSource.manager);
});
beforeEach(async () => {
  await dataSource.query('delete from webhook_delivery');
  ({ scope, webhookId } = await webhook());
});
afterAll(() => dataSource.destroy());

async function webhook(): Promise<{ readonly scope: { readonly tenantId: string }; readonly webhookId: string }> {
  const tenantId = randomUUID();
  await dataSource.query(
    `insert into tenant (id, slug, name, environment, engine, time_zone, target_cipher, target_deployment, target_database) values ($1::uuid, 't-' || $1::text, 'T', 'SANDBOX', 'MONGODB', 'UTC', '', $1::text, 'db')`,
    [tenantId],
  );
  const id = randomUUID();
  await webhooks.insert({ id, tenantId, purpose: 'MAINTENANCE', url: 'https://product.example/', secretCipher: Buffer.of(1), required: false }, dataSource.manager);
  return { scope: { tenantId }, webhookId: id };
}

async function queue(event: string, to = { scope, webhookId }): Promise<string> {
  const id = randomUUID();
  await webhooks.insertDelivery({ id, tenantId: to.scope.tenantId, webhookId: to.webhookId, event, body: '{}' }, dataSource.manager);
  return id;
}

const row = (id: string): Promise<WebhookDeliveryEntity> => dataSource.manager.findOneByOrFail(WebhookDeliveryEntity, { id });
const endClaims = (): Promise<unknown> => dataSource.query(`update webhook_delivery set claimed_until = now() - interval '1 second' where claimed_until is not null`);
const makeDue = (): Promise<unknown> => dataSource.query(`update webhook_delivery set next_attempt_at = now()`);

it('are claimed one at a time per webhook, in their order, and not held up by another one', async () => {
  const first = await queue('first');
  await queue('second');
  const other = await webhook();
  const foreign = await queue('first', other);
  const claimed = (await Promise.all([webhooks.claim(8, 30_000), webhooks.claim(8, 30_000)])).flat();
  expect(claimed.map(({ id }) => id).sort()).toEqual([first, foreign].sort());
  expect(await webhooks.claim(8, 30_000)).toEqual([]);
  await webhooks.markDelivered(claimed.find(({ id }) => id === first)!, 200, dataSource.manager);
  expect((await webhooks.claim(8, 30_000)).map(({ event }) => event)).toEqual(['second']);
});

it('are sent again when the process that sent them is gone, whose late word then counts for nothing', async () => {
  await queue('only');
  const [lost] = await webhooks.claim(1, 30_000);
  expect(await webhooks.claim(1, 30_000)).toEqual([]);
  await endClaims();
  const [again] = await webhooks.claim(1, 30_000);
  expect(again).toMatchObject({ id: lost!.id, attempt: 2 });
  await webhooks.markFailed(lost!, 500, 'late');
  expect(await row(lost!.id)).toMatchObject({ state: 'PENDING', lastError: null });
  await webhooks.markDelivered(again!, 204, dataSource.manager);
  expect(await row(lost!.id)).toMatchObject({ state: 'DELIVERED', attempts: 2, responseCode: 204 });
});

it('are tried with growing pauses and given up after the last attempt', async () => {
  const id = await queue('only');
  const pauses: number[] = [];
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    const [claimed] = await webhooks.claim(1, 30_000);
    expect(claimed).toMatchObject({ id, attempt });
    await webhooks.markFailed(claimed!, 503, 'Answered 503');
    if (attempt < maxAttempts) {
      expect(await webhooks.claim(1, 30_000)).toEqual([]);
      pauses.push(Math.round((await webhooks.nextDueInMs())! / 1000));
    }
    await makeDue();
  }
  expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  expect(await row(id)).toMatchObject({ state: 'FAILED', attempts: maxAttempts, responseCode: 503, lastError: 'Answered 503', finishedAt: expect.any(Date) });
  expect(await webhooks.claim(1, 30_000)).toEqual([]);
  expect(await webhooks.nextDueInMs()).toBeNull();
});

it('are tried again although the clock was years ahead when their pause began', async () => {
  const id = await queue('only');
  await dataSource.query(`update webhook_delivery set next_attempt_at = now() + interval '3 years'`);
  expect(await webhooks.claim(1, 30_000)).toMatchObject([{ id }]);
});

it('end with the process that made their last attempt', async () => {
  const id = await queue('only');
  await dataSource.query('update webhook_delivery set attempts = $1', [maxAttempts - 1]);
  await webhooks.claim(1, 30_000);
  await webhooks.failLost();
  expect(await row(id)).toMatchObject({ state: 'PENDING' });
  await endClaims();
  await webhooks.failLost();
  expect(await row(id)).toMatchObject({ state: 'FAILED', lastError: 'The process that sent it stopped' });
});

it('are not sent once they are superseded; what follows waits for one that is under way', async () => {
  const started = await queue('maintenance.started');
  const [underWay] = await webhooks.claim(1, 30_000);
  await webhooks.supersede(scope, 'maintenance.started', dataSource.manager);
  const over = await queue('maintenance.ended');
  expect(await webhooks.claim(8, 30_000)).toEqual([]);
  await webhooks.markFailed(underWay!, 500, 'Answered 500');
  expect((await webhooks.claim(8, 30_000)).map(({ id }) => id)).toEqual([over]);
  expect(await row(started)).toMatchObject({ state: 'SUPERSEDED', lastError: 'Answered 500' });
});

it('go with their webhook', async () => {
  const id = await queue('only');
  await webhooks.delete(scope, webhookId, dataSource.manager);
  expect(await row(id)).toMatchObject({ state: 'FAILED', webhookId: null, lastError: 'The webhook was removed' });
  expect(await webhooks.claim(8, 30_000)).toEqual([]);
});
