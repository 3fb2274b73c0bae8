import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { catalogueStatements } from '../../bench/catalogue.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import type { GraphqlClient, Variables } from '../support/graphql-client.ts';
import { type ListField, listFieldsOf } from '../support/list-queries.ts';
import { type Statement, statementsOf, tablesReadWhole } from '../support/statements.ts';

/** Of each tenant, and of all together: what grows with an installation. Tenants themselves are few, and found by any part of their names. */
const bigTables = ['alert', 'alert_delivery', 'api_key', 'approval', 'audit_event', 'backup', 'backup_copy', 'destination', 'member', 'operation', 'operation_log', 'policy_change', 'restore_plan', 'schedule', 'upload', 'webhook_delivery'];

const ofProvider = new Set(['Query.alerts', 'Query.apiKeys', 'Query.auditEvents', 'Query.notifiers', 'Query.scheduleRequests']);

describe('a catalogue of 1,000 tenants with 20 backups each', () => {
  let app: TestApp;
  let admin: GraphqlClient;
  let member: GraphqlClient;
  let dataSource: DataSource;
  let lists: ListField[];
  let tenantId: string;
  let notifierId: string;

  beforeAll(async () => {
    app = await startTestApp({ env: { HOLDFAST_ROLE: 'api', HOLDFAST_MAX_COST: '1000000', HOLDFAST_MAX_DEPTH: '100', HOLDFAST_MAX_ALIASES: '10000' } });
    admin = await app.loginAsAdmin();
    const somebody = await createTestMember(app, admin, (await createTestTenant(admin)).id, 'OWNER');
    member = somebody;
    dataSource = app.nest.get(DataSource);
    const runner = dataSource.createQueryRunner();
    for (const statement of catalogueStatements) await runner.query(statement);
    // Somebody who sees all of them, by a membership in each.
    await runner.query(
      `insert into member (id, tenant_id, email, role, account_id) select gen_random_uuid(), t.id, a.email, 'OWNER', a.id from tenant t, account a where a.email = $1 and t.slug like 'catalogue-%'`,
      [somebody.email],
    );
    await runner.query('analyze member');
    await runner.release();
    lists = await listFieldsOf(admin);
    const { tenant } = await admin.run<{ tenant: { id: string; notifiers: { edges: { node: { id: string } }[] } } }>('{ tenant(slug: "catalogue-0001") { id notifiers(first: 1) { edges { node { id } } } } }');
    tenantId = tenant.id;
    notifierId = Buffer.from(`Notifier:${String((await dataSource.query(`select notifier_id from alert_delivery where tenant_id = (select id from tenant where slug = 'catalogue-0001') limit 1`))[0].notifier_id)}`).toString('base64url');
  }, 180_000);
  afterAll(() => app.stop());

  interface Listed {
    readonly statements: Statement[];
    readonly items: number;
    readonly cursor: string | null;
  }

  /** The page of the list, with everything that can be asked of its items. */
  async function page(client: GraphqlClient, list: ListField, first: number, more: { readonly after?: string; readonly filter?: string } = {}): Promise<Listed> {
    const args = `first: ${first}${more.after === undefined ? '' : `, after: "${more.after}"`}${more.filter === undefined ? '' : `, filter: ${more.filter}`}`;
    const inner = `list: ${list.field}(${args}) { totalCount pageInfo { endCursor } edges { node { ${list.selection} } } }`;
    const [query, variables]: [string, Variables] =
      list.owner === 'Query' ? [`{ ${inner} }`, {}]
      : list.owner === 'RetentionPreview' ? [`query ($id: ID!) { parent: retentionPreview(input: { tenantId: $id }) { ${inner} } }`, { id: tenantId }]
      : list.owner === 'Viewer' ? [`{ parent: viewer { ${inner} } }`, {}]
      : [`query ($id: ID!) { parent: node(id: $id) { ... on ${list.owner} { ${inner} } } }`, { id: list.owner === 'Tenant' ? tenantId : notifierId }];
    type Found = { pageInfo: { endCursor: string | null }; edges: unknown[] };
    let found: Found | undefined;
    const statements = await statementsOf(dataSource, async () => {
      const answer = await client.run<{ list?: Found; parent?: { list: Found } }>(query, variables);
      found = answer.parent?.list ?? answer.list;
    });
    if (found === undefined) throw new Error('No list');
    return { statements, items: found.edges.length, cursor: found.pageInfo.endCursor };
  }

  async function requireIndexed(name: string, statements: readonly Statement[]): Promise<void> {
    const seen = new Set<string>();
    for (const statement of statements) {
      // To count a whole table is to read it, one way or the other.
      if (seen.has(statement.sql) || /^select count\(1\) as "cnt" from "\w+" "\w+"$/i.test(statement.sql)) continue;
      seen.add(statement.sql);
      const whole = (await tablesReadWhole(dataSource, statement)).filter((table) => bigTables.includes(table));
      expect([name, statement.sql, whole]).toEqual([name, statement.sql, []]);
    }
  }

  const readers = (list: ListField): GraphqlClient[] => (ofProvider.has(list.name) ? [admin] : [admin, member]);

  it('has lists that take no more statements for 100 items than for 10', async () => {
    for (const list of lists) {
      for (const client of readers(list)) {
        const few = await page(client, list, 10);
        const many = await page(client, list, 100);
        expect([list.name, few.items, many.items]).toEqual([list.name, 10, 100]);
        // Rows are read side by side, not all in the same moment, so a statement may come a few times more; one for each row comes ninety times more.
        const before = Map.groupBy(few.statements, ({ sql }) => sql);
        for (const [sql, { length }] of Map.groupBy(many.statements, ({ sql }) => sql)) expect([list.name, sql, length - (before.get(sql)?.length ?? 0) < 30]).toEqual([list.name, sql, true]);
      }
    }
  }, 240_000);

  it('finds every row by an index, on each page and by each filter', async () => {
    const filtered = lists.flatMap((list) => list.filters.map((filter) => `${list.name} ${filter}`));
    expect(filtered).toEqual(expect.arrayContaining(['Query.tenants { text: "some" }', 'Tenant.backups { labels: ["some"] }', 'Tenant.history { user: "some" }', 'Tenant.operations { from: "2026-01-01T00:00:00Z" }']));
    for (const list of lists) {
      for (const client of readers(list)) {
        const first = await page(client, list, 50);
        await requireIndexed(list.name, first.statements);
        await requireIndexed(`${list.name}, next page`, (await page(client, list, 10, { after: first.cursor ?? '' })).statements);
      }
      for (const filter of list.filters) await requireIndexed(`${list.name} ${filter}`, (await page(admin, list, 10, { filter })).statements);
    }
  }, 240_000);
});
