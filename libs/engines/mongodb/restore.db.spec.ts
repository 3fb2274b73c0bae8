import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BSON, ObjectId, type Db } from 'mongodb';
import { jsonFixture } from '../../../test/support/fixtures.ts';
import { testMongo } from '../../../test/support/servers.ts';
import type { EngineSession, PayloadSource } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';
import { archiveOf, everyShape, hashes, namesIn, newOperation, planned, worker } from '../../../test/support/restore-fixture.ts';

const fixture = jsonFixture<{ collections: Record<string, string> }>('mongodump/every-shape.dbhash.json').collections;
const { 'system.views': _, ...everyHash } = fixture;

describe('a restore of every shape', () => {
  let uri: string;
  let database: string;
  let context: MongodbContext;
  let session: EngineSession;
  let db: Db;
  let source: PayloadSource;

  beforeAll(async () => {
    ({ uri, database } = await testMongo());
    context = await connect({ uri, database });
    session = new MongodbSession(context);
    db = context.db;
    source = await everyShape();
  });
  afterAll(async () => {
    await db.dropDatabase();
    await session.close();
  });

  it('puts every document, option and index into an empty database as they were', async () => {
    const work = worker(newOperation());
    const { staged, plan } = await planned(session, source, work);
    expect(await hashes(db)).toEqual({});
    expect(staged.warnings).toEqual([expect.stringContaining('"validated"')]);
    const report = await session.swap(plan, work);
    await session.dropOld(plan, work);

    expect(await hashes(db)).toEqual(everyHash);
    expect(await namesIn(db)).toEqual(expect.not.arrayContaining([expect.stringMatching(/hf_/)]));
    expect(report).toMatchObject({ replaced: [], dropped: [], interlopers: [], warnings: [] });
    expect(report.added).toHaveLength(staged.namespaces.length);
    for (const live of await session.catalogue()) {
      const wanted = staged.namespaces.find(({ name }) => name === live.name);
      expect({ name: live.name, options: live.options, indexes: live.indexes }).toEqual({ name: wanted?.name, options: wanted?.options, indexes: wanted?.indexes });
    }
  });

  it('replaces a database in which everything is of another kind', async () => {
    await db.dropDatabase();
    await db.collection('orders').insertMany([{ _id: new ObjectId(), before: true }]);
    await db.collection('only_before').insertOne({ before: true });
    await db.createCollection('paid_orders', { viewOn: 'orders', pipeline: [{ $match: { before: true } }] });
    await db.createCollection('paid_big', { timeseries: { timeField: 't' } });
    await db.collection('paid_big').insertOne({ t: new Date(), before: true });
    await db.createCollection('empty', { viewOn: 'orders', pipeline: [] });
    await db.createCollection('flex', { timeseries: { timeField: 't' } });
    await db.createCollection('view_before', { viewOn: 'paid_orders', pipeline: [], collation: { locale: 'de' } }).catch(() => undefined);
    await db.createCollection('metrics', { timeseries: { timeField: 't', metaField: 'other' } });
    await db.collection('metrics').insertOne({ t: new Date(), other: 1, before: true });
    await db.createCollection('series_before', { timeseries: { timeField: 't' } });
    await db.collection('series_before').insertOne({ t: new Date(), before: true });

    const work = worker(newOperation());
    const { plan } = await planned(session, source, work);
    const report = await session.swap(plan, work);
    expect(await hashes(db)).toEqual(everyHash);
    expect(report.replaced).toEqual(['empty', 'flex', 'metrics', 'orders', 'paid_big', 'paid_orders']);
    expect(report.dropped).toEqual(['only_before', 'series_before']);
    expect(report.interlopers).toEqual([]);

    const old = plan.old.find(({ name }) => name === 'series_before')?.old ?? '';
    expect(await db.collection(old).countDocuments()).toBe(1);
    await session.dropOld(plan, work);
    await session.dropOld(plan, work);
    expect((await namesIn(db)).filter((name) => name.includes('hf_'))).toEqual([]);
    expect(await hashes(db)).toEqual(everyHash);
  });

  it('changes nothing when the database is already the archived one, and puts it back over itself', async () => {
    const before = await hashes(db);
    const work = worker(newOperation());
    const { plan } = await planned(session, source, work);
    expect(plan.steps.filter(({ kind }) => kind === 'view' || kind === 'dropView')).toEqual([]);
    await session.swap(plan, work);
    await session.dropOld(plan, work);
    expect(await hashes(db)).toEqual(before);
  });

  it('drops the stage of every token, and nothing else', async () => {
    const before = await namesIn(db);
    const operation = newOperation();
    await session.stage(source, worker(operation, 1));
    await session.stage(source, worker(operation, 12));
    await db.createCollection(`hf_${operation.replaceAll('-', '')}_old_0`);
    await session.dropStage(operation, worker(operation));
    await session.dropStage(operation, worker(operation));
    expect(await namesIn(db)).toEqual([...before, `hf_${operation.replaceAll('-', '')}_old_0`].sort());
    await db.dropCollection(`hf_${operation.replaceAll('-', '')}_old_0`);
  });

  it('leaves a later worker its stage when an earlier one begins again', async () => {
    const operation = newOperation();
    const later = await session.stage(source, worker(operation, 2));
    await session.stage(source, worker(operation, 1));
    await session.checkStage(later, source, worker(operation, 2));
    await session.dropStage(operation, worker(operation));
  });
});

describe('an index whose fields have names like numbers', () => {
  it('keeps the order of its fields', async () => {
    const { uri, database } = await testMongo();
    const session = new MongodbSession(await connect({ uri, database }));
    const index = '{"v":{"$numberInt":"2"},"key":{"b":{"$numberInt":"1"},"10":{"$numberInt":"-1"},"2":{"$numberInt":"1"}},"name":"mixed"}';
    const id = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';
    const source = await archiveOf([{ name: 'a', indexes: [id, index], documents: [Buffer.from(BSON.serialize({ _id: 1 }))] }]);
    const work = worker(newOperation());
    const { plan } = await planned(session, source, work);
    await session.swap(plan, work);
    expect((await session.catalogue())[0]?.indexes).toEqual([id, index]);
    await session.close();
  });
});

