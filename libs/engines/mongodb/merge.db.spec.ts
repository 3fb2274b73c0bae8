import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { BSON, type Document, Double, Int32, Long, Timestamp } from 'mongodb';
import { archiveOf, namesIn, newOperation, type TestNamespace, worker } from '../../../test/support/restore-fixture.ts';
import { startMongod, type OwnMongod } from '../../../test/support/servers.ts';
import type { MergeConflict, MergeForecast, MergePlan, MergeReport, StagedDatabase } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';
import { readAll } from './raw-cursor.js';

const idIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';
const bson = (document: Document): Buffer => Buffer.from(BSON.serialize(document));

let server: OwnMongod;
let context: MongodbContext;
let session: MongodbSession;

beforeAll(async () => {
  server = await startMongod();
  context = await connect({ uri: server.uri, database: 'tenant' });
  session = new MongodbSession(context);
}, 60_000);
beforeEach(async () => {
  await context.db.dropDatabase();
});
afterAll(async () => {
  await context?.client.close();
  await server?.stop();
});

async function stage(namespaces: readonly TestNamespace[], operation = newOperation()): Promise<{ readonly operation: string; readonly staged: StagedDatabase }> {
  const source = await archiveOf(namespaces.map((namespace) => ({ indexes: [idIndex], ...namespace })));
  const staged = await session.stage(source, worker(operation));
  await session.checkStage(staged, source, worker(operation));
  return { operation, staged };
}

interface Merged {
  readonly forecast: MergeForecast;
  readonly report: MergeReport;
}

async function plan(operation: string, staged: StagedDatabase, conflict: MergeConflict): Promise<MergePlan> {
  const made = await session.planMerge(staged, await session.catalogue(), conflict, worker(operation));
  // As the journal would give it back.
  return JSON.parse(JSON.stringify(made)) as MergePlan;
}

async function merge(namespaces: readonly TestNamespace[], conflict: MergeConflict): Promise<Merged> {
  const { operation, staged } = await stage(namespaces);
  const forecast = await session.forecastMerge(staged, conflict, worker(operation));
  const made = await plan(operation, staged, conflict);
  await session.swap(made.create, worker(operation));
  const report = await session.merge(made, worker(operation));
  await session.dropStage(operation, worker(operation));
  expect((await namesIn(context.db)).filter((name) => name.includes('hf_'))).toEqual([]);
  return { forecast, report };
}

/** Raw documents by `_id`. */
async function raw(name: string): Promise<Buffer[]> {
  return readAll(context, { find: name, filter: {}, sort: { _id: 1 } });
}

describe('MERGE', () => {
  const archived = [
    bson({ _id: 1, a: 'same' }),
    bson({ _id: 2, a: 'archive' }),
    bson({ _id: 3, a: 'new' }),
    bson({ _id: 'text', $set: { 'x.y': 1 }, 'dotted.name': new Timestamp({ t: 0, i: 0 }), '': 1 }),
    bson({ _id: new Date(5), zero: new Timestamp({ t: 0, i: 0 }) }),
  ];

  async function live(): Promise<void> {
    await context.db.collection<{ _id: unknown }>('both').insertMany([
      { _id: 1, a: 'same' }, { _id: 2, a: 'live' }, { _id: 9, a: 'live alone' }, { _id: 'text', a: 'live' },
    ] as Document[] as { _id: unknown }[]);
  }

  it('keeps live documents or takes the archived ones, byte for byte, and its dry pass counted as much', async () => {
    await live();
    const before = await raw('both');
    const { operation, staged } = await stage([{ name: 'both', documents: archived }]);
    expect((await session.forecastMerge(staged, 'KEEP_LIVE', worker(operation))).collections).toEqual([{ name: 'both', inserted: 2, equal: 1, kept: 2, replaced: 0, clashes: 0 }]);
    expect(await raw('both')).toEqual(before);
    await session.dropStage(operation, worker(operation));

    const kept = await merge([{ name: 'both', documents: archived }], 'KEEP_LIVE');
    expect(kept.report).toEqual({ collections: kept.forecast.collections, warnings: [] });
    expect(await raw('both')).toEqual([before[0], before[1], archived[2], before[2], before[3], archived[4]]);

    const taken = await merge([{ name: 'both', documents: archived }], 'TAKE_ARCHIVE');
    expect(taken.report.collections).toEqual([{ name: 'both', inserted: 0, equal: 3, kept: 0, replaced: 2, clashes: 0 }]);
    expect(taken.forecast.collections).toEqual(taken.report.collections);
    expect(await raw('both')).toEqual([archived[0], archived[1], archived[2], before[2], archived[3], archived[4]]);
  });

  it('creates missing collections with options and indexes, and leaves others alone', async () => {
    await live();
    await context.db.collection('other').insertOne({ a: 1 });
    const ttl = '{"v":{"$numberInt":"2"},"key":{"at":{"$numberInt":"1"}},"name":"at_1","expireAfterSeconds":{"$numberInt":"2147483647"}}';
    await merge([{ name: 'both', documents: archived }, { name: 'missing', indexes: [idIndex, ttl], options: '{"validator":{"b":{"$type":"int"}}}', documents: [bson({ _id: 1, b: 1 })] }], 'KEEP_LIVE');
    const state = (await session.catalogue()).find(({ name }) => name === 'missing');
    expect(state).toMatchObject({ documents: 1, options: expect.stringContaining('validator') as unknown, indexes: [expect.any(String), expect.stringContaining('"expireAfterSeconds"') as unknown] });
    expect(await context.db.collection('other').countDocuments()).toBe(1);
  });

  it('finds ids the same as the server does: numbers of any type, texts under a collation', async () => {
    await context.db.createCollection('both', { collation: { locale: 'en', strength: 2 } });
    await context.db.collection<{ _id: unknown; a: number }>('both').insertMany([{ _id: new Double(1), a: 1 }, { _id: 'ABC', a: 1 }, { _id: { n: Long.fromNumber(7) }, a: 1 }]);
    const documents = [bson({ _id: new Int32(1), a: 2 }), bson({ _id: 'abc', a: 2 }), bson({ _id: { n: 7 }, a: 2 })];
    const { forecast, report } = await merge([{ name: 'both', documents }], 'TAKE_ARCHIVE');
    expect(report.collections).toEqual([{ name: 'both', inserted: 0, equal: 0, kept: 0, replaced: 3, clashes: 0 }]);
    expect(forecast.collections).toEqual(report.collections);
    expect(await raw('both')).toEqual(documents);
  });

  it('leaves out a document of the archive whose id another one of it has under the live collation, and comes to its end', async () => {
    await context.db.createCollection('both', { collation: { locale: 'en', strength: 2 } });
    await context.db.collection<{ _id: string }>('both').insertMany([{ _id: 'Ab' }, { _id: 'c' }]);
    const documents = [bson({ _id: 'AB', a: 1 }), bson({ _id: 'C', a: 1 }), bson({ _id: 'ab', a: 2 }), bson({ _id: 'd', a: 1 })];
    const { operation, staged } = await stage([{ name: 'both', documents }]);
    const made = await plan(operation, staged, 'TAKE_ARCHIVE');
    const stop = new AbortController();
    // What is tried again for ever has no other end.
    const report = await session.merge(made, { ...worker(operation, 1, stop.signal), log: (line) => stop.abort(new Error(line)) });
    expect(report).toEqual({
      collections: [{ name: 'both', inserted: 1, equal: 0, kept: 0, replaced: 2, clashes: 1 }],
      warnings: ['1 document of "both" was left out: a unique key was taken, or the collection refused it'],
    });
    expect(await raw('both')).toEqual([documents[0], documents[1], documents[3]]);
    await session.dropStage(operation, worker(operation));
  });

  it('goes on behind any type of _id, in collections that are clustered or collated too', async () => {
    await context.db.createCollection('clustered', { clusteredIndex: { key: { _id: 1 }, unique: true } });
    await context.db.createCollection('collated', { collation: { locale: 'de' } });
    const ids = [1, new Double(2.5), 'ä', 'b', { a: 1 }, Buffer.from('x'), new BSON.ObjectId(), true, new Date(1), new Timestamp({ t: 1, i: 1 }), new BSON.MaxKey()];
    const documents = ids.map((_id) => bson({ _id, a: 1 }));
    const collated = (await session.catalogue()).find(({ name }) => name === 'collated');
    const { operation, staged } = await stage([
      { name: 'clustered', options: '{"clusteredIndex":{"v":2,"key":{"_id":1},"name":"_id_","unique":true}}', indexes: [], documents },
      { name: 'collated', options: collated?.options ?? '', indexes: collated?.indexes ?? [], documents },
    ]);
    const made = await plan(operation, staged, 'KEEP_LIVE');
    const { stagedBatches } = await import('./merge-compare.js');
    const { findElement } = await import('./raw-bson.js');
    for (const { staged: name, stagedUuid: uuid } of made.targets) {
      const all: Buffer[] = [];
      for await (const batch of stagedBatches(context, { name, uuid }, null, new AbortController().signal)) all.push(...batch.map((document) => Buffer.from(document)));
      expect(all).toHaveLength(ids.length);
      for (const [index, document] of all.entries()) {
        const rest: Buffer[] = [];
        for await (const batch of stagedBatches(context, { name, uuid }, findElement(document, '_id') ?? null, new AbortController().signal)) rest.push(...batch);
        expect(rest).toEqual(all.slice(index + 1));
      }
    }
    const report = await session.merge(made, worker(operation));
    expect(report.collections.map(({ inserted }) => inserted)).toEqual([ids.length, ids.length]);
  });

  it('names clashes on unique indexes beforehand, and leaves out as many', async () => {
    const db = context.db;
    await db.collection('both').createIndex({ 'mail.address': 1 }, { unique: true, name: 'mail' });
    await db.collection('both').createIndex({ nick: 1 }, { unique: true, sparse: true });
    await db.collection<{ _id: number }>('both').insertMany([{ _id: 1, mail: { address: 'a' } }, { _id: 2, mail: { address: 'b' }, nick: 'n' }] as Document[] as { _id: number }[]);
    const documents = [
      bson({ _id: 1, mail: { address: 'free' } }), bson({ _id: 10, mail: { address: 'b' } }), bson({ _id: 11, mail: { address: 'c' }, nick: 'n' }),
      bson({ _id: 12, mail: { address: 'd' }, large: 'x'.repeat(1000) }), bson({ _id: 13, mail: { address: 'd' } }), bson({ _id: 14, mail: { address: 'a' } }),
      ...Array.from({ length: 2_000 }, (_, n) => bson({ _id: 100 + n, mail: { address: `many ${n % 1_990}` } })),
    ];
    const { forecast, report } = await merge([{ name: 'both', documents }], 'TAKE_ARCHIVE');
    expect(report.collections).toEqual([{ name: 'both', inserted: 1_992, equal: 0, kept: 0, replaced: 1, clashes: 13 }]);
    expect(forecast.clashes.reduce((sum, { documents: count }) => sum + count, 0)).toBeGreaterThanOrEqual(13);
    expect(forecast.clashes.map(({ name, index }) => [name, index])).toEqual(expect.arrayContaining([['both', 'mail'], ['both', 'nick_1']]));
    expect(report.warnings).toEqual([expect.stringMatching(/13 documents of "both" were left out/)]);
    expect(await db.collection('both').countDocuments()).toBe(1_994);
  });

  it('sees no clash in what the product deletes during the dry pass', async () => {
    const documents = Array.from({ length: 300 }, (_, n) => bson({ _id: n, key: n }));
    await context.db.collection('both').createIndex({ key: 1 }, { unique: true });
    await context.db.collection<{ _id: number }>('both').insertMany(documents.map((document) => BSON.deserialize(document)) as { _id: number }[]);
    const { operation, staged } = await stage([{ name: 'both', documents }]);
    const deleted: Promise<unknown>[] = [];
    const report = (): void => {
      if (deleted.length === 0) deleted.push(context.db.collection<{ _id: number }>('both').deleteOne({ _id: 250 }));
    };
    await context.client.db('admin').command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data: { failCommands: ['getMore'], blockConnection: true, blockTimeMS: 1_500 } });
    const forecast = await session.forecastMerge(staged, 'KEEP_LIVE', { ...worker(operation), report });
    expect(await Promise.all(deleted)).toEqual([expect.objectContaining({ deletedCount: 1 })]);
    expect(forecast).toEqual({ collections: [{ name: 'both', inserted: 1, equal: 299, kept: 0, replaced: 0, clashes: 0 }], clashes: [] });
  });

  it('leaves out what only clashes after the dry pass, and writes everything around it', async () => {
    const documents = Array.from({ length: 1_500 }, (_, n) => bson({ _id: n, key: n }));
    await context.db.collection('both').createIndex({ key: 1 }, { unique: true });
    const { operation, staged } = await stage([{ name: 'both', documents }]);
    expect((await session.forecastMerge(staged, 'KEEP_LIVE', worker(operation))).clashes).toEqual([]);
    const made = await plan(operation, staged, 'KEEP_LIVE');
    await context.db.collection('both').insertMany([{ key: 50 }, { key: 1_234 }]);
    const report = await session.merge(made, worker(operation));
    expect(report).toEqual({ collections: [{ name: 'both', inserted: 1_498, equal: 0, kept: 0, replaced: 0, clashes: 2 }], warnings: [expect.stringMatching(/2 documents of "both" were left out/)] });
    expect(await context.db.collection('both').countDocuments()).toBe(1_500);
  });

  it('refuses capped collections, time series and views by name, on either side', async () => {
    await context.db.createCollection('shown', { viewOn: 'nothing', pipeline: [] });
    await context.db.createCollection('log', { capped: true, size: 4096 });
    for (const [name, what, options] of [['shown', /"shown" is a view/, '{}'], ['log', /"log" is a capped collection/, '{}'], ['ring', /"ring" is a capped collection/, '{"capped":true,"size":4096}']] as const) {
      const { operation, staged } = await stage([{ name, options, documents: [bson({ _id: 1 })] }]);
      await expect(session.forecastMerge(staged, 'KEEP_LIVE', worker(operation))).rejects.toMatchObject({ code: 'MERGE_UNSUPPORTED', message: expect.stringMatching(what) });
      await expect(plan(operation, staged, 'KEEP_LIVE')).rejects.toMatchObject({ code: 'MERGE_UNSUPPORTED' });
      await session.dropStage(operation, worker(operation));
    }
  });

  describe('that is interrupted', () => {
    const documents = Array.from({ length: 5_000 }, (_, n) => bson({ _id: n, a: 'archive' }));
    async function many(): Promise<void> {
      await context.db.collection<{ _id: number }>('both').insertMany(Array.from({ length: 2_000 }, (_, n) => ({ _id: n * 2, a: n % 2 === 0 ? 'live' : 'archive' })) as Document[] as { _id: number }[]);
    }
    const wanted = { name: 'both', inserted: 3_000, equal: 1_000, kept: 0, replaced: 1_000, clashes: 0 };

    it('is finished by the next worker, wherever the first one was killed, with the same counts', async () => {
      let batches = 0;
      for (let killedAt = 0; ; killedAt += 1) {
        await context.db.dropDatabase();
        await many();
        const { operation, staged } = await stage([{ name: 'both', documents }]);
        const made = await plan(operation, staged, 'TAKE_ARCHIVE');
        const killed = await session.merge(made, worker(operation), (batch) => (batch === killedAt ? Promise.reject(new Error('killed')) : Promise.resolve())).then(() => false, () => true);
        if (!killed) break;
        batches += 1;
        expect((await session.merge(made, worker(operation, 2))).collections).toEqual([wanted]);
        expect(await raw('both')).toEqual(documents);
        // Once more, as after a crash before the journal said so.
        expect((await session.merge(made, worker(operation, 3))).collections).toEqual([wanted]);
        await session.dropStage(operation, worker(operation, 3));
      }
      expect(batches).toBeGreaterThan(3);
    }, 60_000);

    it('is not written to by a worker that was stopped while another one finished', async () => {
      await many();
      const { operation, staged } = await stage([{ name: 'both', documents }]);
      const made = await plan(operation, staged, 'TAKE_ARCHIVE');
      const stopped = Promise.withResolvers<void>();
      const mayGoOn = Promise.withResolvers<void>();
      const late = session
        .merge(made, worker(operation, 1), async (batch) => {
          if (batch !== 2) return;
          stopped.resolve();
          await mayGoOn.promise;
        })
        .then(() => null, (error: unknown) => error);
      await stopped.promise;
      expect((await session.merge(made, worker(operation, 2))).collections).toEqual([wanted]);
      await context.db.collection<{ _id: number }>('both').deleteMany({});
      mayGoOn.resolve();
      expect(await late).toMatchObject({ code: 'LEASE_LOST' });
      expect(await context.db.collection('both').countDocuments()).toBe(0);
      // Not even when the fence has gone with the stage.
      await session.dropStage(operation, worker(operation, 2));
      await expect(session.merge(made, worker(operation, 1))).rejects.toThrow();
      expect(await context.db.collection('both').countDocuments()).toBe(0);
    });

    it('comes to the same end when two workers do it side by side', async () => {
      await many();
      const { operation, staged } = await stage([{ name: 'both', documents }]);
      const made = await plan(operation, staged, 'TAKE_ARCHIVE');
      const [first, second] = await Promise.allSettled([session.merge(made, worker(operation, 1)), session.merge(made, worker(operation, 2))]);
      if (second.status === 'rejected') throw second.reason;
      if (first.status === 'rejected') expect(first.reason).toMatchObject({ code: 'LEASE_LOST' });
      expect(second.value.collections).toEqual([wanted]);
      expect(await raw('both')).toEqual(documents);
    });

    it('waits for an open transaction, survives lost connections, and notes a collection that was dropped under it', async () => {
      await many();
      const { operation, staged } = await stage([{ name: 'both', documents }]);
      const made = await plan(operation, staged, 'TAKE_ARCHIVE');
      const open = context.client.startSession();
      open.startTransaction();
      await context.db.collection<{ _id: number }>('both').updateOne({ _id: 0 }, { $set: { a: 'open' } }, { session: open });
      const admin = context.client.db('admin');
      const work = worker(operation);
      let isHeld = false;
      const merging = session.merge(made, { ...work, log: (line) => void (isHeld = isHeld || line.startsWith('Held up')) });
      while (!isHeld) await new Promise((resolve) => setTimeout(resolve, 20));
      await open.abortTransaction();
      await open.endSession();
      await admin.command({ configureFailPoint: 'failCommand', mode: { activationProbability: 0.1 }, data: { failCommands: ['insert', 'update', 'find', 'commitTransaction'], closeConnection: true } });
      try {
        expect((await merging).collections).toEqual([wanted]);
      } finally {
        await admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
      }
      expect(await raw('both')).toEqual(documents);
      await session.dropStage(operation, work);

      const again = await stage([{ name: 'both', documents: [...documents, bson({ _id: 6_000 })] }]);
      const dropped = await plan(again.operation, again.staged, 'TAKE_ARCHIVE');
      const report = await session.merge(dropped, worker(again.operation), async (batch) => void (batch === 1 && (await context.db.collection('both').drop())));
      expect(report.warnings).toEqual([expect.stringMatching(/"both" was dropped or replaced during the merge/)]);
      expect(await namesIn(context.db)).not.toContain('both');
    }, 60_000);
  });

  it('tells whether anything was written to live collections since a time', async () => {
    await live();
    const time = async (): Promise<string> => {
      const { operationTime } = (await context.db.command({ ping: 1 })) as { operationTime: Timestamp };
      return `${operationTime.getHighBitsUnsigned()}.${operationTime.getLowBitsUnsigned()}`;
    };
    const before = await time();
    await context.db.collection('other').insertOne({ a: 1 });
    expect(await session.wasLiveWrittenSince(before, ['both'], worker(newOperation()))).toBe(false);
    await context.db.collection<{ _id: number }>('both').deleteOne({ _id: 9 });
    expect(await session.wasLiveWrittenSince(before, ['both'], worker(newOperation()))).toBe(true);
    expect(await session.wasLiveWrittenSince(await time(), ['both'], worker(newOperation()))).toBe(false);
    expect(await session.wasLiveWrittenSince(null, ['both'], worker(newOperation()))).toBeNull();
  });
});
