import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BSON, type Db, MongoClient } from 'mongodb';
import { dumpIntoMemory } from '../../../test/support/memory-dump.ts';
import { archiveOf, newOperation, worker } from '../../../test/support/restore-fixture.ts';
import { testMongo } from '../../../test/support/servers.ts';
import { BytePace } from '../byte-pace.js';
import type { EngineSession, PayloadSource } from '../port.js';
import { MongodbEngine } from './mongodb-engine.js';

const collections = ['a', 'b', 'c'];
const documentsOfEach = 100;
const text = 'x'.repeat(10_000);
const bytes = collections.length * documentsOfEach * text.length;

describe('a session with a pace', () => {
  let client: MongoClient;
  let db: Db;
  let uri: string;
  let source: PayloadSource;

  beforeAll(async () => {
    const mongo = await testMongo();
    ({ uri } = mongo);
    client = await MongoClient.connect(uri);
    db = client.db(mongo.database);
    const documents = Array.from({ length: documentsOfEach }, (_, _id) => ({ _id, text }));
    for (const name of collections) await db.collection<{ _id: number }>(name).insertMany(documents);
    source = await archiveOf(collections.map((name) => ({ name, documents: documents.map((document) => Buffer.from(BSON.serialize(document))) })));
  });
  afterAll(async () => {
    await db.dropDatabase();
    await client.close();
  });

  async function within<T>(bytesPerSecond: number, work: (session: EngineSession) => Promise<T>): Promise<{ readonly result: T; readonly seconds: number }> {
    const pace = new BytePace(bytesPerSecond);
    const session = await new MongodbEngine().open({ uri, database: db.databaseName }, pace);
    const began = performance.now();
    try {
      return { result: await work(session), seconds: (performance.now() - began) / 1000 };
    } finally {
      await session.close();
    }
  }

  it('never reads faster than that, however many cursors there are', async () => {
    const { result, seconds } = await within(bytes, (session) => dumpIntoMemory(session, { concurrency: 3 }));
    expect(result.result.namespaces.map(({ documents }) => documents)).toEqual([documentsOfEach, documentsOfEach, documentsOfEach]);
    expect(seconds).toBeGreaterThan(1);
  });

  it('never stages and checks faster than that', async () => {
    const work = worker(newOperation());
    const { result, seconds } = await within(bytes, async (session) => {
      const staged = await session.stage(source, work);
      await session.checkStage(staged, source, work);
      await session.dropStage(work.operationId, work);
      return staged;
    });
    expect(result.namespaces).toHaveLength(collections.length);
    expect(seconds).toBeGreaterThan(2);
  });

  it('stops when it is told to, not when the bytes are due', async () => {
    const stop = new AbortController();
    const reading = within(10_000, (session) => dumpIntoMemory(session, { signal: stop.signal, onFrame: () => stop.abort(new Error('canceled')) }));
    await expect(reading).rejects.toThrow('canceled');
    const staging = new AbortController();
    const work = worker(newOperation(), 1, staging.signal);
    await expect(
      within(10_000, (session) => {
        setImmediate(() => staging.abort(new Error('canceled')));
        return session.stage(source, work);
      }),
    ).rejects.toThrow('canceled');
    const { result } = await within(100 * bytes, (session) => session.dropStage(work.operationId, worker(work.operationId)).then(() => session.catalogue()));
    expect(result.map(({ name }) => name)).toEqual(collections);
  });
});
