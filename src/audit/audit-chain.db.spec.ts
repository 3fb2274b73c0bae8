import { randomUUID } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource, MigrationExecutor } from 'typeorm';
import { testDatabaseUrl } from '../../test/support/servers.ts';
import { run } from '../admin/run.js';
import { AppConfig } from '../config/app-config.js';
import { dataSourceOptions, openDataSource } from '../platform/database/data-source.js';
import { AuditEventEntity } from './audit-event.entity.js';
import { AuditRetention } from './audit-retention.js';
import { AuditService } from './audit.service.js';

let url: string;
let dataSource: DataSource;
let audit: AuditService;
const tenants: string[] = [];

const makeTenant = async (on: DataSource): Promise<string> => {
  const id = randomUUID();
  await on.query(
    `insert into tenant (id, slug, name, environment, engine, time_zone, target_cipher, target_deployment, target_database) values ($1, $2, 'T', 'SANDBOX', 'MONGODB', 'UTC', '\\x00', $2, 'db')`,
    [id, `t-${id}`],
  );
  return id;
};

beforeAll(async () => {
  url = await testDatabaseUrl();
  dataSource = await openDataSource({ ...dataSourceOptions(url), entities: [AuditEventEntity] });
  audit = new AuditService(dataSource);
  tenants.push(await makeTenant(dataSource), await makeTenant(dataSource));
});
afterAll(() => dataSource.destroy());

const environment = (databaseUrl: string) => ({ NODE_ENV: 'test', DATABASE_URL: databaseUrl, HOLDFAST_SECRET_KEY: Buffer.alloc(32, 7).toString('base64') });

/** What `holdfast-admin audit-verify` says and exits with. */
async function verify(...args: string[]): Promise<{ readonly code: number; readonly text: string }> {
  const lines: string[] = [];
  const code = await run(['audit-verify', ...args], () => AppConfig.from(environment(url)), { print: (line) => lines.push(line), complain: (line) => lines.push(line) });
  return { code, text: lines.join('\n') };
}

const record = (tenantId: string | null, n: number) =>
  audit.record({ action: 'test.done', tenantId, actor: { id: 'account:1', kind: 'ACCOUNT', email: 'ä@x.test', name: null }, address: '::1', subject: { type: 'Backup', id: 'b' }, detail: { n, half: 0.5, text: 'naïve, "quoted"\n🚲', none: null, yes: true } });

/** Changes what the triggers refuse to, and puts it back. */
async function tamper<T>(change: string, work: () => Promise<T>): Promise<T> {
  await dataSource.query('create table saved as select * from audit_event; create table saved_chain as select * from audit_chain');
  await dataSource.query(`alter table audit_event disable trigger all; alter table audit_chain disable trigger all; ${change}; alter table audit_event enable trigger all; alter table audit_chain enable trigger all`);
  try {
    return await work();
  } finally {
    await dataSource.query(
      `alter table audit_event disable trigger all; alter table audit_chain disable trigger all;
       delete from audit_event; insert into audit_event select * from saved; drop table saved; delete from audit_chain; insert into audit_chain select * from saved_chain; drop table saved_chain;
       alter table audit_event enable trigger all; alter table audit_chain enable trigger all`,
    );
  }
}

it('makes one chain of a tenant of what many write at once, and leaves no gap where a transaction is rolled back', async () => {
  const writes = Array.from({ length: 60 }, (_, n) =>
    n % 10 === 9
      ? dataSource.transaction(async (manager) => {
          await audit.record({ action: 'test.undone', tenantId: tenants[0] ?? null, actor: null }, manager);
          throw new Error('rolled back');
        }).catch(() => undefined)
      : record(n % 3 === 0 ? null : (tenants[n % 2] ?? null), n),
  );
  await Promise.all(writes);
  const { code, text } = await verify();
  expect(text.split('\n')).toHaveLength(3);
  expect(text.match(/: good, \d+ events/g)).toHaveLength(3);
  expect(code).toBe(0);
  const [{ most, count }]: [{ most: string; count: string }] = await dataSource.query('select max(sequence) as most, count(*) from audit_event where tenant_id = $1', [tenants[1]]);
  expect(most).toBe(count);
});

it('does not let transactions that record in opposite order wait for each other', async () => {
  const cross = (first: number, second: number) =>
    dataSource.transaction(async (manager) => {
      for (const n of [first, second]) await audit.record({ action: 'test.crossed', tenantId: tenants[n] ?? null, actor: null }, manager);
    });
  await Promise.all(Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? cross(0, 1) : cross(1, 0))));
  expect((await verify()).code).toBe(0);
});

describe('names the first event that is not as it was', () => {
  const own = () => `tenant_id = '${tenants[0]}'`;
  it.each([
    ['a changed detail', () => `update audit_event set detail = detail || '{"n":-1}' where ${own()} and sequence = 4`, /BROKEN at event 4 \(.*It was changed/],
    ['another actor', () => `update audit_event set actor = null where ${own()} and sequence = 7`, /BROKEN at event 7 /],
    ['another time', () => `update audit_event set at = at + interval '1 second' where ${own()} and sequence = 2`, /BROKEN at event 2 /],
    ['a deleted event', () => `delete from audit_event where ${own()} and sequence = 3`, /BROKEN at event 4 \(.*Event 3 is missing/],
    ['a deleted beginning', () => `delete from audit_event where ${own()} and sequence < 3`, /Event 1 is missing/],
    ['a deleted end', () => `delete from audit_event where ${own()} and sequence > 5`, /BROKEN at event 6: Event 6 and those after it are missing/],
    ['two events that changed places', () => `update audit_event set sequence = -sequence where ${own()} and sequence in (5, 6); update audit_event set sequence = 11 + sequence where ${own()} and sequence < 0`, /BROKEN at event 5 \(.*does not follow/],
    ['an event that was slipped in', () => `insert into audit_event (id, tenant_id, action, outcome) values (gen_random_uuid(), '${tenants[0]}', 'x', 'OK')`, /It was written past the chain/],
    ['a beginning that was removed without a word', () => `update audit_chain set anchor_sequence = 2, anchor_hash = (select hash from audit_event where ${own()} and sequence = 2) where chain = '${tenants[0]}'; delete from audit_event where ${own()} and sequence <= 2`, /no event tells of it/],
    ['a chain that was forgotten', () => `delete from audit_chain where chain = '${tenants[0]}'`, /BROKEN/],
  ])('%s', async (_name, change, message) => {
    const { code, text } = await tamper(change(), () => verify());
    expect(text).toMatch(message);
    expect(text.match(/BROKEN/g)).toHaveLength(1);
    expect(code).toBe(1);
    expect((await verify()).code).toBe(0);
  });

  it('a chain that was made anew as a whole, against what an earlier verification printed', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'holdfast-audit-')), 'heads.json');
    await writeFile(file, (await verify('--json')).text);
    await record(tenants[0] ?? null, 99);
    expect((await verify('--against', file)).code).toBe(0);
    const anew = `update audit_event set detail = '{}' where ${own()} and sequence = 1; update audit_event set sequence = null, previous_hash = null, hash = null where ${own()};
      delete from audit_chain where chain = '${tenants[0]}'; select audit_event_append(id, tenant_id) from (select id, tenant_id from audit_event where ${own()} order by at, id) e`;
    await tamper(anew, async () => {
      expect(await verify()).toMatchObject({ code: 0 });
      expect(await verify('--against', file)).toMatchObject({ code: 1, text: expect.stringContaining('not the event that an earlier verification saw') });
    });
    await tamper(`delete from audit_event where ${own()}; delete from audit_chain where chain = '${tenants[0]}'`, async () =>
      expect(await verify('--against', file)).toMatchObject({ code: 1, text: expect.stringContaining('The whole chain is gone') }),
    );
  });
});

it('removes what is old enough as a whole beginning, tells of it, and verifies the rest', async () => {
  const retention = new AuditRetention(AppConfig.from({ ...environment(url), HOLDFAST_AUDIT_RETENTION_YEARS: '2' }), dataSource, audit);
  expect(await retention.prune()).toBe(0);
  const aged = `create or replace function clock_back(uuid, int) returns void language sql as $$ update audit_event set at = at - interval '3 years' where tenant_id = $1 and sequence <= $2 $$;
    select clock_back('${tenants[1]}', 5); update audit_event set sequence = null, previous_hash = null, hash = null where tenant_id = '${tenants[1]}'; delete from audit_chain where chain = '${tenants[1]}';
    select audit_event_append(id, tenant_id) from (select id, tenant_id from audit_event where tenant_id = '${tenants[1]}' order by at, id) e`;
  await tamper(aged, async () => {
    expect((await verify()).code).toBe(0);
    const removed = await Promise.all([retention.prune(), retention.prune()]);
    expect(removed[0] + removed[1]).toBe(5);
    const { code, text } = await verify();
    expect(text).toContain('(5 older ones removed)');
    expect(code).toBe(0);
    await expect(dataSource.query('delete from audit_event where tenant_id = $1 and sequence = 6', [tenants[1]])).rejects.toThrow('append only');
  });
  await expect(dataSource.query('truncate audit_event')).rejects.toThrow('append only');
  await expect(dataSource.query('delete from audit_chain')).rejects.toThrow('grows only');
});

it('chains the events that were there before', async () => {
  const before = await new DataSource({ ...dataSourceOptions(await testDatabaseUrl()) }).initialize();
  try {
    const executor = new MigrationExecutor(before);
    await executor.executePendingMigrations();
    for (;;) {
      const [last]: { name: string }[] = await before.query('select name from migration order by timestamp desc limit 1');
      await executor.undoLastMigration();
      if (last?.name === 'AuditChain1763780000000') break;
    }
    const tenant = await makeTenant(before);
    for (const id of [tenant, tenant, null]) await before.query(`insert into audit_event (id, tenant_id, action, outcome) values (gen_random_uuid(), $1, 'old', 'OK')`, [id]);
    await new MigrationExecutor(before).executePendingMigrations();
    url = String('url' in before.options ? before.options.url : '');
    const { code, text } = await verify();
    expect(text.match(/: good, [12] events/g)).toHaveLength(2);
    expect(code).toBe(0);
  } finally {
    await before.destroy();
  }
});

it('says how it is used, and what is wrong with the configuration', async () => {
  expect(await verify('--nonsense')).toMatchObject({ code: 2 });
  const lines: string[] = [];
  const output = { print: (line: string) => lines.push(line), complain: (line: string) => lines.push(line) };
  expect(await run(['no-such'], () => AppConfig.from({}), output)).toBe(2);
  expect(await run(['--help'], () => AppConfig.from({}), output)).toBe(0);
  expect(await run(['audit-verify'], () => AppConfig.from({}), output)).toBe(2);
  expect(lines.join('\n')).toContain('audit-verify [--json] [--against <file>]');
  expect(lines.join('\n')).toContain('DATABASE_URL');
});
