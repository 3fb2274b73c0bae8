import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, testAdmin, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, backupCreate, ended, idOf, restore, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { uploadCreate } from '../support/upload-calls.ts';

interface Entry {
  readonly at: string;
  readonly kind: string;
  readonly state: string;
  readonly name: string | null;
  readonly label: string | null;
  readonly fileName: string | null;
  readonly size: string | null;
  readonly notes: string | null;
  readonly user: { readonly email: string | null } | null;
  readonly failureCode: string | null;
  readonly backupId: string | null;
}

interface History {
  readonly totalCount: number;
  readonly edges: readonly { readonly node: Entry }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

let app: TestApp;
let admin: GraphqlClient;
let operator: GraphqlClient & { readonly email: string };
let tenant: TestTenant;
let first: BackupAnswer;
const dangerous = '=HYPERLINK("http://evil.example","x"), "Q1",\nÜbersicht';

async function history(client: GraphqlClient, filter: Record<string, unknown> | null = null, page: { first?: number; after?: string | null } = {}, id = tenant.id): Promise<History> {
  const answer = await client.run<{ tenant: { history: History } }>(
    `query ($id: ID!, $filter: HistoryFilter, $first: Int, $after: String) { tenant(id: $id) { history(filter: $filter, first: $first, after: $after) {
      totalCount pageInfo { hasNextPage endCursor } edges { node { at kind state name label fileName size notes user { email } failureCode backupId } } } } }`,
    { id, filter, first: 100, ...page },
  );
  return answer.tenant.history;
}
const kindsOf = ({ edges }: History) => edges.map(({ node }) => node.kind);

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  tenant = await createTestTenant(admin);
  operator = await createTestMember(app, admin, tenant.id, 'OPERATOR');
  await withDatabase(tenant, (db) => seedShop(db, 50));
  first = await takeBackup(operator, tenant.id, { name: dangerous });
  await admin.run('mutation ($input: BackupUpdateInput!) { backupUpdate(input: $input) { userErrors { code } } }', { input: { backupId: first.id, notes: 'before 100%_of the import' } });
  await restore(admin, tenant.id, first.id);
  await uploadCreate(admin, tenant.id, 'old.archive.gz', Buffer.alloc(10), { purpose: 'IMPORT' });
  const second = await takeBackup(admin, tenant.id);
  await admin.run('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId: first.id, giveUpUndo: true } });
  await withDatabase(tenant, (db) => db.dropDatabase());
  expect(second.state).toBe('COMPLETED');
});
afterAll(() => app.stop());

it('lists backups, restores, uploads and deletions once each, newest first, with who did it and what became of it', async () => {
  const all = await history(operator);
  expect(kindsOf(all)).toEqual(['DELETE', 'BACKUP', 'UPLOAD', 'BACKUP', 'RESTORE', 'BACKUP']);
  const [deletion, later, upload, safety, restored, made] = all.edges.map(({ node }) => node);
  expect(made).toMatchObject({ state: 'DELETED', name: dangerous, label: 'manual', fileName: first.fileName, size: first.size, notes: 'before 100%_of the import', user: { email: operator.email }, backupId: first.id });
  expect(restored).toMatchObject({ state: 'COMPLETED', name: dangerous, fileName: first.fileName, size: first.size, user: { email: testAdmin.email } });
  expect(safety).toMatchObject({ state: 'COMPLETED', label: 'safety' });
  expect(upload).toMatchObject({ state: 'RUNNING', fileName: 'old.archive.gz', size: '10', user: { email: testAdmin.email } });
  expect(later).toMatchObject({ state: 'COMPLETED' });
  expect(deletion).toMatchObject({ state: 'COMPLETED', name: dangerous, size: first.size, user: { email: testAdmin.email } });
  expect(all.totalCount).toBe(6);
});

it('pages without gaps, and filters by kind, state, user, time and text', async () => {
  const seen: string[] = [];
  for (let after: string | null = null; ; ) {
    const page = await history(admin, null, { first: 2, after });
    seen.push(...kindsOf(page));
    after = page.pageInfo.endCursor;
    if (!page.pageInfo.hasNextPage) break;
  }
  expect(seen).toEqual(kindsOf(await history(admin)));
  expect(kindsOf(await history(admin, { kinds: ['RESTORE', 'DELETE'] }))).toEqual(['DELETE', 'RESTORE']);
  expect(kindsOf(await history(admin, { states: ['DELETED', 'RUNNING'] }))).toEqual(['UPLOAD', 'BACKUP']);
  expect((await history(admin, { user: operator.email.toUpperCase() })).totalCount).toBe(1);
  expect((await history(admin, { text: '100%_OF' })).totalCount).toBe(3);
  expect((await history(admin, { text: '100%of' })).totalCount).toBe(0);
  const [newest] = (await history(admin)).edges;
  expect((await history(admin, { to: newest?.node.at })).totalCount).toBe(5);
  expect((await history(admin, { from: newest?.node.at })).totalCount).toBe(1);
});

it('asks the database the same few questions whatever the number of entries', async () => {
  const dataSource = app.nest.get(DataSource);
  const count = async (id: string): Promise<number> => {
    const statements: string[] = [];
    const runner = dataSource.driver as unknown as { createQueryRunner: (...args: unknown[]) => { query: (sql: string, ...rest: unknown[]) => unknown } };
    const original = runner.createQueryRunner.bind(runner);
    runner.createQueryRunner = (...args) => {
      const made = original(...args);
      const query = made.query.bind(made);
      made.query = (sql, ...rest) => {
        statements.push(sql);
        return query(sql, ...rest);
      };
      return made;
    };
    try {
      await history(admin, null, {}, id);
      return statements.length;
    } finally {
      runner.createQueryRunner = original;
    }
  };
  const empty = await createTestTenant(admin);
  expect(await count(tenant.id)).toBe(await count(empty.id));
});

describe('the file', () => {
  const link = async (client: GraphqlClient, input: Record<string, unknown> = {}): Promise<string> => {
    const { historyExport } = await client.run<{ historyExport: { url: string } }>('mutation ($input: HistoryExportInput!) { historyExport(input: $input) { url userErrors { code } } }', { input: { tenantId: tenant.id, ...input } });
    return `${app.url}${new URL(historyExport.url).pathname}`;
  };

  it('is got once by a link, opens as UTF-8, and holds no formula', async () => {
    const url = await link(operator);
    const response = await fetch(url);
    expect(response.headers.get('content-disposition')).toMatch(new RegExp(`^attachment; filename="history_${tenant.slug}_\\d{4}-\\d\\d-\\d\\d\\.csv"$`));
    const bytes = Buffer.from(await response.arrayBuffer());
    expect([...bytes.subarray(0, 3)]).toEqual([0xef, 0xbb, 0xbf]);
    const text = bytes.subarray(3).toString('utf8');
    expect(text.split('\r\n')[0]).toBe('Time,Type,Name,File,Size in bytes,Status,User,Finished,Label,Notes,Failure');
    expect(text).toContain(`"'=HYPERLINK(""http://evil.example"",""x""), ""Q1"",\nÜbersicht"`);
    expect(text).not.toMatch(/(^|[,\n"])[=+@]/);
    expect(text.match(/\r\n/g)).toHaveLength(7);
    expect((await fetch(url)).status).toBe(404);
    expect((await fetch(`${app.url}/exports/nonsense`)).status).toBe(404);
  });

  it('holds what the filter lets through, of its own workspace alone', async () => {
    const text = await (await fetch(await link(admin, { filter: { kinds: ['RESTORE'] } }))).text();
    expect(text.trimEnd().split('\r\n')).toHaveLength(2);
    const other = await createTestTenant(admin);
    const stranger = await createTestMember(app, admin, other.id, 'OWNER');
    expect((await stranger.send('mutation ($input: HistoryExportInput!) { historyExport(input: $input) { url } }', { input: { tenantId: tenant.id } })).errors?.[0]?.extensions?.['code']).toBe('NOT_FOUND');
  });

  it('streams thousands of entries in order', async () => {
    const large = await createTestTenant(admin);
    await app.nest.get(DataSource).query(
      `insert into backup (id, tenant_id, name, label, trigger, scope, codec, state, created_at)
       select gen_random_uuid(), $1, 'Backup ' || n, 'manual', 'MANUAL', 'ALL', 'GZIP', 'FAILED', now() - (n / 3) * interval '1 second' from generate_series(1, 5000) n`,
      [parseGlobalId(large.id)?.uuid ?? randomUUID()],
    );
    const text = await (await fetch(await link(admin, { tenantId: large.id }))).text();
    const lines = text.trimEnd().split('\r\n').slice(1);
    expect(new Set(lines.map((line) => line.split(',')[2])).size).toBe(5000);
    const times = lines.map((line) => line.slice(0, 24));
    expect(times).toEqual([...times].sort().reverse());
  });
});

it('shows why something failed', async () => {
  const poor = await createTestTenant(admin);
  await withDatabase(poor, (db) => seedShop(db, 5));
  const remove = app.at('backup.read-back', () => Promise.reject(new AppError('STORAGE_FULL', 'The disk is full')));
  await ended(admin, idOf(await backupCreate(admin, poor.id))).finally(remove);
  expect((await history(admin, { text: 'disk is' }, {}, poor.id)).edges.map(({ node }) => [node.state, node.failureCode])).toEqual([['FAILED', 'STORAGE_FULL']]);
});
