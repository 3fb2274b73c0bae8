import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Db, Decimal128, Double, Int32, Long } from 'mongodb';
import { testMongo } from '../../../test/support/servers.ts';
import { everyShape, hashes, namesIn, newOperation, planned, worker } from '../../../test/support/restore-fixture.ts';
import type { CounterReset, EngineSession, NamespaceState } from '../port.js';
import { connect } from './connection.js';
import { MongodbSession } from './mongodb-session.js';

let session: EngineSession;
let db: Db;

beforeAll(async () => {
  const target = await testMongo();
  const context = await connect(target);
  session = new MongodbSession(context);
  db = context.db;
  const work = worker(newOperation());
  const { plan } = await planned(session, await everyShape(), work);
  await session.swap(plan, work);
  await session.dropOld(plan, work);
});

afterAll(async () => {
  await db.dropDatabase();
  await session.close();
});

const definitionOf = ({ name, kind, options, indexes }: NamespaceState) => ({ name, kind, options: JSON.parse(options) as unknown, indexes });

/** As a reset does it. */
async function empty(names: readonly string[], counters: readonly CounterReset[] = []): Promise<void> {
  const work = worker(newOperation());
  const source = await session.hollow(names, counters, work);
  const staged = await session.stage(source, work);
  await session.checkStage(staged, source, work);
  const chosen = [...names, ...counters.map(({ name }) => name)];
  const live = (await session.catalogue()).filter(({ name }) => chosen.includes(name));
  const plan = await session.planSwap(staged, live, work, { only: chosen });
  expect(await session.swap(plan, work)).toMatchObject({ interlopers: [], gone: [], warnings: [] });
  await session.dropOld(plan, work);
  await session.dropStage(work.operationId, work);
}

describe('a database that is emptied', () => {
  it('keeps options, validators, indexes and TTLs of every kind of collection, and all else byte for byte', async () => {
    await db.collection('kept_orders').insertMany([{ a: 1 }, { a: 2 }]);
    const before = await session.catalogue();
    const kept = await hashes(db);
    const names = before.filter(({ name, kind }) => kind !== 'view' && name !== 'kept_orders' && name !== 'system.js').map(({ name }) => name);
    expect(names.length).toBeGreaterThan(5);
    await empty(names);
    const after = await session.catalogue();
    expect(after.map(definitionOf)).toEqual(before.map(definitionOf));
    expect(after.filter(({ name, documents }) => names.includes(name) && documents > 0)).toEqual([]);
    const now = await hashes(db);
    for (const name of ['kept_orders', 'system.js'].filter((one) => one in kept)) expect({ name, hash: now[name] }).toEqual({ name, hash: kept[name] });
    expect(now['kept_orders']).toBeDefined();
    expect((await namesIn(db)).filter((name) => name.startsWith('hf_'))).toEqual([]);
  });

  it('has counters that start anew in their own numeric types, and nothing else of them changed', async () => {
    const counters = db.collection<{ _id: string }>('numbers');
    await counters.insertMany([
      { _id: 'int', seq: new Int32(41), prefix: 'A' },
      { _id: 'long', seq: Long.fromString('9007199254740993') },
      { _id: 'double', nested: { seq: 1 }, seq: new Double(7) },
      { _id: 'text', seq: 'seven' },
      { _id: 'decimal', seq: Decimal128.fromString('7') },
      { _id: 'none' },
    ] as never);
    await counters.createIndex({ prefix: 1 });
    await empty([], [{ name: 'numbers', field: 'seq', value: 1000 }]);
    expect(await counters.find({}, { promoteValues: false }).toArray()).toEqual([
      { _id: 'int', seq: new Int32(1000), prefix: 'A' },
      { _id: 'long', seq: Long.fromNumber(1000) },
      { _id: 'double', nested: { seq: new Int32(1) }, seq: new Double(1000) },
      { _id: 'text', seq: 'seven' },
      { _id: 'decimal', seq: Decimal128.fromString('7') },
      { _id: 'none' },
    ]);
    expect((await counters.indexes()).map(({ name }) => name)).toEqual(['_id_', 'prefix_1']);
  });

  it('is not emptied of what is not there, of views, or of counters that are none', async () => {
    const work = worker(newOperation());
    await expect(session.hollow(['nowhere'], [], work)).rejects.toMatchObject({ code: 'LIVE_CHANGED' });
    const view = (await session.catalogue()).find(({ kind }) => kind === 'view');
    await expect(session.hollow([view?.name ?? ''], [], work)).rejects.toMatchObject({ code: 'LIVE_CHANGED' });
    await db.collection('heavy').insertMany(Array.from({ length: 10 }, () => ({ text: 'x'.repeat(1_000_000) })));
    await expect(session.hollow([], [{ name: 'heavy', field: 'seq', value: 0 }], work)).rejects.toMatchObject({ code: 'COUNTERS_TOO_LARGE' });
    await db.collection('heavy').drop();
  });
});
