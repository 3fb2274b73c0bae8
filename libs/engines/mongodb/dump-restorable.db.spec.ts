import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { parseCollectionMetadata } from '#archive';
import type { Db } from 'mongodb';
import { dumpIntoMemory, type MemoryDump } from '../../../test/support/memory-dump.ts';
import { newOperation, sourceOf, worker } from '../../../test/support/restore-fixture.ts';
import { startMongod, type OwnMongod } from '../../../test/support/servers.ts';
import type { StagedDatabase } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';

let server: OwnMongod;
let context: MongodbContext;
let session: MongodbSession;
let db: Db;

beforeAll(async () => {
  server = await startMongod();
  context = await connect({ uri: server.uri, database: 'tenant' });
  session = new MongodbSession(context);
  db = context.db;
}, 60_000);
beforeEach(async () => {
  await db.dropDatabase();
});
afterAll(async () => {
  await context?.client.close();
  await server?.stop();
});

/** As a restore has it up to its commit point; the stage is gone afterwards. */
async function rehearsed({ frames }: MemoryDump): Promise<StagedDatabase> {
  const source = await sourceOf(Buffer.concat(frames.map(({ payload }) => payload)));
  const work = worker(newOperation());
  try {
    const staged = await session.stage(source, work);
    await session.checkStage(staged, source, work);
    return staged;
  } finally {
    await session.dropStage(work.operationId, work);
  }
}

describe('a backup that is taken while', () => {
  it('a unique index is built that cannot be, is without it and can be restored', async () => {
    await db.collection('a').insertMany([{ k: 1 }, { k: 1 }]);
    await db.collection('a').createIndex({ n: 1 });
    const admin = context.client.db('admin');
    const failPoint = 'hangAfterStartingIndexBuild';
    await admin.command({ configureFailPoint: failPoint, mode: 'alwaysOn' });
    const isRefused = expect(db.collection('a').createIndex({ k: 1 }, { unique: true })).rejects.toMatchObject({ code: 11_000 });
    await admin.command({ waitForFailPoint: failPoint, timesEntered: 1, maxTimeMS: 10_000 });
    const dump = await dumpIntoMemory(session);
    await admin.command({ configureFailPoint: failPoint, mode: 'off' });
    await isRefused;
    expect(dump.result.namespaces.map(({ indexes }) => indexes)).toEqual([2]);
    expect(parseCollectionMetadata(dump.collections[0]?.metadata ?? '').indexes.map((text) => /"name":"([^"]*)"/.exec(text)?.[1])).toEqual(['_id_', 'n_1']);
    expect(dump.log).toContain('An index of "a" is still being built and not in the backup');
    await rehearsed(dump);
  });
});
