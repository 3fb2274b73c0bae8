import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { BSON, ObjectId, type Db } from 'mongodb';
import { startMongod, type OwnMongod } from '../../../test/support/servers.ts';
import { archiveOf, hashes, namesIn, newOperation, planned, worker } from '../../../test/support/restore-fixture.ts';
import type { EngineSession, PayloadSource, SwapStep } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { dropView } from './free-name.js';
import { MongodbSession } from './mongodb-session.js';
import { SwapRun } from './swap-run.js';

const bson = (document: object): Buffer => Buffer.from(BSON.serialize(document));
const idIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';

/** What a product may do to its database while Holdfast restores it. */
describe('a product that goes on during a restore', () => {
  let server: OwnMongod;
  let context: MongodbContext;
  let session: EngineSession;
  let db: Db;
  let source: PayloadSource;

  beforeAll(async () => {
    server = await startMongod({ args: ['--setParameter', 'ttlMonitorSleepSecs=1'] });
    context = await connect({ uri: server.uri, database: 'tenant' });
    session = new MongodbSession(context);
    db = context.db;
    source = await archiveOf([
      { name: 'a', indexes: [idIndex], documents: [bson({ _id: 1, archived: true })] },
      { name: 'b', indexes: [idIndex], documents: [bson({ _id: 1, archived: true })] },
      { name: 'v', kind: 'view', options: '{"viewOn":"a","pipeline":[]}' },
    ]);
  }, 60_000);
  beforeEach(async () => {
    await db.dropDatabase();
    await db.collection<{ _id: number }>('a').insertOne({ _id: 1 });
    await db.collection<{ _id: number }>('b').insertOne({ _id: 1 });
  });
  afterAll(async () => {
    await session.close();
    await server.stop();
  });

  const stepIs = (kind: SwapStep['kind'], name: string) => (step: SwapStep): boolean => step.kind === kind && step.name === name;

  it.each([
    ['created', () => db.createCollection('c'), /"c" was created/],
    ['dropped', () => db.dropCollection('a'), /"a" was dropped/],
    ['replaced', async () => { await db.dropCollection('a'); await db.createCollection('a'); }, /"a" was replaced/],
    ['turned into a view', async () => { await db.dropCollection('a'); await db.createCollection('a', { viewOn: 'b', pipeline: [] }); }, /"a" was replaced/],
  ])('gets no swap after a collection was %s', async (_, change, message) => {
    const work = worker(newOperation());
    const expected = await session.catalogue();
    const staged = await session.stage(source, work);
    await change();
    await expect(session.planSwap(staged, expected, work)).rejects.toMatchObject({ code: 'LIVE_CHANGED', message: expect.stringMatching(message) });
  });

  it('keeps what it creates under a live name, and reports it', async () => {
    const work = worker(newOperation());
    const { plan } = await planned(session, source, work);
    const before = await hashes(db);
    expect(Object.keys(before)).toEqual(['a', 'b']);
    const report = await session.swap(plan, work, async (_, step) => {
      if (stepIs('promote', 'a')(step)) await db.collection<{ _id: string }>('a').insertMany([{ _id: 'one' }, { _id: 'two' }]);
      if (stepIs('promote', 'b')(step)) await db.createCollection('b', { timeseries: { timeField: 't' } }).then((series) => series.insertOne({ t: new Date() }));
      if (stepIs('view', 'v')(step)) await db.collection<{ _id: string }>('v').insertOne({ _id: 'three' });
    });
    expect(await db.collection('a').find().toArray()).toEqual([{ _id: 1, archived: true }]);
    expect(await db.collection('b').find().toArray()).toEqual([{ _id: 1, archived: true }]);
    expect(await db.collection('v').find().toArray()).toEqual([{ _id: 1, archived: true }]);
    expect(report.interlopers.map(({ name, documents }) => ({ name, documents })).sort((x, y) => (x.name < y.name ? -1 : 1))).toEqual([
      { name: 'a', documents: 2 },
      { name: 'b', documents: 1 },
      { name: 'v', documents: 1 },
    ]);
    await session.dropOld(plan, work);
    await session.dropStage(work.operationId, work);
    for (const { kept, documents } of report.interlopers) expect(await db.collection(kept).countDocuments()).toBe(documents);
    // Another worker that does it all again reports the same.
    expect((await session.swap(plan, worker(work.operationId, 2))).interlopers).toHaveLength(3);
  });

  it('keeps a time series that it creates where one is to be restored', async () => {
    await db.createCollection('s', { timeseries: { timeField: 't' } });
    await db.collection('s').insertOne({ t: new Date(), old: true });
    const buckets = (await db.collection('system.buckets.s').find({}, { raw: true }).toArray()).map((bucket) => Buffer.from(bucket as unknown as Uint8Array));
    const archive = await archiveOf([{ name: 's', kind: 'timeseries', options: '{"timeseries":{"timeField":"t"}}', documents: buckets }]);
    const operation = newOperation();
    const { plan } = await planned(session, archive, worker(operation));
    await db.dropCollection('s');
    await db.createCollection('s', { timeseries: { timeField: 't' } });
    await db.collection('s').insertOne({ t: new Date(), interloper: true });
    const report = await session.swap(plan, worker(operation));
    expect(report.interlopers).toEqual([{ name: 's', kept: expect.stringMatching(/_late_/), documents: 1 }]);
    expect(await db.collection('s').find({}, { projection: { _id: 0, t: 0 } }).toArray()).toEqual([{ old: true }]);
  });

  it('blocks the plan with an open transaction or an index build, and live data stay as they are', async () => {
    const before = await hashes(db);
    const operation = newOperation();
    const staged = await session.stage(source, worker(operation));
    const expected = await session.catalogue();
    const plan = () => session.planSwap(staged, expected, worker(operation));
    const transaction = context.client.startSession();
    transaction.startTransaction();
    await db.collection<{ _id: number }>('b').insertOne({ _id: 2 }, { session: transaction });
    await expect(plan()).rejects.toMatchObject({ code: 'SWAP_BLOCKED', message: 'An open transaction blocks collection "b"' });
    await transaction.abortTransaction();
    transaction.startTransaction();
    await db.collection('b').findOne({}, { session: transaction });
    await expect(plan()).rejects.toMatchObject({ code: 'SWAP_BLOCKED', message: 'An open transaction blocks collection "b"' });
    await expect(session.planSwap({ ...staged, namespaces: staged.namespaces.filter(({ name }) => name === 'a') }, expected, worker(operation), { only: ['a'] })).resolves.toMatchObject({ steps: [{ name: 'a' }, { name: 'a' }] });
    await transaction.abortTransaction();
    await transaction.endSession();

    const admin = context.client.db('admin');
    await admin.command({ configureFailPoint: 'hangAfterStartingIndexBuild', mode: 'alwaysOn' });
    const build = db.collection('a').createIndex({ x: 1 });
    await admin.command({ waitForFailPoint: 'hangAfterStartingIndexBuild', timesEntered: 1, maxTimeMS: 10_000 });
    await expect(plan()).rejects.toMatchObject({ code: 'SWAP_BLOCKED', message: 'An index build blocks collection "a"' });
    await admin.command({ configureFailPoint: 'hangAfterStartingIndexBuild', mode: 'off' });
    await build;
    await plan();
    expect(await hashes(db)).toEqual(before);
  });

  it('holds up the first step for a while only, every later one until it lets go', async () => {
    const operation = newOperation();
    const { plan } = await planned(session, source, worker(operation));
    const open = async (name: string): Promise<() => Promise<void>> => {
      const transaction = context.client.startSession();
      transaction.startTransaction();
      await db.collection<{ _id: number }>(name).insertOne({ _id: 2 }, { session: transaction });
      return async () => {
        await transaction.abortTransaction();
        await transaction.endSession();
      };
    };
    const before = await hashes(db);
    const release = await open('a');
    await expect(session.swap(plan, worker(operation))).rejects.toMatchObject({ code: 'SWAP_BLOCKED' });
    await release();
    expect(await hashes(db)).toEqual(before);

    const work = worker(operation, 2);
    const releaseLater = await open('b');
    const swap = session.swap(plan, work);
    while (!work.lines.some((line) => line.startsWith('Blocked'))) await delay(20);
    await releaseLater();
    await swap;
    expect(await db.collection('b').find().toArray()).toEqual([{ _id: 1, archived: true }]);
  }, 40_000);

  it('loses no staged document to a TTL before the swap, in a collection, a clustered collection or a time series', async () => {
    const ttl = '{"v":{"$numberInt":"2"},"key":{"at":{"$numberInt":"1"}},"name":"at_1","sparse":true,"expireAfterSeconds":{"$numberInt":"0"}}';
    const clustered = '{"clusteredIndex":{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"ci","unique":true},"expireAfterSeconds":{"$numberLong":"1"}}';
    const clusteredIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"ci","unique":true,"clustered":true}';
    const past = new Date(Date.now() - 86_400_000_000);
    await db.createCollection('made', { timeseries: { timeField: 't' } });
    await db.collection('made').insertOne({ t: past, x: 1 });
    const buckets = (await db.collection('system.buckets.made').find({}, { raw: true }).toArray()).map((bucket) => Buffer.from(bucket as unknown as Uint8Array));
    await db.dropCollection('made');
    const series = '{"expireAfterSeconds":{"$numberLong":"1"},"timeseries":{"timeField":"t","granularity":"seconds","bucketMaxSpanSeconds":{"$numberInt":"3600"}}}';
    const expired = await archiveOf([
      { name: 'plain', indexes: [idIndex, ttl], documents: [bson({ _id: 1, at: past })] },
      { name: 'clustered', options: clustered, indexes: [clusteredIndex], documents: [bson({ _id: past })] },
      { name: 'series', kind: 'timeseries', options: series, documents: buckets },
    ]);
    const work = worker(newOperation());
    const { plan, staged } = await planned(session, expired, work);
    const passes = async (): Promise<number> => Number((await context.client.db('admin').command({ serverStatus: 1 }))['metrics'].ttl.passes);
    const twoPasses = async (): Promise<void> => {
      for (const from = await passes(); (await passes()) < from + 2; ) await delay(100);
    };
    await twoPasses();
    await session.checkStage(staged, expired, work);
    const firstTtl = plan.steps.findIndex(({ kind }) => kind === 'ttl');
    expect(plan.steps.slice(firstTtl).map(({ kind }) => kind)).toEqual(['ttl', 'ttl', 'ttl']);
    await session.swap(plan, work, async (index) => {
      if (index !== firstTtl) return;
      await twoPasses();
      for (const name of ['plain', 'clustered', 'system.buckets.series']) expect(await db.collection(name).countDocuments()).toBe(1);
    });
    for (const { name, options, indexes } of staged.namespaces) {
      const live = (await session.catalogue()).find((namespace) => namespace.name === name);
      expect({ name, options: live?.options, indexes: live?.indexes }).toEqual({ name, options, indexes });
    }
    await twoPasses();
    for (const name of ['plain', 'clustered']) expect(await db.collection(name).countDocuments()).toBe(0);
  }, 60_000);

  it('drops a view directly over the buckets of a time series without them', async () => {
    await db.createCollection('series', { timeseries: { timeField: 't', metaField: 'm' } });
    await db.collection('series').insertOne({ _id: new ObjectId(), t: new Date(), m: 1 });
    await db.command({ create: 'over', viewOn: 'system.buckets.series', pipeline: [] });
    const run = new SwapRun(context, { database: 'tenant', steps: [], old: [] }, worker(newOperation()));
    await dropView(run, { name: 'over', options: new Map([['viewOn', 'system.buckets.series']]) });
    await dropView(run, { name: 'over', options: new Map([['viewOn', 'system.buckets.series']]) });
    expect(await db.collection('series').countDocuments()).toBe(1);
    expect(await db.collection('over').countDocuments()).toBe(0);
  });

  it('turns views round that read each other', async () => {
    await db.createCollection('x', { viewOn: 'y', pipeline: [] });
    await db.createCollection('y', { viewOn: 'a', pipeline: [] });
    await db.createCollection('z', { viewOn: 'y', pipeline: [] });
    const archive = await archiveOf([
      { name: 'a', indexes: [idIndex], documents: [bson({ _id: 1, archived: true })] },
      { name: 'x', kind: 'view', options: '{"viewOn":"a","pipeline":[]}' },
      { name: 'y', kind: 'view', options: '{"viewOn":"x","pipeline":[]}' },
      { name: 'z', kind: 'view', options: '{"viewOn":"y","pipeline":[]}' },
    ]);
    const work = worker(newOperation());
    const { plan } = await planned(session, archive, work);
    expect(plan.steps.filter(({ kind }) => kind === 'view' || kind === 'dropView').map(({ kind, name }) => `${kind} ${name}`)).toEqual(['dropView x', 'dropView y', 'view x', 'view y']);
    await session.swap(plan, work);
    for (const name of ['x', 'y', 'z']) expect(await db.collection(name).find().toArray()).toEqual([{ _id: 1, archived: true }]);
    expect((await session.catalogue()).map(({ name, options }) => [name, options]).slice(1)).toEqual([
      ['x', '{"viewOn":"a","pipeline":[]}'],
      ['y', '{"viewOn":"x","pipeline":[]}'],
      ['z', '{"viewOn":"y","pipeline":[]}'],
    ]);
    expect(await namesIn(db)).toContain('x');
  });

  it('makes a view last that others stand in the way of until they are made themselves', async () => {
    const view = (name: string, viewOn: string): { name: string; kind: 'view'; options: string } => ({ name, kind: 'view', options: JSON.stringify({ viewOn, pipeline: [] }) });
    for (const [name, viewOn] of [['f', 'a'], ['u', 'f'], ['g', 'u'], ['t', 'g']] as const) await db.createCollection(name, { viewOn, pipeline: [] });
    const archive = await archiveOf([{ name: 'a', indexes: [idIndex], documents: [bson({ _id: 1, archived: true })] }, view('f', 't'), view('u', 'f'), view('g', 'a'), view('t', 'g')]);
    const work = worker(newOperation());
    const { plan } = await planned(session, archive, work);
    expect(plan.steps.filter(({ kind }) => kind === 'view' || kind === 'dropView').map(({ kind, name }) => `${kind} ${name}`)).toEqual(['view f', 'view g']);
    expect((await session.swap(plan, work)).warnings).toEqual([]);
    for (const name of ['f', 'u', 'g', 't']) expect(await db.collection(name).find().toArray()).toEqual([{ _id: 1, archived: true }]);
  });

  it('leaves a view out that the server refuses beside one that a product has changed meanwhile, and ends', async () => {
    await db.createCollection('other', { viewOn: 'b', pipeline: [] });
    const archive = await archiveOf([{ name: 'a', indexes: [idIndex], documents: [bson({ _id: 1, archived: true })] }, { name: 'v', kind: 'view', options: '{"viewOn":"other","pipeline":[]}' }]);
    const work = worker(newOperation());
    const staged = await session.stage(archive, work);
    await session.checkStage(staged, archive, work);
    const plan = await session.planSwap(staged, await session.catalogue(), work, { only: ['a', 'v'] });
    await db.command({ collMod: 'other', viewOn: 'v', pipeline: [] });
    const report = await session.swap(plan, work);
    expect(report.warnings).toEqual([expect.stringMatching(/^The view "v" was left out, as the server refuses it: View cycle detected/)]);
    expect(await db.collection('a').find().toArray()).toEqual([{ _id: 1, archived: true }]);
    expect((await session.catalogue()).map(({ name }) => name)).not.toContain('v');
  });

  it('does not take a time series for restored whose staged copy somebody has dropped', async () => {
    await db.createCollection('series', { timeseries: { timeField: 't' } });
    await db.collection('series').insertOne({ t: new Date(0), value: 1 });
    const bucket = bson({ _id: new ObjectId('5e0be1000000000000000001'), control: { version: 1, min: { _id: new ObjectId(), t: new Date('2020-01-01') }, max: { _id: new ObjectId(), t: new Date('2020-01-01') } }, data: { t: { 0: new Date('2020-01-01') }, _id: { 0: new ObjectId() } } });
    const archive = await archiveOf([{ name: 'series', kind: 'timeseries', options: '{"timeseries":{"timeField":"t","granularity":"seconds","bucketMaxSpanSeconds":{"$numberInt":"3600"}}}', documents: [bucket] }]);
    const work = worker(newOperation());
    const { staged, plan } = await planned(session, archive, work);
    await db.dropCollection(staged.namespaces[0]?.staged ?? '');
    await expect(session.swap(plan, work)).rejects.toMatchObject({ code: 'STAGE_MISMATCH', message: expect.stringMatching(/"series" has disappeared/) });
    expect(await db.collection('series').find({}, { projection: { _id: 0 } }).toArray()).toEqual([{ t: new Date(0), value: 1 }]);

    await db.dropCollection('series');
    expect((await session.swap(plan, work)).warnings).toEqual([expect.stringMatching(/"series" is not there/)]);
  });
});
