import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import { graphqlSync, parse } from 'graphql';
import { DataSource } from 'typeorm';
import { givesAllTheSame } from '../../src/platform/graphql/shared-answers.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, idOf, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { statementsOf } from '../support/statements.ts';

const subscribers = 50;
const documents = 60;
const text = 'x'.repeat(10_000);

interface Seen {
  readonly operationUpdated: { readonly revision: number; readonly state: string; readonly tenant: { readonly slug: string }; readonly backup: { readonly state: string } | null };
}

describe('many subscribers of one operation', () => {
  let app: TestApp;
  let admin: GraphqlClient;
  let tenant: TestTenant;

  beforeAll(async () => {
    // Two seconds, so that there is something to see.
    app = await startTestApp({ env: { HOLDFAST_MAX_BYTES_PER_SECOND: String((documents * text.length) / 2) } });
    admin = await app.loginAsAdmin();
    tenant = await createTestTenant(admin);
    await withDatabase(tenant, async (db) => {
      await db.collection('texts').insertMany(Array.from({ length: documents }, () => ({ text })));
    });
  });
  afterAll(() => app.stop());

  it('each see states that grow newer and the end once, by one read for all of them', async () => {
    const id = idOf(await backupCreate(admin, tenant.id));
    const all: Seen['operationUpdated'][][] = Array.from({ length: subscribers }, () => []);
    const begun = all.map(() => Promise.withResolvers<void>());
    const follow = async (seen: Seen['operationUpdated'][], index: number): Promise<void> => {
      await using subscription = admin.subscribe<Seen>('subscription ($id: ID!) { operationUpdated(id: $id) { revision state tenant { slug } backup { state } } }', { id });
      for await (const { data, errors } of subscription) {
        if (!data) throw new Error(JSON.stringify(errors));
        seen.push(data.operationUpdated);
        begun[index]!.resolve();
      }
    };
    const sentSoFar = (): number => all.reduce((sum, seen) => sum + seen.length, 0);
    const followers = Promise.all(all.map(follow));
    // Each subscriber's beginning may cost a read of its own: they come one by one.
    await Promise.race([Promise.all(begun.map(({ promise }) => promise)), followers]);
    const sentBefore = sentSoFar();
    const statements = await statementsOf(app.nest.get(DataSource), () => followers);
    for (const seen of all) {
      const revisions = seen.map(({ revision }) => revision);
      expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
      expect(seen.filter(({ state }) => state === 'COMPLETED')).toEqual([seen.at(-1)]);
      expect(seen.at(-1)).toMatchObject({ tenant: { slug: tenant.slug }, backup: { state: 'COMPLETED' } });
    }
    const sent = sentSoFar() - sentBefore;
    const readBy = (table: string): number => statements.filter(({ sql }) => new RegExp(`FROM "${table}" .*"id" = ANY`, 's').test(sql)).length;
    expect(sent).toBeGreaterThanOrEqual(subscribers);
    for (const table of ['operation', 'backup', 'tenant']) expect([table, readBy(table) < sent / 2]).toEqual([table, true]);
  });

  it('share an answer of plain fields, and none that a resolver has a part in', () => {
    const { schema } = app.nest.get(GraphQLSchemaHost);
    expect(graphqlSync({ schema, source: '{ __schema { queryType { name } } }' })).toEqual({ data: { __schema: { queryType: { name: 'Query' } } } });
    const sameForAll = (fields: string): boolean => givesAllTheSame(schema, parse(`subscription { operationUpdated(id: "1") { ${fields} } }`));
    expect(sameForAll('id kind state phase revision steps { phase state startedAt } progress { percent etaMs } failure { code hints } startedBy { name } result { __typename }')).toBe(true);
    for (const fields of ['tenant { slug }', 'state backup { state }', 'log { message }', 'result { ... on BackupResult { backup { id } } }']) expect([fields, sameForAll(fields)]).toEqual([fields, false]);
  });

  it('each see what they may do themselves, of the same states', async () => {
    const id = idOf(await backupCreate(admin, tenant.id));
    const mayPin = async (client: GraphqlClient): Promise<boolean | undefined> => {
      type Actions = { readonly operationUpdated: { readonly backup: { readonly actions: readonly { readonly permission: string; readonly allowed: boolean }[] } } };
      await using subscription = client.subscribe<Actions>('subscription ($id: ID!) { operationUpdated(id: $id) { state backup { actions { permission allowed } } } }', { id });
      let last: Actions['operationUpdated'] | undefined;
      for await (const { data } of subscription) last = data?.operationUpdated ?? last;
      return last?.backup.actions.find(({ permission }) => permission === 'BACKUP_PIN')?.allowed;
    };
    const readers = await Promise.all([createTestMember(app, admin, tenant.id, 'OWNER'), createTestMember(app, admin, tenant.id, 'VIEWER')]);
    expect(await Promise.all([admin, ...readers].map(mayPin))).toEqual([true, true, false]);
  });
});
