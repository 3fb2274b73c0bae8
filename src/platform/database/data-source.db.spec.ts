import { describe, expect, it } from '@jest/globals';
import { testDatabaseUrl } from '../../../test/support/servers.ts';
import { dataSourceOptions, openDataSource, runInTransaction, violatedUnique } from './data-source.js';
import { migrations } from './migrations/index.js';

describe('the control plane', () => {
  it('is migrated once by processes that start side by side', async () => {
    const url = await testDatabaseUrl();
    const opened = await Promise.all(Array.from({ length: 4 }, () => openDataSource(dataSourceOptions(url))));
    const rows: { count: number }[] = (await opened[0]?.query('select count(*)::int as count from migration')) ?? [];
    expect(rows[0]?.count).toBe(migrations.length);
    await Promise.all(opened.map((dataSource) => dataSource.destroy()));
  });

  it('rolls a transaction back as a whole, and runs one again that was chosen as the victim of a deadlock', async () => {
    const dataSource = await openDataSource(dataSourceOptions(await testDatabaseUrl()));
    try {
      await dataSource.query('create table pair (id int primary key, n int not null)');
      await dataSource.query('insert into pair values (1, 0), (2, 0)');
      const failing = runInTransaction(dataSource, async (manager) => {
        await manager.query('update pair set n = 9');
        await manager.query('insert into pair values (1, 1)');
      });
      expect(violatedUnique(await failing.catch((error: unknown) => error))).toBe('pair_pkey');

      const both = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
      const cross = (first: number, second: number, mine: PromiseWithResolvers<void>, others: PromiseWithResolvers<void>) =>
        runInTransaction(dataSource, async (manager) => {
          await manager.query('update pair set n = n + 1 where id = $1', [first]);
          mine.resolve();
          await others.promise;
          await manager.query('update pair set n = n + 1 where id = $1', [second]);
        });
      await Promise.all([cross(1, 2, both[0], both[1]), cross(2, 1, both[1], both[0])]);
      expect(await dataSource.query('select n from pair order by id')).toEqual([{ n: 2 }, { n: 2 }]);
    } finally {
      await dataSource.destroy();
    }
  });

  it('keeps the audit log from being changed', async () => {
    const dataSource = await openDataSource(dataSourceOptions(await testDatabaseUrl()));
    try {
      await dataSource.query("insert into audit_event (id, action, outcome) values (gen_random_uuid(), 'x', 'OK')");
      await expect(dataSource.query("update audit_event set action = 'y'")).rejects.toThrow('append only');
      await expect(dataSource.query('delete from audit_event')).rejects.toThrow('append only');
    } finally {
      await dataSource.destroy();
    }
  });
});
