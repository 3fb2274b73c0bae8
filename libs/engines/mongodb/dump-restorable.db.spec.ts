import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { parseCollectionMetadata } from '#archive';
import { Timestamp, type Db, type Document } from 'mongodb';
import { dumpIntoMemory, type MemoryDump } from '../../../test/support/memory-dump.ts';
import { newOperation, planned, sourceOf, worker } from '../../../test/support/restore-fixture.ts';
import { startMongod, type OwnMongod } from '../../../test/support/servers.ts';
import { watched } from '../../../test/support/watched-context.ts';
import type { StagedDatabase } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';
import { readAll } from './raw-cursor.js';

let server: OwnMongod;
let context: MongodbContext;
let session: MongodbSession;
let db: Db;

beforeAll(async () => {
  server = await startMongod();
  context = await connect({ uri: server.uri, database: 'tenant' });
  session = new MongodbSession(context);
  db = context.db;
}, 60_000);
beforeEach(async () => {
  await db.dropDatabase();
});
afterAll(async () => {
  await context?.client.close();
  await server?.stop();
});

async function raw(name: string, filter: Document): Promise<Buffer[]> {
  return readAll(context, { find: name, filter, sort: { _id: 1 } });
}

/** As a restore has it up to its commit point; the stage is gone afterwards. */
async function rehearsed({ frames }: MemoryDump): Promise<StagedDatabase> {
  const source = await sourceOf(Buffer.concat(frames.map(({ payload }) => payload)));
  const work = worker(newOperation());
  try {
    const staged = await session.stage(source, work);
    await session.checkStage(staged, source, work);
    return staged;
  } finally {
    await session.dropStage(work.operationId, work);
  }
}

describe('a backup that is taken while', () => {
  it('a unique index is built that cannot be, is without it and can be restored', async () => {
    await db.collection('a').insertMany([{ k: 1 }, { k: 1 }]);
    await db.collection('a').createIndex({ n: 1 });
    const admin = context.client.db('admin');
    const failPoint = 'hangAfterStartingIndexBuild';
    await admin.command({ configureFailPoint: failPoint, mode: 'alwaysOn' });
    const isRefused = expect(db.collection('a').createIndex({ k: 1 }, { unique: true })).rejects.toMatchObject({ code: 11_000 });
    await admin.command({ waitForFailPoint: failPoint, timesEntered: 1, maxTimeMS: 10_000 });
    const dump = await dumpIntoMemory(session);
    await admin.command({ configureFailPoint: failPoint, mode: 'off' });
    await isRefused;
    expect(dump.result.namespaces.map(({ indexes }) => indexes)).toEqual([2]);
    expect(parseCollectionMetadata(dump.collections[0]?.metadata ?? '').indexes.map((text) => /"name":"([^"]*)"/.exec(text)?.[1])).toEqual(['_id_', 'n_1']);
    expect(dump.log).toContain('An index of "a" is still being built and not in the backup');
    await rehearsed(dump);
  });

  it('a full capped collection is written to holds more than has room, and is restored with the newest of it', async () => {
    await db.createCollection('log', { capped: true, size: 4 * 1024 * 1024 });
    await db.createCollection('last', { capped: true, size: 4 * 1024 * 1024, max: 3_000 });
    const write = async (name: string, from: number, documents: number): Promise<void> => {
      await db.collection<{ _id: number }>(name).insertMany(Array.from({ length: documents }, (_, n) => ({ _id: from + n, text: 'x'.repeat(1_000 + (n % 7)) })));
    };
    for (const name of ['log', 'last']) await write(name, 0, 6_000);
    const before = await Promise.all(['last', 'log'].map((name) => db.collection(name).countDocuments()));
    const asked = new Map<string, number>();
    const busy = watched(context, {
      before: async ({ command }) => {
        if (command['getMore'] === undefined) return;
        const name = String(command['collection']);
        asked.set(name, (asked.get(name) ?? 0) + 1);
        // By then the cursor is past what has to make room.
        if (asked.get(name) === 4) await write(name, 6_000, 200);
      },
    });
    const dump = await dumpIntoMemory(new MongodbSession(busy));
    expect(dump.result.namespaces.map(({ documents }) => documents)).toEqual(before.map((documents) => documents + 200));

    const source = await sourceOf(Buffer.concat(dump.frames.map(({ payload }) => payload)));
    const work = worker(newOperation());
    const { staged, plan } = await planned(session, source, work);
    expect(staged.warnings).toEqual([expect.stringMatching(/"last" is capped.* 3200 documents the newest 3000 /), expect.stringMatching(/"log" is capped/)]);
    const copies = staged.namespaces.map(({ staged: name }) => db.collection(name ?? ''));
    for (const copy of copies) expect(await copy.find().sort({ $natural: -1 }).limit(1).toArray()).toMatchObject([{ _id: 6_199 }]);
    await session.swap(plan, work);
    await session.dropOld(plan, work);
    expect(await db.collection('log').find({}, { projection: { _id: 1 } }).toArray()).toEqual(dump.documents.get('log')?.slice(-(await db.collection('log').countDocuments())).map((document) => ({ _id: document.readInt32LE(9) })));

    // What is missing of a collection that has room is missing.
    const roomy = await session.stage(source, work);
    const largest = { ...roomy, namespaces: roomy.namespaces.filter(({ name }) => name === 'log') };
    await db.command({ collMod: largest.namespaces[0]?.staged, cappedSize: 8 * 1024 * 1024 });
    const only = { ...source, namespaces: source.namespaces.filter(({ name }) => name === 'log') };
    await expect(session.checkStage(largest, only, work)).rejects.toMatchObject({ code: 'STAGE_MISMATCH', message: expect.stringMatching(/"log": \d+ of \d+ documents/) });
    await session.dropStage(work.operationId, work);
  });

  it('documents are deleted and come again, and no snapshot can be had, is restored with each of them once', async () => {
    const carts = db.collection<{ _id: number }>('carts');
    const zero = [{ $set: { zero: { $literal: new Timestamp({ t: 0, i: 0 }) } } }];
    const write = async (ids: readonly number[], text: string): Promise<void> => {
      await carts.insertMany(ids.map((_id) => ({ _id, text })));
      await carts.updateMany({ _id: { $in: [...ids] } }, zero);
    };
    await write(Array.from({ length: 4_000 }, (_, n) => n), 'x'.repeat(1_000));
    const first = (await raw('carts', { _id: { $in: [1, 2] } })).map((document) => document.toString('hex'));
    let asked = 0;
    const busy = watched(context, {
      before: async ({ command }) => {
        if (command['getMore'] === undefined || (asked += 1) !== 4) return;
        await carts.deleteMany({ _id: { $in: [1, 2] } });
        await write([1, 2], 'again');
      },
    });
    const dump = await dumpIntoMemory(new MongodbSession(busy), { fuzzy: true });
    expect(dump.result.namespaces.map(({ documents }) => documents)).toEqual([4_002]);

    const source = { ...(await sourceOf(Buffer.concat(dump.frames.map(({ payload }) => payload)))), fuzzy: new Set(['carts']) };
    const work = worker(newOperation());
    const { staged, plan } = await planned(session, source, work);
    expect(staged.warnings).toEqual([expect.stringMatching(/"carts" was written to .* 2 of its documents stand there twice/)]);
    await session.swap(plan, work);
    await session.dropOld(plan, work);
    expect(await carts.countDocuments()).toBe(4_000);
    expect((await raw('carts', { _id: { $in: [1, 2] } })).map((document) => document.toString('hex'))).toEqual(first);
  });
});
