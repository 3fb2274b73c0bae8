import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BSON } from 'mongodb';
import { startMongod, type OwnMongod } from '../../../test/support/servers.ts';
import { archiveOf, newOperation, worker } from '../../../test/support/restore-fixture.ts';
import type { EngineSession, PayloadSource } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';

const many = 24;
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
    for (const name of names) await context.db.createCollection(name);
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
    const { result: indexes, counts } = await asked(planning, () => session.settledIndexes(work));
    expect(counts).toEqual([0, many, 0, 0, 1, 1]);
    expect((await asked(planning, () => session.planSwap(staged, expected, work, { indexes }))).counts).toEqual([0, 0, 0, 1, 1, 1]);
    await session.dropStage(work.operationId, work);
  });
});
