import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BSON } from 'mongodb';
import { startMongod, type OwnMongod } from '../../../test/support/servers.ts';
import { archiveOf, newOperation, worker } from '../../../test/support/restore-fixture.ts';
import type { EngineSession, PayloadSource } from '../port.js';
import { inParallel } from './in-parallel.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';

const many = 500;
const names = Array.from({ length: many }, (_, index) => `part_${index}`);
const bson = (document: object): Buffer => Buffer.from(BSON.serialize(document));
const idIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';

/** With thousands of collections each command for each of them counts. */
describe('a restore of many small collections', () => {
  let server: OwnMongod;
  let context: MongodbContext;
  let session: EngineSession;
  let source: PayloadSource;

  beforeAll(async () => {
    server = await startMongod();
    context = await connect({ uri: server.uri, database: 'tenant' });
    session = new MongodbSession(context);
    await inParallel(names, 8, (name) => context.db.createCollection(name));
    source = await archiveOf(names.map((name) => ({ name, indexes: [idIndex], documents: [bson({ _id: 1 })] })));
  }, 60_000);
  afterAll(async () => {
    await session.close();
    await server.stop();
  });

  /** How often the server was asked this, as it counts itself. */
  async function countOf(command: string): Promise<number> {
    const { metrics } = await context.client.db('admin').command({ serverStatus: 1 });
    return Number((metrics as { commands: Record<string, { total: unknown } | undefined> }).commands[command]?.total ?? 0);
  }
  async function asked<T>(commands: readonly string[], work: () => Promise<T>): Promise<{ readonly result: T; readonly counts: number[] }> {
    const before = await Promise.all(commands.map(countOf));
    const result = await work();
    return { result, counts: (await Promise.all(commands.map(countOf))).map((count, index) => count - (before[index] ?? 0)) };
  }

  it('asks for sizes and index builds before maintenance alone, for what is staged and for open transactions once, and for indexes where there are some', async () => {
    const expected = await session.catalogue();
    const work = worker(newOperation());
    const { result: staged, counts: staging } = await asked(['create', 'createIndexes', 'listIndexes'], () => session.stage(source, work));
    expect(staging).toEqual([many, 0, 0]);
    expect((await asked(['listCollections'], () => session.checkStage(staged, source, work))).counts).toEqual([1]);
    const planning = ['collStats', 'listIndexes', 'renameCollection', 'dbHash', 'dbStats', 'listCollections'] as const;
    expect((await asked(planning, () => session.planSwap(staged, expected, work))).counts).toEqual([0, many, 0, 1, 0, 1]);
    const { result: indexCount, counts } = await asked(planning, () => session.settledIndexCount(work));
    expect(counts).toEqual([0, many, 0, 0, 1, 1]);
    const plan = (): Promise<unknown> => session.planSwap(staged, expected, work, { indexCount });
    expect((await asked(planning, plan)).counts).toEqual([0, 0, 0, 1, 1, 1]);

    const admin = context.client.db('admin');
    await admin.command({ configureFailPoint: 'hangAfterStartingIndexBuild', mode: 'alwaysOn' });
    const collection = context.db.collection(names[0] ?? '');
    await collection.insertOne({ x: 1 });
    const build = collection.createIndex({ x: 1 });
    await admin.command({ waitForFailPoint: 'hangAfterStartingIndexBuild', timesEntered: 1, maxTimeMS: 10_000 });
    expect(await session.settledIndexCount(work)).toBeNull();
    await expect(plan()).rejects.toMatchObject({ code: 'SWAP_BLOCKED', message: `An index build blocks collection "${names[0]}"` });
    await admin.command({ configureFailPoint: 'hangAfterStartingIndexBuild', mode: 'off' });
    await build;
    expect(await session.settledIndexCount(work)).toBe((indexCount ?? 0) + 1);

    const transaction = context.client.startSession();
    transaction.startTransaction();
    await collection.findOne({}, { session: transaction });
    // It waits for the transaction, and whoever looks at the collection waits for it.
    const drop = collection.drop();
    const waiting = [{ $currentOp: {} }, { $match: { 'command.drop': names[0], waitingForLock: true } }];
    while ((await admin.aggregate(waiting).toArray()).length === 0);
    expect(await session.settledIndexCount(work)).toBeNull();
    await transaction.abortTransaction();
    await transaction.endSession();
    await drop;
    await session.dropStage(work.operationId, work);
  });
});
