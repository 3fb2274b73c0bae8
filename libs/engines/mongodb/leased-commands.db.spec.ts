import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Document } from 'mongodb';
import { startMongod, testMongo, type OwnMongod } from '../../../test/support/servers.ts';
import { everyShape, newOperation, planned, worker, type TestWork } from '../../../test/support/restore-fixture.ts';
import { watched } from '../../../test/support/watched-context.ts';
import { AppError } from '#errors';
import { connect, type MongodbContext } from './connection.js';
import { LeasedCommands } from './leased-commands.js';
import { MongodbSession } from './mongodb-session.js';

const leaseMs = 9_000;
const writing = ['create', 'insert', 'update', 'createIndexes', 'collMod', 'drop', 'renameCollection'] as const;

let context: MongodbContext;
beforeAll(async () => {
  context = await connect(await testMongo());
});
afterAll(async () => {
  await context.db.dropDatabase();
  await context.client.close();
});

const writes = (command: Document): string | undefined => writing.find((name) => command[name] !== undefined) ?? (JSON.stringify(command['pipeline'] ?? '').includes('"$out"') ? '$out' : undefined);

/** A whole restore of every shape over every shape; what it sends that writes. */
async function writtenCommands(): Promise<{ readonly sent: Document[]; readonly work: TestWork; readonly kinds: ReadonlyMap<string, string> }> {
  const work = { ...worker(newOperation()), leaseRemainingMs: () => leaseMs };
  const preparing = new MongodbSession(context);
  const first = worker(newOperation());
  const before = await planned(preparing, await everyShape(), first);
  await preparing.swap(before.plan, first);
  await context.db.createCollection('another view', { viewOn: 'nothing', pipeline: [] });
  const kinds = new Map((await preparing.catalogue()).map(({ name, kind }) => [name, kind]));
  const sent: Document[] = [];
  const session = new MongodbSession(watched(context, { before: ({ command }) => void (writes(command) !== undefined && sent.push(command)) }));
  const { plan } = await planned(session, await everyShape(), work);
  await session.swap(plan, work);
  await session.dropOld(plan, work);
  await session.dropStage(work.operationId, work);
  return { sent, work, kinds };
}

describe('the commands of a restore that write', () => {
  it('wait for a majority, end before the lease does, and name the collection that they mean by its UUID where the server takes one', async () => {
    const { sent, work, kinds } = await writtenCommands();
    expect([...new Set(sent.map(writes))].sort()).toEqual([...writing, '$out'].sort());
    const own = (name: unknown): boolean => typeof name === 'string' && name.includes(`hf_${work.operationId.replaceAll('-', '')}_1_`);
    const blind = new Set<string>();
    for (const command of sent) {
      const kind = writes(command)!;
      const told = { kind, name: command[kind] ?? command['aggregate'] };
      expect({ ...told, writeConcern: command['writeConcern'] }).toEqual({ ...told, writeConcern: { w: 'majority' } });
      // Nobody knows how long an index or a copy takes; both are harmless when they come late.
      if (kind === 'createIndexes' || kind === '$out') expect(command['maxTimeMS']).toBeUndefined();
      else expect({ ...told, endsInTime: command['maxTimeMS'] < leaseMs }).toEqual({ ...told, endsInTime: true });
      // A view and a time series have no UUID that the server compares; what carries the worker's own token nobody else touches.
      const isOwn = own(command[kind]) || own(command['aggregate']) || command[kind] === 'hf_barrier';
      if (!isOwn && kind !== 'create' && command['collectionUUID'] === undefined) blind.add(kinds.get(String(told.name).replace('system.buckets.', '')) ?? `${kind} ${told.name}`);
    }
    expect([...blind].sort()).toEqual(['timeseries', 'view']);
  });

  it('are not sent any more when the lease ends before they could', async () => {
    const session = new MongodbSession(context);
    const work = { ...worker(newOperation()), leaseRemainingMs: () => 2_100 };
    const error: unknown = await session.stage(await everyShape(), work).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'LEASE_LOST' });
  });
});

describe('an index build', () => {
  const started = 'hangAfterStartingIndexBuild';
  let server: OwnMongod;
  let own: MongodbContext;
  beforeAll(async () => {
    server = await startMongod();
    own = await connect({ uri: server.uri, database: 'tenant' });
  }, 60_000);
  afterAll(async () => {
    await own.client.close();
    await server.stop();
  });

  it('has somebody wait for the journal, before which the server reads nothing, but not for as long as it takes', async () => {
    const admin = own.client.db('admin');
    await own.db.collection('orders').insertMany(Array.from({ length: 10 }, (_, n) => ({ n })));
    await admin.command({ configureFailPoint: started, mode: 'alwaysOn' });

    let barriers = 0;
    const last = Promise.withResolvers<void>();
    const watch = watched(own, { after: ({ command }) => void (command['update'] === 'hf_barrier' && (barriers += 1) === 5 && last.resolve()) });
    const build = new LeasedCommands(watch, worker(newOperation())).building({ createIndexes: 'orders', indexes: [{ key: { n: 1 }, name: 'n' }] });
    await admin.command({ waitForFailPoint: started, timesEntered: 1, maxTimeMS: 10_000 });
    await last.promise;
    await admin.command({ configureFailPoint: started, mode: 'off' });
    expect(await build).toMatchObject({ ok: 1, numIndexesAfter: 2 });
    expect(barriers).toBe(5);
  });
});
