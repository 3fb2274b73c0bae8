import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Document, MongoClient } from 'mongodb';
import { testMongo } from '../../../test/support/servers.ts';
import { connect, type MongodbContext } from './connection.js';
import { RawCursor } from './raw-cursor.js';

let client: MongoClient;
let context: MongodbContext;

beforeAll(async () => {
  const { uri, database } = await testMongo();
  client = await MongoClient.connect(uri);
  await client.db(database).collection('a').insertMany(Array.from({ length: 10 }, (_, value) => ({ value })));
  context = await connect({ uri, database });
});

afterAll(async () => {
  await context.db.dropDatabase();
  await Promise.all([context.client.close(), client.close()]);
});

async function operations(which: Document): Promise<number> {
  const ns = `${context.db.databaseName}.a`;
  const found = await client.db('admin').aggregate([{ $currentOp: { allUsers: true, idleCursors: true } }, { $match: { ns, ...which } }]).toArray();
  return found.length;
}

const cursors = { cursor: { $exists: true } };
const finds = { 'command.find': 'a', op: 'query' };

const find = { find: 'a', filter: {}, batchSize: 2 };

describe('opening a cursor', () => {
  it('rejects with the reason of the signal and leaves no cursor on the server, whenever it is aborted', async () => {
    const reason = new Error('Cancelled by a test');
    for (let attempt = 0; attempt < 40; attempt += 1) {
      const abort = new AbortController();
      const opening = RawCursor.open(context, find, abort.signal);
      setTimeout(() => abort.abort(reason), attempt / 10);
      await opening.then((cursor) => cursor.close(), (error: unknown) => expect(error).toBe(reason));
    }
    expect(await operations(cursors)).toBe(0);
  });

  it('is not begun when the signal is aborted already', async () => {
    const reason = new Error('Cancelled by a test');
    await expect(RawCursor.open(context, find, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('waits no longer than two seconds for a server that does not answer', async () => {
    const reason = new Error('Cancelled by a test');
    const abort = new AbortController();
    const opening = RawCursor.open(context, { ...find, filter: { $where: 'sleep(30000) || true' } }, abort.signal);
    const rejected = expect(opening).rejects.toBe(reason);
    while ((await operations(finds)) === 0) await context.db.command({ ping: 1 });
    const aborted = performance.now();
    abort.abort(reason);
    await rejected;
    expect(performance.now() - aborted).toBeGreaterThan(1_900);
    expect(performance.now() - aborted).toBeLessThan(10_000);
    while ((await operations(finds)) > 0) await context.db.command({ ping: 1 });
  });
});
