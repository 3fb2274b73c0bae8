import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../../test/support/app.js';
import type { GraphqlClient } from '../../test/support/graphql-client.js';
import { ScriptedHandler, untilAborted } from '../../test/support/operation-process.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId, toGlobalId } from '../platform/graphql/global-id.js';
import type { JsonObject } from './operation-handler.js';
import { OperationHandlers } from './operation-handlers.js';
import { OperationsService } from './operations.service.js';

interface State {
  readonly id: string;
  readonly state: string;
  readonly revision: number;
  readonly cancelable: boolean;
  readonly progress: { readonly percent: number | null };
}

const fields = 'id kind state phase revision cancelable progress { percent bytesDone bytesTotal itemsDone etaMs } steps { phase state } failure { code message hints retryable }';

describe('operations over GraphQL', () => {
  let app: TestApp;
  let admin: GraphqlClient;
  let tenant: TestTenant;
  let other: TestTenant;
  let gate = Promise.withResolvers<void>();
  const handler = new ScriptedHandler(
    {
      run: async (context) => {
        await context.enter('WORK');
        context.log('Working');
        context.report({ bytesDone: 3_000_000_000, bytesTotal: 6_000_000_000, itemsDone: 1, itemsTotal: 2, current: 'orders' });
        if (context.input['forever'] === true) return untilAborted(context.signal);
        await gate.promise;
        return {};
      },
    },
    { kind: 'RECONCILE', phases: ['WORK'] },
  );

  beforeAll(async () => {
    app = await startTestApp();
    app.nest.get(OperationHandlers).register(handler);
    admin = await app.loginAsAdmin();
    [tenant, other] = [await createTestTenant(admin), await createTestTenant(admin)];
  });
  afterAll(() => app.stop());

  async function begin(input: JsonObject = {}): Promise<string> {
    gate = Promise.withResolvers<void>();
    const start = { handler, tenantId: fromGlobalId('Tenant', tenant.id), input, startedBy: { kind: 'SYSTEM', name: 'a schedule' }, actorId: 'test', idempotencyKey: null, idempotencyInput: {} };
    const { operation } = await runInTransaction(app.nest.get(DataSource), (manager) => app.nest.get(OperationsService).start(manager, start));
    return toGlobalId('Operation', operation.id);
  }

  const watch = (client: GraphqlClient, id: string) => client.subscribe<{ operationUpdated: State }>(`subscription ($id: ID!) { operationUpdated(id: $id) { ${fields} } }`, { id });

  it('are watched from the first state to the last, and then read', async () => {
    const id = await begin();
    const seen: State[] = [];
    for await (const { data } of watch(admin, id)) {
      if (data == null) throw new Error('No data');
      seen.push(data.operationUpdated);
      if (data.operationUpdated.progress.percent === 50) gate.resolve();
    }
    expect(seen.at(-1)).toMatchObject({ state: 'COMPLETED', cancelable: false, progress: { percent: 100 } });
    expect(seen.some(({ cancelable }) => cancelable)).toBe(true);
    const { operation, node } = await admin.run<{ operation: Record<string, unknown>; node: unknown }>(
      `query ($id: ID!) { operation(id: $id) { ${fields} startedBy { kind name } tenant { id } log { level message } result { __typename } createdAt startedAt finishedAt } node(id: $id) { __typename id } }`,
      { id },
    );
    expect(operation).toMatchObject({
      id, kind: 'RECONCILE', state: 'COMPLETED', tenant: { id: tenant.id }, log: [{ level: 'INFO', message: 'Working' }], startedBy: { kind: 'SYSTEM', name: 'a schedule' },
      result: null, failure: null, progress: { percent: 100, bytesDone: '3000000000', bytesTotal: '6000000000' }, steps: [{ phase: 'WORK', state: 'COMPLETED' }],
    });
    expect(node).toEqual({ __typename: 'Operation', id });
    const again: unknown[] = [];
    for await (const answer of watch(admin, id)) again.push(answer);
    expect(again).toHaveLength(1);
  });

  it('are canceled by whoever may start them, and by nobody else', async () => {
    const [operator, viewer] = [await createTestMember(app, admin, tenant.id, 'OPERATOR'), await createTestMember(app, admin, tenant.id, 'VIEWER')];
    const id = await begin({ forever: true });
    const cancel = 'mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { operation { id state cancelable } userErrors { code message field hint } } }';
    const input = { input: { operationId: id } };
    expect(await viewer.codeOf(cancel, input)).toBe('FORBIDDEN');
    const ended = (async () => {
      const states: string[] = [];
      for await (const { data } of watch(viewer, id)) states.push(data?.operationUpdated.state ?? 'no data');
      return states.at(-1);
    })();
    expect(await operator.run(cancel, input)).toMatchObject({ operationCancel: { operation: { id, cancelable: false }, userErrors: [] } });
    expect(await ended).toBe('CANCELED');
    expect(await operator.run(cancel, input)).toMatchObject({ operationCancel: { operation: null, userErrors: [{ code: 'NOT_CANCELABLE', message: 'The operation has already ended' }] } });
    const { operation } = await viewer.run<{ operation: unknown }>(`query ($id: ID!) { operation(id: $id) { ${fields} } }`, { id });
    expect(operation).toMatchObject({ failure: { code: 'CANCELED', hints: [expect.any(String)], retryable: false } });
  });

  it('are listed with their tenant, page by page and by filter', async () => {
    for (let n = 0; n < 3; n++) {
      const id = await begin();
      gate.resolve();
      for await (const answer of watch(admin, id)) void answer;
    }
    interface Page {
      tenant: { operations: { totalCount: number; pageInfo: { hasNextPage: boolean; endCursor: string | null }; edges: { node: { id: string; state: string; createdAt: string } }[] } };
    }
    const list = (variables: Record<string, unknown>) =>
      admin
        .run<Page>(
          `query ($id: ID!, $first: Int, $after: String, $filter: OperationFilter) { tenant(id: $id) { operations(first: $first, after: $after, filter: $filter) {
             totalCount pageInfo { hasNextPage endCursor } edges { node { id state createdAt } } } } }`,
          { id: tenant.id, ...variables },
        )
        .then((page) => page.tenant.operations);
    const first = await list({ first: 2, filter: { states: ['COMPLETED'] } });
    const second = await list({ first: 2, filter: { states: ['COMPLETED'] }, after: first.pageInfo.endCursor });
    const all = [...first.edges, ...second.edges].map(({ node }) => node);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(all.map(({ createdAt }) => createdAt)).toEqual(all.map(({ createdAt }) => createdAt).sort().reverse());
    expect(first.totalCount).toBe(4);
    expect((await list({ filter: { states: ['CANCELED'], kinds: ['RECONCILE'] } })).totalCount).toBe(1);
    expect((await list({ filter: { kinds: ['RESTORE'] } })).totalCount).toBe(0);
  });

  it('of another tenant are answered like ones that do not exist', async () => {
    const id = await begin({ forever: true });
    const stranger = await createTestMember(app, admin, other.id, 'OWNER');
    const unknown = toGlobalId('Operation', '7d444840-9dc0-41d1-b245-5ffdce74fad2');
    const cancel = 'mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }';
    const answers = async (asked: string) => [
      await stranger.send('query ($id: ID!) { operation(id: $id) { id } }', { id: asked }),
      await stranger.send(cancel, { input: { operationId: asked } }),
      await firstAnswer(stranger, 'subscription ($id: ID!) { operationUpdated(id: $id) { id } }', { id: asked }),
    ];
    expect(await answers(id)).toEqual(await answers(unknown));
    expect(await stranger.codeOf('query ($id: ID!) { operation(id: $id) { id } }', { id })).toBe('NOT_FOUND');
    expect(await firstAnswer(stranger, 'subscription ($id: ID!) { tenantActivity(tenantId: $id) { id } }', { id: tenant.id })).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
    const { operationCancel } = await admin.run<{ operationCancel: { userErrors: unknown[] } }>(cancel, { input: { operationId: id } });
    expect(operationCancel.userErrors).toEqual([]);
    // Its place is free for the next test once it has ended.
    for await (const answer of watch(admin, id)) void answer;
  });

  it('show up in the activity of their tenant', async () => {
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const activity = owner.subscribe<{ tenantActivity: State }>('subscription ($id: ID!) { tenantActivity(tenantId: $id) { id state revision cancelable progress { percent } } }', { id: tenant.id });
    const newest = await activity.next();
    expect(newest.value?.data?.tenantActivity.id).toEqual(expect.any(String));
    const id = await begin();
    gate.resolve();
    const seen: State[] = [];
    for await (const { data } of activity) {
      if (data == null) throw new Error('No data');
      if (data.tenantActivity.id === id) seen.push(data.tenantActivity);
      if (seen.at(-1)?.state === 'COMPLETED') break;
    }
    expect(seen.at(-1)).toMatchObject({ id, state: 'COMPLETED' });
  });

  it('are ready only while queue and storage are', async () => {
    const readiness = (await (await fetch(`${app.url}/readyz`)).json());
    expect(readiness).toMatchObject({ checks: { queue: { state: 'ok' }, storage: { state: 'ok' }, events: { state: 'ok' } } });
  });
});

/** The first answer of a subscription, or what it was refused with. */
async function firstAnswer(client: GraphqlClient, query: string, variables: Record<string, unknown>): Promise<unknown> {
  const subscription = client.subscribe(query, variables);
  try {
    return (await subscription.next()).value;
  } catch (error) {
    return error;
  } finally {
    await subscription.return?.();
  }
}
