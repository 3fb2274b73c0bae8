import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { bsonToExtendedJson, parseCollectionMetadata } from '#archive';
import { AppError } from '#errors';
import {
  Binary, BSON, BSONRegExp, BSONSymbol, Code, DBRef, Decimal128, Double, Int32, Long, MaxKey, MinKey, MongoClient, ObjectId, Timestamp, UUID, type Collection, type Db, type Document, type RunCommandOptions,
} from 'mongodb';
import { dumpIntoMemory, sumOf, type MemoryDump, type MemoryDumpOptions } from '../../../test/support/memory-dump.ts';
import { newOperation } from '../../../test/support/restore-fixture.ts';
import { isCollected } from '../../../test/support/garbage.ts';
import { testMongo } from '../../../test/support/servers.ts';
import type { EngineSession, Work } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { dump as dumpFrom } from './dump.js';
import { MongodbEngine } from './mongodb-engine.js';
import { settleCatalogue } from './snapshot.js';

let client: MongoClient;
let uri: string;
let db: Db;
let session: EngineSession;

beforeAll(async () => {
  ({ uri } = await testMongo());
  client = new MongoClient(uri);
});

const open: EngineSession[] = [];

beforeEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
  if (db !== undefined) await db.dropDatabase();
  const { database } = await testMongo();
  db = client.db(database);
  session = await new MongodbEngine().open({ uri, database });
  open.push(session);
});

afterAll(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
  await db.dropDatabase();
  await client.close();
});

const dump = (options?: MemoryDumpOptions): Promise<MemoryDump> => dumpIntoMemory(session, options);
const raw = async (name: string): Promise<Buffer[]> => (await db.collection(name).find({}, { raw: true }).toArray()).map((document) => Buffer.from(document as unknown as Uint8Array));

describe('what a dump holds', () => {
  it('is a valid dump of 0 namespaces for an empty database', async () => {
    const { result, header, collections, frames } = await dump();
    expect(result.namespaces).toEqual([]);
    expect(result.consistency).toBe('snapshot');
    expect(result.clusterTime).toMatch(/^\d+\.\d+$/);
    expect(collections).toEqual([]);
    expect(frames).toHaveLength(1);
    expect(header.serverVersion).toBe(result.engineVersion);
    expect(header.serverVersion).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('keeps empty collections', async () => {
    await db.createCollection('empty');
    const { result, collections, documents, frames } = await dump();
    expect(result.namespaces).toEqual([{ name: 'empty', kind: 'collection', documents: 0, bytes: 0, crc64: '0'.repeat(16), sum: '0'.repeat(16), indexes: 1 }]);
    expect(collections.map(({ collection }) => collection)).toEqual(['empty']);
    expect(documents.size).toBe(0);
    expect(frames.map(({ namespaceIndex }) => namespaceIndex)).toEqual([-1, 0]);
  });

  it('holds every BSON type byte for byte', async () => {
    const values = [
      new Double(-0), new Double(NaN), new Double(Infinity), 'text \u0000 \u{1f512}', { nested: { '1': 1, '0': 0 }, empty: {} }, [1, [2, []]], new Binary(Buffer.from([1, 2, 3]), 0),
      new Binary(Buffer.from([1, 2]), 2), new UUID(), new Binary(Buffer.alloc(16, 7), 3), new ObjectId(), true, false, new Date(-1), new Date(8.64e15), null, new BSONRegExp('^a/b"', 'imx'),
      new DBRef('c', new ObjectId()), new Code('return 1'), new Code('return x', { x: 1 }), new BSONSymbol('s'), new Int32(-1), new Timestamp({ t: 1, i: 2 }), new Timestamp({ t: 0, i: 0 }),
      Long.MIN_VALUE, Decimal128.fromString('NaN'), Decimal128.fromString('-0E-6176'), new MinKey(), new MaxKey(), { '': 1, 'a.b': 1, $c: 1 }, undefined,
    ];
    await db.collection<{ _id: Int32; nested: unknown }>('types').insertMany(values.map((value, index) => ({ _id: new Int32(index), nested: { value } })), { ignoreUndefined: false });
    const { documents } = await dump();
    expect(documents.get('types')).toEqual(await raw('types'));
    expect(documents.get('types')).toHaveLength(values.length);
  });

  it('holds documents of 16 MiB', async () => {
    const size = 16 * 1024 * 1024;
    const sized = (bytes: number): { _id: ObjectId; pad: Binary } => {
      const frame = BSON.calculateObjectSize({ _id: new ObjectId(), pad: new Binary(Buffer.alloc(0)) });
      return { _id: new ObjectId(), pad: new Binary(Buffer.alloc(bytes - frame, 5)) };
    };
    for (const bytes of [size, 100, size, size - 1]) await db.collection('large').insertOne(sized(bytes));
    const { documents, result } = await dump();
    expect(documents.get('large')?.map(({ length }) => length)).toEqual([size, 100, size, size - 1]);
    expect(result.namespaces[0]?.sum).toBe(sumOf(await raw('large')));
  });

  it('splits a collection into frames of about 1 MiB that each hold whole blocks', async () => {
    const documents = Array.from({ length: 4_000 }, (_, index) => ({ index, text: 'x'.repeat(index % 3_000) }));
    await Promise.all(['a', 'b', 'c'].map((name) => db.collection(name).insertMany(documents.map((each) => ({ ...each })))));
    const { frames, result, documents: read, header } = await dump({ concurrency: 3 });
    expect(Math.max(...frames.map(({ payload }) => payload.length))).toBeLessThanOrEqual(1024 * 1024);
    expect(frames.length).toBeGreaterThanOrEqual(16);
    expect(header.concurrentCollections).toBe(3);
    for (const { name, sum } of result.namespaces) expect(sum).toBe(sumOf(await raw(name)));
    expect(read.get('b')).toHaveLength(4_000);
  });

  it('keeps names of every sort and leaves out what is not the tenant\'s', async () => {
    const operation = `hf_${newOperation().replaceAll('-', '')}`;
    const names = ['hf_patients', `hf_${'a'.repeat(31)}_1`, 'Ünïcode \u{1f4be}', 'with "quotes" and \'more\'', ' space ', 'new\nline', '%24', '1leading', 'a.b..c', 'system.js', 'x'.repeat(200), 'back\\slash'];
    for (const name of names) await db.collection<{ _id: string }>(name).insertOne({ _id: name });
    await db.collection(`${operation}_7_0`).insertOne({ left: 'by another operation' });
    await db.createCollection(`${operation}_7_t1`, { timeseries: { timeField: 't' } });
    await db.command({ profile: 2 });
    await db.collection('%24').findOne();
    await db.command({ profile: 0 });
    const { result, documents } = await dump();
    expect(result.namespaces.map(({ name }) => name)).toEqual([...names].sort());
    for (const name of names) expect(documents.get(name)).toEqual(await raw(name));
    expect((await session.catalogue()).map(({ name }) => name)).toEqual([...names].sort());
  });

  it('describes every kind of collection and index as the server does, key order included', async () => {
    await makeEveryKind();
    const { result, collections, documents } = await dump();
    const listed = new Map((await db.listCollections().toArray()).map((entry) => [entry.name, entry]));
    expect(collections.map(({ collection }) => collection)).toEqual([...listed.keys()].filter((name) => !name.startsWith('system.')).sort());
    const live = await session.catalogue();
    for (const { collection, kind, metadata } of collections) {
      const { options, indexes, uuid } = parseCollectionMetadata(metadata);
      const state = live.find(({ name }) => name === collection);
      expect({ collection, kind, options: options ?? '{}', indexes }).toEqual({ collection, kind: listed.get(collection)?.type, options: state?.options, indexes: state?.indexes });
      if (kind === 'collection') expect(uuid).toBe(state?.uuid);
      else expect(uuid).toBeNull();
    }
    const indexesOf = (name: string): readonly string[] => live.find((each) => each.name === name)?.indexes ?? [];
    expect(indexesOf('plain').some((text) => text.includes('"key":{"b":{"$numberInt":"1"},"10":{"$numberInt":"-1"},"2":{"$numberInt":"1"}}'))).toBe(true);
    expect(live.find(({ name }) => name === 'plain')?.options).toBe('{}');
    expect(indexesOf('plain').length).toBe((await db.collection('plain').indexes()).length);
    expect(documents.get('system.buckets.series')).toEqual(await raw('system.buckets.series'));
    expect(result.namespaces.find(({ name }) => name === 'series')).toMatchObject({ kind: 'timeseries', documents: (await raw('system.buckets.series')).length });
    expect(result.namespaces.find(({ name }) => name === 'onView')).toMatchObject({ kind: 'view', documents: 0, indexes: 0 });
    for (const name of ['plain', 'capped', 'clustered', 'collated', 'validated']) expect(documents.get(name)).toEqual(await raw(name));
  });

  it('names a capped collection as the exception that makes the backup fuzzy', async () => {
    await db.createCollection('capped', { capped: true, size: 100_000 });
    await db.collection('capped').insertMany([{ n: 3 }, { n: 1 }, { n: 2 }]);
    await db.collection('plain').insertOne({ n: 1 });
    const { result, documents, frames } = await dump();
    expect(result.consistency).toBe('fuzzy');
    expect(result.clusterTime).not.toBeNull();
    expect(result.namespaces.map(({ name, consistency }) => [name, consistency])).toEqual([['capped', 'fuzzy'], ['plain', undefined]]);
    expect(documents.get('capped')).toEqual(await raw('capped'));
    expect(frames.map(({ namespaceIndex }) => namespaceIndex)).toEqual([-1, 1, 0]);
  });

  it('reports progress up to the whole and at a known total', async () => {
    await db.collection('a').insertMany(Array.from({ length: 5_000 }, (_, n) => ({ n })));
    const { progress, log, result } = await dump();
    const last = progress.at(-1);
    expect(last).toMatchObject({ itemsDone: 5_000, itemsTotal: 5_000, current: 'a', bytesDone: result.namespaces[0]?.bytes });
    expect(log.join()).toContain(String(result.clusterTime));
  });
});

async function makeEveryKind(): Promise<void> {
  const plain = db.collection('plain');
  await plain.insertMany([{ b: 1, place: { type: 'Point', coordinates: [1, 2] }, text: 'hello' }, { b: 2 }]);
  await plain.createIndex(new Map([['b', 1], ['10', -1], ['2', 1]]));
  await plain.createIndex({ at: 1 }, { expireAfterSeconds: 3_600 });
  await plain.createIndex({ title: 'text', text: 'text' }, { weights: { text: 5, title: 2 }, default_language: 'german' });
  await plain.createIndex({ place: '2dsphere' });
  await plain.createIndex({ h: 'hashed' });
  await plain.createIndex({ p: 1 }, { partialFilterExpression: { p: { $gt: 5 } } });
  await plain.createIndex({ '$**': 1 }, { wildcardProjection: { secret: 0 } });
  await plain.createIndex({ hidden: 1 }, { hidden: true });
  await plain.createIndex({ s: 1 }, { sparse: true, unique: true });
  await plain.createIndex({ de: 1 }, { collation: { locale: 'de', strength: 2 } });
  await db.createCollection('capped', { capped: true, size: 65_536, max: 10 });
  await db.collection('capped').insertMany([{ n: 2 }, { n: 1 }]);
  await db.createCollection('clustered', { clusteredIndex: { key: { _id: 1 }, unique: true, name: 'by id' }, expireAfterSeconds: 100_000 });
  await db.collection<{ _id: Date }>('clustered').insertOne({ _id: new Date() });
  await db.createCollection('collated', { collation: { locale: 'fr', caseLevel: true } });
  await db.collection('collated').insertOne({ x: 1 });
  await db.collection('validated').insertOne({ breaks: 'the validator' });
  await db.command({ collMod: 'validated', validator: { $jsonSchema: { required: ['must'] } }, validationAction: 'error' });
  await db.createCollection('series', { timeseries: { timeField: 't', metaField: 'm', granularity: 'minutes' }, expireAfterSeconds: 1_000_000 });
  await db.collection('series').insertMany(Array.from({ length: 50 }, (_, n) => ({ t: new Date(Date.now() + n), m: n % 5, n })));
  await db.collection('series').createIndex({ 'm.x': 1, t: 1 });
  await db.createCollection('view', { viewOn: 'plain', pipeline: [{ $match: { b: { $gt: 0 } } }, { $project: { '10': 1, '2': 1 } }], collation: { locale: 'de' } });
  await db.createCollection('onView', { viewOn: 'view', pipeline: [], collation: { locale: 'de' } });
  await db.createCollection('ofSeries', { viewOn: 'series', pipeline: [] });
}

describe('reading at one moment', () => {
  it('keeps the sum of accounts while money moves between collections', async () => {
    const accounts = 200;
    const side = (name: string): Collection<{ _id: number; balance: number; pad: string }> => db.collection(name);
    for (const name of ['left', 'right']) {
      await side(name).insertMany(Array.from({ length: accounts }, (_, index) => ({ _id: index, balance: 1_000, pad: 'x'.repeat(10_000) })));
    }
    const writing = new AbortController();
    const transfer = async (): Promise<number> => {
      let transfers = 0;
      for (; !writing.signal.aborted; transfers += 1) {
        await client.withSession((each) => each.withTransaction(async () => {
          const amount = 1 + (transfers % 50);
          const id = Math.floor(Math.random() * accounts);
          await side('left').updateOne({ _id: id }, { $inc: { balance: -amount } }, { session: each });
          await side('right').updateOne({ _id: accounts - 1 - id }, { $inc: { balance: amount } }, { session: each });
        }));
      }
      return transfers;
    };
    const writers = [transfer(), transfer()];
    // The collections are read one after the other, and transfers happen between their frames.
    const { result } = await dump({
      concurrency: 1,
      async onFrame() {
        const before = await transferred();
        while ((await transferred()) < before + 5) await db.command({ ping: 1 });
      },
    }).then(async (done) => {
      writing.abort();
      expect((await Promise.all(writers)).reduce((a, b) => a + b)).toBeGreaterThan(10);
      const sum = ['left', 'right'].flatMap((name) => done.documents.get(name) ?? []).reduce((total, document) => total + balanceOf(document), 0);
      expect(sum).toBe(2 * accounts * 1_000);
      return done;
    }).finally(() => writing.abort());
    expect(result.consistency).toBe('snapshot');
    async function transferred(): Promise<number> {
      const status = await client.db('admin').command({ serverStatus: 1 });
      return Number(status['transactions'].totalCommitted);
    }
  });

  it('holds exactly the writes up to its cluster time', async () => {
    const counter = db.collection<{ _id: number }>('counter');
    await counter.insertMany(Array.from({ length: 20_000 }, (_, n) => ({ _id: -1 - n })));
    const writing = new AbortController();
    const times: [number, bigint][] = [];
    const writer = (async () => {
      for (let n = 0; !writing.signal.aborted; n += 1) {
        const reply = await db.command({ insert: 'counter', documents: [{ _id: n }] });
        times.push([n, timeOf(reply['operationTime'])]);
      }
    })();
    try {
      while (times.length < 20) await db.command({ ping: 1 });
      const { result, documents } = await dump({
        async onFrame() {
          const before = times.length;
          while (times.length < before + 5) await db.command({ ping: 1 });
        },
      });
      writing.abort();
      await writer;
      const [seconds, ordinal] = String(result.clusterTime).split('.');
      const moment = (BigInt(String(seconds)) << 32n) | BigInt(String(ordinal));
      const expected = times.filter(([, time]) => time <= moment).map(([n]) => n);
      const found = (documents.get('counter') ?? []).map((document) => document.readInt32LE(9)).filter((n) => n >= 0);
      expect(found.sort((a, b) => a - b)).toEqual(expected);
      expect(expected.length).toBeGreaterThanOrEqual(20);
      expect(times.length).toBeGreaterThan(expected.length);
    } finally {
      writing.abort();
      await writer;
    }
  });

  it('ignores collections and indexes that are created while it reads', async () => {
    await db.collection('a').insertMany(Array.from({ length: 10_000 }, (_, n) => ({ n, pad: 'x'.repeat(300) })));
    await db.collection('z').insertOne({ n: 1 });
    let isDone = false;
    const { result } = await dump({
      concurrency: 1,
      async onFrame() {
        if (isDone) return;
        isDone = true;
        await db.createCollection('later');
        await db.collection('a').createIndex({ n: 1 });
        await db.collection('z').createIndex({ n: 1 });
        await db.command({ collMod: 'z', validator: { n: 1 } });
      },
    });
    expect(result.namespaces.map(({ name, documents, indexes }) => [name, documents, indexes])).toEqual([['a', 10_000, 1], ['z', 1, 1]]);
  });
});

describe('collections that change under a dump', () => {
  const documents = Array.from({ length: 12_000 }, (_, n) => ({ n, pad: 'x'.repeat(1_000) }));

  const changes: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['dropped', () => db.collection('victim').drop()],
    ['renamed', () => db.collection('victim').rename('elsewhere')],
    ['replaced', async () => (await db.collection('victim').drop(), db.collection('victim').insertOne({ n: 1 }))],
    ['replaced by $out', () => db.collection('other').aggregate([{ $out: 'victim' }]).toArray()],
  ];

  it.each(changes)('names one that is %s before it is read, and reads it first the next time', async (_, change) => {
    await db.collection('other').insertMany(documents.map((each) => ({ ...each })));
    await db.collection('victim').insertMany([{ n: 0 }, { n: 1 }]);
    let changed: Promise<unknown> | undefined;
    // "other" has more frames than may wait at once: "victim" is opened after the first of them was accepted.
    const attempt = dump({ concurrency: 1, onFrame: async (index) => void (index === 0 && (await (changed ??= change()))) });
    await expect(attempt).rejects.toMatchObject({ code: 'COLLECTION_CHANGED', message: expect.stringContaining('"victim"') });
    const { frames, result } = await dump({ concurrency: 1 });
    const index = result.namespaces.findIndex(({ name }) => name === 'victim');
    if (index >= 0) expect(frames[1]?.namespaceIndex).toBe(index);
    for (const { name, sum } of result.namespaces) expect(sum).toBe(sumOf(await raw(name)));
  });

  it('never ends a half-read collection as a whole one, and reads no other to its end', async () => {
    await db.collection('victim').insertMany(documents.map((each) => ({ ...each })));
    await db.collection('long').insertMany(Array.from({ length: 24_000 }, (_, n) => ({ n, pad: 'x'.repeat(1_000) })));
    const frames = [0, 0];
    let dropped: Promise<unknown> | undefined;
    const attempt = dump({
      async onFrame(index) {
        if (index < 0) return;
        frames[index] = (frames[index] ?? 0) + 1;
        if (index === 1) await (dropped ??= db.collection('victim').drop());
      },
    });
    await expect(attempt).rejects.toMatchObject({ code: 'COLLECTION_CHANGED', message: expect.stringContaining('"victim"') });
    expect(frames[0]).toBeLessThan(24);
    expect(frames[1]).toBeLessThan(12);
  });

  /** The session's own context, with something happening just before each command that `isMoment` picks. */
  async function interrupted(isMoment: (command: Document) => boolean, happen: () => Promise<unknown>): Promise<MongodbContext> {
    const context = await connect({ uri, database: db.databaseName });
    contexts.push(context);
    const hooked = new Proxy(context.db, {
      get(target, property): unknown {
        if (property === 'command') {
          return async (command: Document, options: RunCommandOptions) => {
            if (isMoment(command)) await happen();
            return target.command(command, options);
          };
        }
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    return { ...context, db: hooked };
  }
  const contexts: MongodbContext[] = [];
  afterAll(() => Promise.all(contexts.map((context) => context.client.close())));
  const work: Work = { signal: new AbortController().signal, report: () => undefined, log: () => undefined };
  const isPing = (command: Document): boolean => 'ping' in command;
  const replace = (): Promise<unknown> => db.collection('source').aggregate([{ $out: 'busy' }]).toArray();

  it('lists again when a collection came or went while the cluster time was taken', async () => {
    await db.collection('source').insertOne({ n: 1 });
    let rounds = 0;
    const context = await interrupted(isPing, async () => {
      rounds += 1;
      if (rounds === 1) await db.collection('late').insertOne({ n: 1 });
      if (rounds === 2) await db.collection('source').rename('other');
    });
    const settled = await settleCatalogue(context, work.signal);
    expect(settled.namespaces.map(({ name }) => name)).toEqual(['late', 'other']);
    expect(rounds).toBe(3);
  });

  it('takes the later of two lists that differ in indexes and options alone', async () => {
    await db.collection('source').insertOne({ n: 1 });
    let rounds = 0;
    const context = await interrupted(isPing, async () => {
      rounds += 1;
      await db.collection('source').createIndex({ n: 1 });
    });
    const settled = await settleCatalogue(context, work.signal);
    expect(settled.namespaces.map(({ indexes }) => indexes.length)).toEqual([2]);
    expect(rounds).toBe(1);
  });

  it('gives up naming a collection that is replaced each time the cluster time is taken', async () => {
    await db.collection('source').insertOne({ n: 1 });
    await replace();
    const context = await interrupted(isPing, replace);
    await expect(settleCatalogue(context, work.signal)).rejects.toMatchObject({ code: 'COLLECTION_CHANGED', message: expect.stringContaining('"busy"') });
  });

  it('tries a volatile collection three times before it writes anything', async () => {
    await db.collection('source').insertOne({ n: 1 });
    await replace();
    let replaced = 0;
    const always = await interrupted((command) => command['find'] === 'busy', () => ((replaced += 1), replace()));
    let frames = 0;
    const sink = { writeFrame: () => ((frames += 1), Promise.resolve()) };
    await expect(dumpFrom(always, sink, {}, work, new Set(['busy']))).rejects.toMatchObject({ code: 'COLLECTION_CHANGED', message: expect.stringContaining('"busy"') });
    expect([replaced, frames]).toEqual([3, 0]);
    const twice = await interrupted((command) => command['find'] === 'busy' && (replaced += 1) <= 5, replace);
    const result = await dumpFrom(twice, sink, {}, work, new Set(['busy']));
    expect(result.namespaces.find(({ name }) => name === 'busy')?.sum).toBe(sumOf(await raw('busy')));
  });
});

describe('set-aside collections', () => {
  it('stand in the archive under their own names', async () => {
    await makeEveryKind();
    const states = await session.catalogue();
    const before = new Map(await Promise.all(['plain', 'capped', 'system.buckets.series'].map(async (name) => [name, await raw(name)] as const)));
    await db.collection('plain').rename('hf_x_old_0');
    await db.collection('capped').rename('hf_x_old_1');
    await db.collection('system.buckets.series').aggregate([{ $out: 'hf_x_old_2' }]).toArray();
    await db.collection('plain').insertOne({ of: 'the new plain' });
    const old = new Map([['plain', 'hf_x_old_0'], ['capped', 'hf_x_old_1'], ['series', 'hf_x_old_2']]);
    const only = states.filter(({ name }) => old.has(name) || name === 'view').map(({ name, kind, uuid, options, indexes }) => ({
      name, kind, old: old.get(name) ?? null, uuid: kind === 'collection' ? uuid : null, options, indexes: kind === 'timeseries' ? indexes : [],
    }));
    const { result, collections, documents } = await dump({ only });
    expect(result.namespaces.map(({ name, kind }) => [name, kind])).toEqual([['capped', 'collection'], ['plain', 'collection'], ['series', 'timeseries'], ['view', 'view']]);
    for (const [name, expected] of before) expect(documents.get(name)).toEqual(expected);
    for (const { collection, metadata } of collections) {
      const { options, indexes } = parseCollectionMetadata(metadata);
      const state = states.find(({ name }) => name === collection);
      expect([options ?? '{}', indexes]).toEqual([state?.options, state?.indexes]);
    }
  });

  it('refuses one that has gone or is not the one that was meant', async () => {
    const none = { name: 'a', kind: 'collection', old: 'hf_x_old_0', uuid: null, options: '{}', indexes: [] } as const;
    await expect(dump({ only: [none] })).rejects.toMatchObject({ code: 'COLLECTION_CHANGED' });
    await db.createCollection('hf_x_old_0');
    await expect(dump({ only: [{ ...none, uuid: '0'.repeat(32) }] })).rejects.toMatchObject({ code: 'COLLECTION_CHANGED' });
    await expect(dump({ only: [none] })).resolves.toMatchObject({ result: { namespaces: [{ name: 'a', documents: 0 }] } });
  });
});

describe('the end of a dump', () => {
  it('leaves nothing in memory, though the work goes on', async () => {
    await db.collection('a').insertOne({ n: 1 });
    const { signal } = new AbortController();
    const dumpOnce = async (): Promise<WeakRef<object>> => {
      const sink = { writeFrame: () => Promise.resolve() };
      await session.dump(sink, {}, { signal, report: () => undefined, log: () => undefined });
      return new WeakRef(sink);
    };
    expect(await isCollected(await dumpOnce())).toBe(true);
  });
});

describe('the end of a dump before its time', () => {
  const many = Array.from({ length: 6_000 }, (_, n) => ({ n, pad: 'x'.repeat(2_000) }));
  /** Of this database alone: the server is shared with other specs. */
  const openCursors = async (): Promise<number> => {
    const found = await client.db('admin').aggregate([{ $currentOp: { allUsers: true, idleCursors: true } }, { $match: { ns: { $regex: `^${db.databaseName}[.]` }, cursor: { $exists: true } } }]).toArray();
    return found.length;
  };

  it('stops when it is aborted, with the reason of the signal, and frees its cursors', async () => {
    await Promise.all(['a', 'b', 'c'].map((name) => db.collection(name).insertMany(many.map((each) => ({ ...each })))));
    const before = await openCursors();
    const abort = new AbortController();
    const reason = new AppError('CANCELED', 'Cancelled by a test');
    const started = Date.now();
    const stuck = dump({ signal: abort.signal, onFrame: (index) => (index < 0 ? undefined : (abort.abort(reason), new Promise<void>(() => undefined))) });
    await expect(stuck).rejects.toBe(reason);
    expect(Date.now() - started).toBeLessThan(5_000);
    while ((await openCursors()) > before) await db.command({ ping: 1 });
  });

  it('passes an error of the sink on and stops reading', async () => {
    await Promise.all(['a', 'b'].map((name) => db.collection(name).insertMany(many.map((each) => ({ ...each })))));
    const before = await openCursors();
    const full = new AppError('STORAGE_FULL', 'No room');
    let frames = 0;
    await expect(dump({ onFrame: () => (++frames === 3 ? Promise.reject(full) : undefined) })).rejects.toBe(full);
    expect(frames).toBeLessThan(12);
    while ((await openCursors()) > before) await db.command({ ping: 1 });
  });

  it('reads no further than a slow sink allows', async () => {
    await db.collection('a').insertMany(many);
    const abort = new AbortController();
    const waiting: (() => void)[] = [];
    const slow = dump({ signal: abort.signal, concurrency: 1, onFrame: () => new Promise<void>((resolve) => void waiting.push(resolve)) });
    while (waiting.length < 5) await db.command({ ping: 1 });
    for (let round = 0; round < 200; round += 1) await db.command({ ping: 1 });
    expect(waiting).toHaveLength(5);
    const release = setInterval(() => waiting.splice(0).forEach((resolve) => resolve()), 5);
    await expect(slow).resolves.toMatchObject({ result: { namespaces: [{ documents: many.length }] } });
    clearInterval(release);
  });
});

function balanceOf(document: Buffer): number {
  const text = bsonToExtendedJson(document);
  return Number(/"balance":\{"\$numberInt":"(-?\d+)"\}/.exec(text)?.[1]);
}

function timeOf(time: Timestamp): bigint {
  return (BigInt(time.getHighBitsUnsigned()) << 32n) | BigInt(time.getLowBitsUnsigned());
}
