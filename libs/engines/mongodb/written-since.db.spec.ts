import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { BSON, type Db, type Timestamp } from 'mongodb';
import { testMongo } from '../../../test/support/servers.ts';
import { archiveOf, newOperation, planned, worker, type TestWork } from '../../../test/support/restore-fixture.ts';
import type { EngineSession, SwapPlan, SwapStep } from '../port.js';
import { connect } from './connection.js';
import { MongodbSession } from './mongodb-session.js';

const bson = (document: object): Buffer => Buffer.from(BSON.serialize(document));
const idIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';

describe('wasWrittenSince', () => {
  let session: EngineSession;
  let db: Db;

  beforeAll(async () => {
    const context = await connect(await testMongo());
    session = new MongodbSession(context);
    db = context.db;
  });
  beforeEach(async () => {
    await db.dropDatabase();
    await db.collection<{ _id: number }>('a').insertOne({ _id: 1 });
    await db.collection<{ _id: number }>('b').insertOne({ _id: 1 });
    await db.collection<{ _id: string }>('system.js').insertOne({ _id: 'f' });
    await db.createCollection('v', { viewOn: 'a', pipeline: [] });
    await db.createCollection('s', { timeseries: { timeField: 't' } });
    await db.collection('s').insertOne({ t: new Date() });
  });
  afterAll(async () => {
    await db.dropDatabase();
    await session.close();
  });

  async function clusterTime(): Promise<string> {
    const { operationTime } = await db.command({ ping: 1 });
    const time = operationTime as Timestamp;
    return `${time.getHighBits() >>> 0}.${time.getLowBits() >>> 0}`;
  }

  interface Restored {
    readonly plan: SwapPlan;
    readonly work: TestWork;
    readonly since: string;
  }

  async function restore(writes: { readonly staged?: () => Promise<unknown>; readonly before?: (step: SwapStep) => Promise<unknown> | undefined } = {}): Promise<Restored> {
    const since = await clusterTime();
    const work = worker(newOperation());
    const source = await archiveOf([
      { name: 'a', indexes: [idIndex], documents: [bson({ _id: 1, archived: true })] },
      { name: 'v', kind: 'view', options: '{"viewOn":"a","pipeline":[{"$match":{}}]}' },
      { name: 's', kind: 'timeseries', options: '{"timeseries":{"timeField":"t"}}' },
    ]);
    const { plan } = await planned(session, source, work);
    await writes.staged?.();
    await session.swap(plan, work, async (_, step) => void (await writes.before?.(step)));
    return { plan, work, since };
  }

  const was = ({ plan, work, since }: Restored): Promise<boolean> => session.wasWrittenSince(since, plan, work);

  it('is false if nothing but the restore itself happened', async () => {
    const restored = await restore();
    expect(await was(restored)).toBe(false);
    // What comes to the new collections is no concern of the old ones.
    await db.collection<{ _id: number }>('a').insertOne({ _id: 2 });
    await db.collection('s').insertOne({ t: new Date() });
    await db.createCollection('later');
    expect(await was(restored)).toBe(false);
    // The mark goes with the stage.
    const made = async (): Promise<string[]> => (await db.listCollections({ name: /^hf_(?!.*_old_)/ }, { nameOnly: true }).toArray()).map(({ name }) => name);
    expect(await made()).toEqual([expect.stringMatching(/_1_mark$/)]);
    await session.dropStage(restored.work.operationId, restored.work);
    expect(await made()).toEqual([]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['an insert', () => db.collection<{ _id: number }>('a').insertOne({ _id: 2 })],
    ['an update', () => db.collection<{ _id: number }>('b').updateOne({ _id: 1 }, { $set: { x: 1 } })],
    ['a delete', () => db.collection<{ _id: number }>('b').deleteOne({ _id: 1 })],
    ['a new index', () => db.collection('b').createIndex({ x: 1 })],
    ['a new validator', () => db.command({ collMod: 'b', validator: { x: 1 } })],
    ['a changed view', () => db.command({ collMod: 'v', viewOn: 'b', pipeline: [] })],
    ['a stored function', () => db.collection<{ _id: string }>('system.js').insertOne({ _id: 'g' })],
    ['a measurement', () => db.collection('s').insertOne({ t: new Date() })],
  ])('is true after %s', async (_, write) => {
    expect(await was(await restore({ staged: write }))).toBe(true);
  });

  it('is true after a write in the last moment before a collection is set aside', async () => {
    const before = (step: SwapStep): Promise<unknown> | undefined => (step.kind === 'setAside' && step.name === 'b' ? db.collection<{ _id: number }>('b').insertOne({ _id: 2 }) : undefined);
    expect(await was(await restore({ before }))).toBe(true);
  });

  it('is true after a write to the set-aside collection itself', async () => {
    const restored = await restore();
    const old = restored.plan.old.find(({ name }) => name === 'b')?.old ?? '';
    await db.collection<{ _id: number }>(old).insertOne({ _id: 2 });
    expect(await was(restored)).toBe(true);
  });

  it('is true whenever it cannot be told', async () => {
    const { plan, work } = await restore();
    expect(await session.wasWrittenSince(null, plan, work)).toBe(true);
    expect(await session.wasWrittenSince('1.1', plan, work)).toBe(true);
    expect(await session.wasWrittenSince('yesterday', plan, work)).toBe(true);
    expect(await session.wasWrittenSince(null, { ...plan, old: [] }, work)).toBe(false);
  });

  it('leaves it to the next worker to tell when its lease ends', async () => {
    const { plan, work, since } = await restore();
    await expect(session.wasWrittenSince(since, plan, { ...work, leaseRemainingMs: () => 2_100 })).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });
});
