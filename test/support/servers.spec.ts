import { afterAll, describe, expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import pg from 'pg';
import { startMongod, startPostgres, testDatabaseUrl, testMongo } from './servers.ts';

describe('test servers', () => {
  const closing: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  });

  async function sql(url: string, text: string): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  it('gives each caller an empty PostgreSQL database', async () => {
    const [first, second] = [await testDatabaseUrl(), await testDatabaseUrl()];
    await sql(first, 'CREATE TABLE t (id int)');
    await sql(second, 'CREATE TABLE t (id int)');
    expect(first).not.toBe(second);
  });

  it('gives a replica set that answers snapshot reads and takes fail points', async () => {
    const { uri, database } = await testMongo();
    const client = await MongoClient.connect(uri);
    closing.push(() => client.close());
    const { insertedId } = await client.db(database).collection('t').insertOne({ n: 1 });
    const reply = await client.db(database).command({ find: 't', readConcern: { level: 'snapshot' } });
    expect(reply['cursor'].firstBatch).toEqual([{ _id: insertedId, n: 1 }]);
    await client.db('admin').command({ configureFailPoint: 'rsSyncApplyStop', mode: 'off' });
  });

  it('starts a mongod with authentication that survives being killed', async () => {
    const mongod = await startMongod({ auth: true });
    const client = await MongoClient.connect(mongod.uri);
    closing.push(() => client.close());
    await client.db('app').collection('t').insertOne({ n: 1 }, { writeConcern: { w: 'majority', j: true } });
    await mongod.kill('SIGKILL');
    await mongod.restart();
    expect(await client.db('app').collection('t').countDocuments()).toBe(1);
    const anonymous = new MongoClient(mongod.uri.replace(/\/\/[^@]*@/, '//'));
    await expect(anonymous.db('app').collection('t').countDocuments()).rejects.toThrow(/requires authentication/);
    await anonymous.close();
    await mongod.stop();
  });

  it('starts a replica set of several members', async () => {
    const set = await startMongod({ members: 3 });
    const client = await MongoClient.connect(set.uri);
    closing.push(() => client.close());
    await client.db('app').collection('t').insertOne({ n: 1 }, { writeConcern: { w: 3 } });
    await set.stop();
  });

  it('starts a PostgreSQL that survives being killed', async () => {
    const postgres = await startPostgres();
    const url = await postgres.databaseUrl();
    await sql(url, 'CREATE TABLE t AS SELECT 1 AS n');
    await postgres.kill('SIGKILL');
    await postgres.restart();
    expect(await sql(await postgres.databaseUrl(), 'SELECT n FROM t')).toEqual([{ n: 1 }]);
    await postgres.stop();
  });
});
