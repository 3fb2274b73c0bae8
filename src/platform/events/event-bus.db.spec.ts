import { Logger } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { testDatabaseUrl } from '../../../test/support/servers.js';
import { EventBus } from './event-bus.js';
import type { BusEvent, Notice } from './notice.js';
import type { NoticeStream } from './notice-stream.js';

Logger.overrideLogger(false);

const notice = (id: string, revision: number, tenantId = 't1'): Notice => ({ topic: 'operation', id, tenantId, revision });

describe('EventBus', () => {
  let dataSource: DataSource;
  let databaseUrl: string;
  let here: EventBus;
  let elsewhere: EventBus;

  beforeAll(async () => {
    databaseUrl = await testDatabaseUrl();
    dataSource = await new DataSource({ type: 'postgres', url: databaseUrl }).initialize();
  });
  afterAll(() => dataSource.destroy());
  beforeEach(async () => {
    here = new EventBus(databaseUrl, dataSource);
    elsewhere = new EventBus(databaseUrl, dataSource);
    await Promise.all([here.onModuleInit(), elsewhere.onModuleInit()]);
  });
  afterEach(() => Promise.all([here.onApplicationShutdown(), elsewhere.onApplicationShutdown()]));

  async function next(stream: NoticeStream): Promise<BusEvent | undefined> {
    return (await stream.next()).value;
  }

  it('reaches subscribers of every process that ask for this row or this tenant, and no others', async () => {
    const byId = elsewhere.subscribe('operation', { id: 'a' });
    const byTenant = here.subscribe('operation', { tenantId: 't2' });
    await here.publish({ ...notice('a', 1), topic: 'tenant' });
    await here.publish(notice('b', 1));
    await here.publish(notice('c', 1, 't2'));
    await here.publish(notice('a', 2));
    expect(await next(byId)).toEqual({ kind: 'changed', ...notice('a', 2) });
    expect(await next(byTenant)).toEqual({ kind: 'changed', ...notice('c', 1, 't2') });
  });

  it('sends with the commit, and nothing with a roll-back', async () => {
    const stream = elsewhere.subscribe('operation');
    await dataSource
      .transaction(async (manager) => {
        await here.publish(notice('rolled back', 1), manager);
        throw new Error('no');
      })
      .catch(() => undefined);
    await dataSource.transaction(async (manager) => {
      await here.publish(notice('committed', 1), manager);
    });
    expect(await next(stream)).toMatchObject({ id: 'committed' });
  });

  it('tells every subscriber to read again after the connection was cut', async () => {
    const stream = here.subscribe('operation', { id: 'a' });
    const cut = next(stream);
    await dataSource.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holdfast-events' and datname = current_database()`);
    expect(await cut).toEqual({ kind: 'resync' });
    await here.publish(notice('a', 3));
    expect(await next(stream)).toEqual({ kind: 'changed', ...notice('a', 3) });
  });

  it('ignores what is not a notice', async () => {
    const stream = here.subscribe('operation');
    for (const payload of ['', '{}', '[]', '["unknown","a","t",1]', '["operation","a","t","1"]']) await dataSource.query('select pg_notify($1, $2)', ['holdfast_events', payload]);
    await here.publish(notice('a', 1));
    expect(await next(stream)).toMatchObject({ id: 'a' });
  });

  it('ends its streams when it shuts down, and while the server is away, too', async () => {
    const stream = here.subscribe('operation');
    const waiting = stream.next();
    const unreachable = new EventBus('postgresql://nobody@127.0.0.1:1/none', dataSource);
    await unreachable.onModuleInit();
    expect(unreachable.isListening).toBe(false);
    await Promise.all([here.onApplicationShutdown(), unreachable.onApplicationShutdown()]);
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(here.subscriberCount).toBe(0);
  });
});
