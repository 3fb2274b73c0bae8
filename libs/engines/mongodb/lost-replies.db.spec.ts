import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { BSON, MongoNetworkError, type Db, type Document } from 'mongodb';
import { jsonFixture } from '../../../test/support/fixtures.ts';
import { startMongod, type OwnMongod } from '../../../test/support/servers.ts';
import { archiveOf, everyShape, hashes, namesIn, newOperation, planned, worker } from '../../../test/support/restore-fixture.ts';
import { watched } from '../../../test/support/watched-context.ts';
import type { PayloadSource } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';

const { 'system.views': _, ...everyHash } = jsonFixture<{ collections: Record<string, string> }>('mongodump/every-shape.dbhash.json').collections;

const bson = (document: object): Buffer => Buffer.from(BSON.serialize(document));
const idIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';

describe('a connection that fails during a restore', () => {
  let server: OwnMongod;
  let context: MongodbContext;
  let db: Db;
  let source: PayloadSource;

  beforeAll(async () => {
    server = await startMongod();
    context = await connect({ uri: server.uri, database: 'tenant' });
    db = context.db;
    source = await everyShape();
  }, 60_000);
  beforeEach(async () => {
    await db.dropDatabase();
  });
  afterAll(async () => {
    await context.client.close();
    await server.stop();
  });

  async function restore(through: MongodbContext, payload = source): Promise<void> {
    const session = new MongodbSession(through);
    const steady = new MongodbSession(context);
    const work = worker(newOperation());
    const staged = await session.stage(payload, work);
    await steady.checkStage(staged, payload, work);
    const plan = await steady.planSwap(staged, await steady.catalogue(), work);
    const report = await session.swap(plan, work);
    expect(report.interlopers).toEqual([]);
    await session.dropOld(plan, work);
    expect(await hashes(db)).toEqual(everyHash);
    expect((await namesIn(db)).filter((name) => name.includes('hf_'))).toEqual([]);
  }

  it('leaves no collection that the server makes after a cancel', async () => {
    const admin = context.client.db('admin');
    await admin.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data: { failCommands: ['create'], blockConnection: true, blockTimeMS: 600 } });
    const stop = new AbortController();
    const work = { ...worker(newOperation()), signal: stop.signal };
    const session = new MongodbSession(watched(context, { before: ({ command }) => void (command['create'] !== undefined && setTimeout(() => stop.abort(new Error('canceled')), 100)) }));
    try {
      await expect(session.stage(source, work)).rejects.toThrow();
      await session.dropStage(work.operationId, { ...work, signal: new AbortController().signal });
    } finally {
      await admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
    }
    // Whatever was on its way has arrived once the server has answered a command that was sent after it, and waited as long.
    await admin.command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data: { failCommands: ['create'], blockConnection: true, blockTimeMS: 900 } });
    await db.createCollection('afterwards');
    expect(await namesIn(db)).toEqual(['afterwards']);
  });

  it('writes every document once and does every step once, although the reply to each command that writes is lost', async () => {
    const lost = new Set<string>();
    const forgetful = watched(context, {
      after: ({ command }) => {
        const bytes = (command['documents'] as { readonly serializedDocumentsLength?: number } | undefined)?.serializedDocumentsLength ?? 0;
        const what = JSON.stringify([command['insert'] ?? command['update'] ?? command['create'] ?? command['drop'] ?? command['renameCollection'] ?? command['collMod'] ?? command['createIndexes'] ?? null, command['txnNumber'] ?? 0, command['lsid'] ?? 0, bytes]);
        if (what.startsWith('[null') || lost.has(what)) return;
        lost.add(what);
        throw new MongoNetworkError('connection closed');
      },
    });
    await restore(forgetful);
    expect(lost.size).toBeGreaterThan(60);
  }, 60_000);

  it('goes on in the middle of a batch whose order counts', async () => {
    const options = '{"capped":true,"size":{"$numberInt":"8192"}}';
    const payload = await archiveOf([{ name: 'a', options, indexes: [idIndex], documents: [3, 1, 2].map((_id) => bson({ _id })) }]);
    let interrupted = 0;
    const halfway = watched(context, {
      before: async ({ command, options: sentWith }) => {
        if (command['insert'] === undefined || interrupted > 0) return;
        interrupted += 1;
        await db.command({ ...command, documents: [{ _id: 3 }] }, sentWith);
        throw new MongoNetworkError('connection closed');
      },
    });
    const session = new MongodbSession(halfway);
    const work = worker(newOperation());
    const { plan } = await planned(session, payload, work);
    await session.swap(plan, work);
    expect(interrupted).toBe(1);
    expect(await db.collection('a').find().toArray()).toEqual([{ _id: 3 }, { _id: 1 }, { _id: 2 }]);
  });

  it('changes nothing by a batch that was sent again and that the server carries out after SWAP', async () => {
    const payload = await archiveOf([{ name: 'a', indexes: [idIndex], documents: [bson({ _id: 1 }), bson({ _id: 2 })] }]);
    const late: { reply: Promise<Document>; isDone: boolean }[] = [];
    const admin = context.client.db('admin');
    const forgotten = watched(context, {
      before: async ({ command }) => {
        if (command['insert'] === undefined || late.length > 0) return;
        await admin.command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data: { failCommands: ['insert'], blockConnection: true, blockTimeMS: 3_000 } });
        const sent = { reply: db.command({ ...command }), isDone: false };
        void sent.reply.finally(() => (sent.isDone = true));
        late.push(sent);
        while ((await admin.command({ currentOp: 1, 'command.insert': command['insert'] }))['inprog'].length === 0);
        throw new MongoNetworkError('connection closed');
      },
    });
    const session = new MongodbSession(forgotten);
    const work = worker(newOperation());
    const { plan } = await planned(session, payload, work);
    await session.swap(plan, work);
    expect(await db.collection<{ _id: number }>('a').findOneAndDelete({ _id: 1 })).toEqual({ _id: 1 });
    expect(late.map(({ isDone }) => isDone)).toEqual([false]);
    const reply = await late[0]?.reply;
    expect(reply?.['writeErrors']).toEqual([expect.objectContaining({ code: 361 }), expect.objectContaining({ code: 361 })]);
    expect(await db.collection('a').find().toArray()).toEqual([{ _id: 2 }]);
    expect(await namesIn(db)).toEqual(['a']);
  }, 60_000);

  it('makes nothing by an index build of a time series that the server carries out after the stage was dropped', async () => {
    const index = '{"v":{"$numberInt":"2"},"key":{"m":{"$numberInt":"1"}},"name":"m"}';
    const payload = await archiveOf([{ name: 's', kind: 'timeseries', options: '{"timeseries":{"timeField":"t","metaField":"m"}}', indexes: [index] }]);
    const late: Document[] = [];
    const canceled = new AbortController();
    const slow = watched(context, {
      before: ({ command }) => {
        if (command['createIndexes'] === undefined) return;
        late.push(command);
        canceled.abort(new Error('canceled'));
        throw new MongoNetworkError('connection closed');
      },
    });
    const operation = newOperation();
    await expect(new MongodbSession(slow).stage(payload, worker(operation, 1, canceled.signal))).rejects.toThrow('canceled');
    await new MongodbSession(context).dropStage(operation, worker(operation));
    expect(late).toHaveLength(1);
    await expect(db.command({ ...late[0] })).rejects.toMatchObject({ code: 361 });
    expect((await namesIn(db)).filter((name) => name.includes('hf_'))).toEqual([]);
  });

  it('goes on after the server closed connections and refused commands for a while', async () => {
    const admin = context.client.db('admin');
    const data = { failCommands: ['insert', 'create', 'createIndexes', 'renameCollection', 'collMod', 'drop'] };
    await admin.command({ configureFailPoint: 'failCommand', mode: { activationProbability: 0.2 }, data: { ...data, closeConnection: true } });
    try {
      await restore(context);
    } finally {
      await admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
    }
  }, 60_000);

  it('stages everything over a stepdown of the primary', async () => {
    const payload: PayloadSource = {
      ...source,
      async *payload() {
        let chunks = 0;
        for await (const chunk of source.payload()) {
          yield chunk;
          chunks += 1;
          if (chunks === 2) await context.client.db('admin').command({ replSetStepDown: 1, secondaryCatchUpPeriodSecs: 0, force: true });
        }
      },
    };
    await restore(context, payload);
  }, 60_000);

  it('stages everything over a crash of the server, and says so when it stays away', async () => {
    let crashes = 0;
    const payload: PayloadSource = {
      ...source,
      async *payload() {
        let chunks = 0;
        for await (const chunk of source.payload()) {
          yield chunk;
          chunks += 1;
          if (chunks !== 2) continue;
          await server.kill();
          crashes += 1;
          if (crashes === 1) await server.restart();
        }
      },
    };
    await restore(context, payload);
    const began = Date.now();
    const error: unknown = await new MongodbSession(context).stage(payload, worker(newOperation())).catch((thrown: unknown) => thrown);
    const { code, cause } = error as { code?: string; cause?: unknown };
    expect({ code, cause: code === 'TARGET_LOST' ? null : String(cause) }).toEqual({ code: 'TARGET_LOST', cause: null });
    expect(Date.now() - began).toBeLessThan(35_000);
    await server.restart();
  }, 120_000);
});
