import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { BSON, Timestamp, type Db, type Document } from 'mongodb';
import { testMongo } from '../../../test/support/servers.ts';
import { archiveOf, hashes, namesIn, newOperation, planned, worker, type TestNamespace } from '../../../test/support/restore-fixture.ts';
import type { EngineSession } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';

const bson = (document: object): Buffer => Buffer.from(BSON.serialize(document));
const idIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';

/** Put together from the inside: the library itself refuses such a document. */
function nested(levels: number): Buffer {
  let document = Buffer.from([5, 0, 0, 0, 0]);
  for (let level = 0; level < levels; level += 1) {
    const length = Buffer.alloc(4);
    length.writeInt32LE(document.length + 8);
    document = Buffer.concat([length, Buffer.from([3, 0x61, 0]), document, Buffer.from([0])]);
  }
  return document;
}

describe('staging', () => {
  let context: MongodbContext;
  let session: EngineSession;
  let db: Db;

  beforeAll(async () => {
    context = await connect(await testMongo());
    session = new MongodbSession(context);
    db = context.db;
  });
  beforeEach(async () => {
    await db.dropDatabase();
  });
  afterAll(async () => {
    await db.dropDatabase();
    await session.close();
  });

  async function refusal(...namespaces: TestNamespace[]): Promise<unknown> {
    await db.collection('live').insertOne({ a: 1 });
    const before = await hashes(db);
    const operation = newOperation();
    const error: unknown = await session.stage(await archiveOf(namespaces), worker(operation)).then(
      () => 'staged',
      (thrown: unknown) => thrown,
    );
    await session.dropStage(operation, worker(operation));
    expect(await namesIn(db)).toEqual(['live']);
    expect(await hashes(db)).toEqual(before);
    return error;
  }

  it.each([
    ['the database admin', { name: 'a', db: 'admin' }, /"admin"/],
    ['the database local', { name: 'a', db: 'local' }, /"local"/],
    ['an oplog', { name: 'oplog', db: '' }, /oplog/],
    ['names with $', { name: '$admin.system.users' }, /system\.users/],
    ["the server's own collections", { name: 'system.users' }, /system\.users/],
    ["Holdfast's own names", { name: `hf_${'a'.repeat(32)}_old_0` }, /Holdfast's own/],
    ['names that begin with a dot', { name: '../secrets' }, /secrets/],
    ['Queryable Encryption', { name: 'a', options: '{"encryptedFields":{"fields":[]}}' }, /Queryable Encryption/],
  ])('refuses %s', async (_, namespace, message) => {
    expect(await refusal(namespace)).toMatchObject({ code: 'ARCHIVE_UNSUPPORTED', message: expect.stringMatching(message) });
  });

  it('leaves a live time series alone when a view of the archive lies directly over its buckets', async () => {
    await db.createCollection('metrics', { timeseries: { timeField: 't' } });
    await db.collection('metrics').insertMany([{ t: new Date(), a: 1 }, { t: new Date(), a: 2 }]);
    const operation = newOperation();
    await session.stage(await archiveOf([{ name: 'v', kind: 'view', options: '{"viewOn":"system.buckets.metrics","pipeline":[]}' }]), worker(operation)).catch(() => undefined);
    await session.dropStage(operation, worker(operation));
    expect(await db.collection('metrics').countDocuments()).toBe(2);
  });

  it('refuses archives of several databases', async () => {
    expect(await refusal({ name: 'a', db: 'one' }, { name: 'a', db: 'two' })).toMatchObject({ code: 'ARCHIVE_UNSUPPORTED' });
  });

  const index = (rest: string): string => `{"v":{"$numberInt":"2"},${rest}}`;
  it.each([
    ['options', { name: 'a', options: '{"notAnOption":true}' }, /"a".*notAnOption/],
    ['validators', { name: 'a', options: '{"validator":{"$nonsense":1}}' }, /"a".*nonsense/],
    ['views', { name: 'a', kind: 'view' as const, options: '{"viewOn":"b","pipeline":[{"$nonsense":1}]}' }, /"a".*nonsense/],
    ['views that write', { name: 'a', kind: 'view' as const, options: '{"viewOn":"b","pipeline":[{"$out":"c"}]}' }, /"a".*\$out/],
    ['kinds of index', { name: 'a', indexes: [idIndex, index('"key":{"x":"nonsense"},"name":"x"')] }, /"a".*nonsense/],
    ['TTL that the server cannot have', { name: 'a', indexes: [idIndex, index('"key":{"x":{"$numberInt":"1"},"y":{"$numberInt":"1"}},"name":"xy","expireAfterSeconds":{"$numberInt":"5"}')] }, /"a".*TTL/],
    ['names that are too long here', { name: 'x'.repeat(245) }, /too long/],
    ['documents that are nested deeper than any server takes', { name: 'a', documents: [nested(300)] }, /document of collection "a".*nested/],
    ['documents that are no BSON inside', { name: 'a', documents: [Buffer.from([9, 0, 0, 0, 0x42, 0x61, 0, 1, 0])] }, /document of collection "a".*no valid BSON/],
    ['documents twice', { name: 'a', documents: [bson({ _id: 1 }), bson({ _id: 1 })] }, /"a".*same _id/],
  ])('names the collection whose %s it cannot build', async (_, namespace, message) => {
    expect(await refusal(namespace)).toMatchObject({ code: 'STAGE_REJECTED', message: expect.stringMatching(message) });
  });

  it('names the unique index that the documents break, and quotes no document', async () => {
    const unique = index('"key":{"mail":{"$numberInt":"1"}},"name":"by mail","unique":true');
    const error = await refusal({ name: 'people', indexes: [idIndex, unique], documents: [bson({ _id: 1, mail: 'ann@example.org' }), bson({ _id: 2, mail: 'ann@example.org' })] });
    expect(error).toMatchObject({ code: 'STAGE_REJECTED', message: 'The documents of collection "people" break its unique index "by mail"' });
  });

  it('leaves out index options that no server knows, and says so', async () => {
    const unknown = index('"key":{"x":{"$numberInt":"1"}},"name":"x","futureOption":true');
    const source = await archiveOf([{ name: 'a', indexes: [idIndex, unknown] }]);
    const staged = await session.stage(source, worker(newOperation()));
    expect(staged.warnings).toEqual([expect.stringContaining('futureOption')]);
    await session.checkStage(staged, source, worker(newOperation()));
  });

  it('keeps indexes with and without a collation on a collection that has one', async () => {
    const collated = await db.createCollection('collated', { collation: { locale: 'de', strength: 2 } });
    await collated.createIndex({ name: 'text' }, { name: 'search', collation: { locale: 'simple' } });
    await collated.createIndex({ name: 1 }, { name: 'exact', unique: true, collation: { locale: 'simple' } });
    await collated.createIndex({ name: -1 }, { name: 'own', collation: { locale: 'fr' } });
    await collated.createIndex({ other: 1 }, { name: 'inherited' });
    const ejson = (value: object): string => BSON.EJSON.stringify(value, { relaxed: false });
    const { collation } = await collated.options();
    const indexes = (await collated.listIndexes().toArray()).map(ejson);
    await collated.drop();
    // Only without the collection's own collation are these two names different.
    const documents = [bson({ _id: 1, name: 'öl' }), bson({ _id: 2, name: 'Öl' })];
    const source = await archiveOf([{ name: 'collated', options: ejson({ collation }), indexes, documents }]);
    const work = worker(newOperation());
    const { plan, staged } = await planned(session, source, work);
    expect(staged.warnings).toEqual([]);
    await session.swap(plan, work);
    expect((await db.collection('collated').listIndexes().toArray()).map(ejson).sort()).toEqual(indexes.sort());
  });

  it('keeps zero timestamps, dollars, dots, and empty and repeated names', async () => {
    const zero = new Timestamp({ t: 0, i: 0 });
    // Ends in a second field `a`.
    const repeated = Buffer.concat([bson({ _id: 3, z: zero, a: 1 }).subarray(0, -1), Buffer.from('1061000200000000', 'hex')]);
    repeated.writeInt32LE(repeated.length, 0);
    const documents = [bson({ _id: 1, z: zero, nested: { z: zero }, 'a.b': 1, $c: 1, '': 1 }), bson({ _id: { x: 1, z: zero }, z: zero }), repeated, bson({ _id: zero, z: zero })];
    const source = await archiveOf([
      { name: 'plain', indexes: [idIndex], documents },
      { name: 'capped', options: '{"capped":true,"size":{"$numberInt":"65536"}}', indexes: [idIndex], documents: documents.toReversed() },
    ]);
    const work = worker(newOperation());
    const { plan } = await planned(session, source, work);
    await session.swap(plan, work);
    for (const [name, wanted] of [['plain', documents], ['capped', documents.toReversed()]] as const) {
      const found = (await db.collection(name).find({}, { raw: true, hint: { $natural: 1 } }).toArray()).map((document) => Buffer.from(document as unknown as Uint8Array).toString('hex'));
      expect(found.sort()).toEqual(wanted.map((document) => document.toString('hex')).sort());
    }
  });

  it('restores names with quotes, spaces, line breaks, other scripts and 200 bytes', async () => {
    const names = ['hf_patients', 'line\nbreak', 'quo"te\'s', 'with space', 'コレクション', '%24', '1', 'n'.repeat(200), 'system.js', 'a.b', 'a\\b'];
    const source = await archiveOf(names.map((name, n) => ({ name, indexes: [idIndex], documents: [bson({ _id: n })] })));
    const work = worker(newOperation());
    await session.swap((await planned(session, source, work)).plan, work);
    expect(await namesIn(db)).toEqual([...names].sort());
    await Promise.all(names.map(async (name, n) => expect(await db.collection(name).findOne({})).toEqual({ _id: n })));
  });

  it('finds out what differs from the archive', async () => {
    const source = await archiveOf([
      { name: 'a', indexes: [idIndex, index('"key":{"x":{"$numberInt":"1"}},"name":"x"')], documents: [bson({ _id: 1, x: 1 }), bson({ _id: 2, x: 2 })] },
      { name: 'capped', options: '{"capped":true,"size":{"$numberInt":"65536"}}', indexes: [idIndex], documents: [bson({ _id: 1 }), bson({ _id: 2 })] },
    ]);
    const work = worker(newOperation());
    const staged = await session.stage(source, work);
    const [a, capped] = staged.namespaces.map(({ staged: name }) => name ?? '');
    const check = (): Promise<void> => session.checkStage(staged, source, work);
    const plain = db.collection<{ _id: number }>(a ?? '');
    const mismatch = (message: RegExp): object => ({ code: 'STAGE_MISMATCH', message: expect.stringMatching(message) });
    await check();
    await plain.updateOne({ _id: 1 }, { $set: { x: 9 } });
    await expect(check()).rejects.toMatchObject(mismatch(/"a": the staged documents differ/));
    await plain.deleteOne({ _id: 1 });
    await expect(check()).rejects.toMatchObject(mismatch(/1 of 2 documents/));
    await plain.insertOne({ _id: 1, x: 1 } as { _id: number });
    await check();
    await plain.dropIndex('x');
    await expect(check()).rejects.toMatchObject(mismatch(/0 of 1 indexes/));
    await plain.createIndex({ x: -1 }, { name: 'x' });
    await expect(check()).rejects.toMatchObject(mismatch(/"key" of its index "x"/));
    await plain.dropIndex('x');
    await plain.createIndex({ x: 1 }, { name: 'x' });
    await db.command({ collMod: a, validator: { x: 1 } });
    await expect(check()).rejects.toMatchObject(mismatch(/option "validator"/));
    await db.command({ collMod: a, validator: {} });
    await check();
    await db.dropCollection(capped ?? '');
    await expect(check()).rejects.toMatchObject(mismatch(/"capped".*disappeared/));
  });

  it('creates, fills and indexes a group of many collections before the next one', async () => {
    const last = 256;
    const names = Array.from({ length: last + 2 }, (_, n) => `c${String(n).padStart(3, '0')}`);
    const byX = index('"key":{"x":{"$numberInt":"1"}},"name":"x"');
    const source = await archiveOf(names.map((name, n) => ({ name, indexes: n === 1 || n === last ? [idIndex, byX] : [idIndex], documents: n === 7 ? [] : [bson({ _id: n, x: 1 })] })));
    const work = worker(newOperation());
    const staged = await session.stage(source, work);
    await session.checkStage(staged, source, work);
    const oplog = await context.client.db('local').collection<{ o: Document; ns: string }>('oplog.rs').find({ ns: { $regex: `^${db.databaseName}\\.` } }).sort({ $natural: 1 }).toArray();
    const seen = oplog.flatMap(({ o, ns }) => {
      const verb = ['create', 'startIndexBuild', 'commitIndexBuild'].find((name) => name in o) ?? 'insert';
      const place = new RegExp(`hf_${work.operationId.replaceAll('-', '')}_1_(\\d+)$`).exec(verb === 'insert' ? ns : String(o[verb]))?.[1];
      return place === undefined ? [] : [`${verb} ${Number(place) < last ? 'first' : 'second'}`];
    });
    expect(seen.filter((entry, at) => entry !== seen[at - 1])).toEqual([
      'create first', 'insert first', 'startIndexBuild first', 'commitIndexBuild first', 'create second', 'insert second', 'startIndexBuild second', 'commitIndexBuild second',
    ]);
    expect(seen.filter((entry) => entry.startsWith('create'))).toHaveLength(names.length);
  });

  it('stops within the lease and on a cancel', async () => {
    const source = await archiveOf([{ name: 'a', documents: [bson({ _id: 1 })] }]);
    await expect(session.stage(source, { ...worker(newOperation()), leaseRemainingMs: () => 500 })).rejects.toMatchObject({ code: 'LEASE_LOST' });
    const canceled = new AbortController();
    const reason = new Error('canceled');
    canceled.abort(reason);
    await expect(session.stage(source, worker(newOperation(), 1, canceled.signal))).rejects.toBe(reason);
  });
});
