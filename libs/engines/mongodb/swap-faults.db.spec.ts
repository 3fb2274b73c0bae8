import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BSON, ObjectId } from 'mongodb';
import { testMongo } from '../../../test/support/servers.ts';
import { archiveOf, hashes, namesIn, newOperation, planned, worker } from '../../../test/support/restore-fixture.ts';
import { watched, type WatchedCommand } from '../../../test/support/watched-context.ts';
import type { PayloadSource } from '../port.js';
import { connect, type MongodbContext } from './connection.js';
import { MongodbSession } from './mongodb-session.js';
import { runSwap } from './swap.js';

const bson = (document: object): Buffer => Buffer.from(BSON.serialize(document));
const idIndex = '{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}';

/** Drops that carry no UUID, because the server takes none: a worker that is stopped in the instant before it sends one is not fenced. */
const isBlindDrop = ({ command }: WatchedCommand): boolean => command['drop'] !== undefined && command['collectionUUID'] === undefined;

describe('a swap that is cut short', () => {
  let context: MongodbContext;
  let source: PayloadSource;
  let wanted: Record<string, string>;
  let definitions: unknown;

  beforeAll(async () => {
    context = await connect(await testMongo());
    const live = context.db;
    // What the archive holds is made by the server first: buckets and definitions are its own.
    await live.createCollection('series', { timeseries: { timeField: 't', metaField: 'm' }, expireAfterSeconds: 1_000_000_000 });
    await live.collection('series').createIndex({ m: 1, t: 1 }, { name: 'by' });
    await live.collection('series').insertMany(Array.from({ length: 30 }, (_, n) => ({ _id: new ObjectId(), t: new Date(), m: n % 3, n })));
    const buckets = (await live.collection('system.buckets.series').find({}, { raw: true }).toArray()) as unknown as Buffer[];
    const [series] = (await new MongodbSession(context).catalogue()).filter(({ name }) => name === 'series');
    await live.dropDatabase();
    const ttl = '{"v":{"$numberInt":"2"},"key":{"at":{"$numberInt":"1"}},"name":"at_1","expireAfterSeconds":{"$numberInt":"2147483647"}}';
    source = await archiveOf([
      { name: 'both', indexes: [idIndex, ttl], documents: [bson({ _id: 1, at: new Date(), archived: true })] },
      { name: 'new', indexes: [idIndex], documents: [bson({ _id: 1, archived: true })] },
      { name: 'was_view', indexes: [idIndex], documents: [bson({ _id: 1, archived: true })] },
      { name: 'series', kind: 'timeseries', options: series?.options ?? '', indexes: series?.indexes ?? [], documents: buckets.map((bucket) => Buffer.from(bucket)) },
      { name: 'view', kind: 'view', options: '{"viewOn":"both","pipeline":[{"$match":{"archived":true}}]}' },
      { name: 'collated', kind: 'view', options: '{"viewOn":"new","pipeline":[],"collation":{"locale":"simple"}}' },
    ]);
    await liveDatabase();
    const session = new MongodbSession(context);
    const work = worker(newOperation());
    const { plan } = await planned(session, source, work);
    await session.swap(plan, work);
    await session.dropOld(plan, work);
    wanted = await hashes(live);
    definitions = await definitionsNow();
  });
  afterAll(async () => {
    await context.db.dropDatabase();
    await context.client.close();
  });

  async function liveDatabase(): Promise<void> {
    const { db } = context;
    await db.dropDatabase();
    await db.collection<{ _id: number }>('both').insertOne({ _id: 1 });
    await db.collection<{ _id: number }>('gone').insertOne({ _id: 1 });
    await db.createCollection('series', { timeseries: { timeField: 't', metaField: 'other' } });
    await db.collection('series').insertOne({ t: new Date(), other: 1 });
    await db.createCollection('view', { viewOn: 'both', pipeline: [] });
    await db.createCollection('was_view', { viewOn: 'both', pipeline: [] });
    await db.createCollection('collated', { viewOn: 'both', pipeline: [], collation: { locale: 'de' } });
  }

  async function definitionsNow(): Promise<unknown> {
    return (await new MongodbSession(context).catalogue()).map(({ name, kind, options, indexes }) => ({ name, kind, options, indexes }));
  }

  async function requireAllNew(): Promise<void> {
    expect(await hashes(context.db)).toEqual(wanted);
    expect(await definitionsNow()).toEqual(definitions);
  }

  it('is finished by the next worker, whichever command was the last one of the killed', async () => {
    let killedAt = 0;
    for (let wasKilled = true; wasKilled; killedAt += 1) {
      wasKilled = false;
      await liveDatabase();
      const operation = newOperation();
      const session = new MongodbSession(context);
      const { plan } = await planned(session, source, worker(operation, 1));
      const killed = watched(context, {
        after: ({ index }) => {
          // Whatever the worker tries next fails too: it is gone.
          if (index >= killedAt) {
            wasKilled = true;
            throw new Error('killed');
          }
        },
      });
      await runSwap(killed, plan, worker(operation, 1)).catch((error: unknown) => {
        if (!wasKilled) throw error;
      });
      const report = await session.swap(plan, worker(operation, 2));
      await requireAllNew();
      expect(report).toMatchObject({ replaced: ['both', 'collated', 'series', 'view', 'was_view'], added: ['new'], dropped: ['gone'], interlopers: [], warnings: [] });
      const copies = await Promise.all(plan.old.map(async ({ old }) => (old === null ? null : context.db.collection(old).countDocuments())));
      expect(copies).toEqual(plan.old.map(({ kind }) => (kind === 'view' ? null : 1)));
      await session.dropOld(plan, worker(operation, 2));
      expect((await namesIn(context.db)).filter((name) => name.includes('hf_'))).toEqual([]);
    }
    expect(killedAt).toBeGreaterThan(30);
  }, 180_000);

  it('is not harmed by a worker that stops before any command, and goes on when another has finished', async () => {
    let stoppedAt = 0;
    let blind = 0;
    for (let wasStopped = true; wasStopped; stoppedAt += 1) {
      wasStopped = false;
      await liveDatabase();
      const operation = newOperation();
      const session = new MongodbSession(context);
      const { plan } = await planned(session, source, worker(operation, 1));
      let resume = (): void => undefined;
      let stopped = (): void => undefined;
      const isStopped = new Promise<void>((resolve) => (stopped = resolve));
      const mayGoOn = new Promise<void>((resolve) => (resume = resolve));
      const zombie = watched(context, {
        before: async (command) => {
          if (command.index !== stoppedAt) return;
          wasStopped = true;
          if (isBlindDrop(command)) {
            blind += 1;
            return;
          }
          stopped();
          await mayGoOn;
        },
      });
      const late = runSwap(zombie, plan, worker(operation, 1)).then(
        () => 'finished',
        (error: unknown) => error,
      );
      await Promise.race([isStopped, late]);
      await session.swap(plan, worker(operation, 2));
      await requireAllNew();
      // Half of them sleep until even the set-aside collections, whose names would stop a rename, are gone.
      const wakesLate = stoppedAt % 2 === 0;
      if (wakesLate) await session.dropOld(plan, worker(operation, 2));
      resume();
      const outcome = await late;
      if (outcome !== 'finished') expect(outcome).toMatchObject({ code: 'LEASE_LOST' });
      await requireAllNew();
      if (!wakesLate) await session.dropOld(plan, worker(operation, 2));
      expect((await namesIn(context.db)).filter((name) => name.includes('hf_'))).toEqual([]);
    }
    expect(stoppedAt).toBeGreaterThan(30);
    expect(blind).toBeLessThan(8);
  }, 180_000);

  it('comes to the same end when two workers do it side by side', async () => {
    for (let round = 0; round < 5; round += 1) {
      await liveDatabase();
      const operation = newOperation();
      const session = new MongodbSession(context);
      const { plan } = await planned(session, source, worker(operation, 1));
      const outcomes = await Promise.allSettled([session.swap(plan, worker(operation, 1)), session.swap(plan, worker(operation, 2))]);
      if (outcomes[1].status === 'rejected') throw outcomes[1].reason;
      if (outcomes[0].status === 'rejected') expect(outcomes[0].reason).toMatchObject({ code: 'LEASE_LOST' });
      await requireAllNew();
      await session.dropOld(plan, worker(operation, 2));
    }
  });
});
