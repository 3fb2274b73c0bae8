import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MongoClient, type Db } from 'mongodb';
import { dumpIntoMemory, sumOf } from '../../../test/support/memory-dump.ts';
import { startMongod, type OwnMongod } from '../../../test/support/servers.ts';
import type { EngineSession } from '../port.js';
import { MongodbEngine } from './mongodb-engine.js';

let server: OwnMongod;
let client: MongoClient;
let db: Db;
let session: EngineSession;

async function connect(): Promise<void> {
  client = new MongoClient(server.uri);
  db = client.db('tenant');
  session = await new MongodbEngine().open({ uri: server.uri, database: 'tenant' });
}

beforeAll(async () => {
  server = await startMongod();
  await connect();
  for (const name of ['a', 'b']) await db.collection(name).insertMany(Array.from({ length: 12_000 }, (_, n) => ({ n, pad: 'x'.repeat(1_000) })), { writeConcern: { w: 'majority' } });
});

afterEach(async () => {
  await Promise.all([client.close(), session.close()]);
  await connect();
});

afterAll(async () => {
  await Promise.all([client.close(), session.close()]);
  await server.stop();
});

/** A dump to whose fourth frame something happens; how it ended and after what time. */
async function dumpWhile(happen: () => Promise<unknown>): Promise<{ readonly error: unknown; readonly elapsedMs: number }> {
  let frames = 0;
  let happening: Promise<unknown> | undefined;
  let started = Date.now();
  const attempt = dumpIntoMemory(session, {
    async onFrame() {
      frames += 1;
      if (frames < 4) return;
      await (happening ??= happen().then(() => void (started = Date.now())));
    },
  });
  const error: unknown = await attempt.then(() => undefined, (reason: unknown) => reason);
  await happening;
  return { error, elapsedMs: Date.now() - started };
}

describe('a server that fails during a dump', () => {
  it('ends it with a clear error when it is killed', async () => {
    const { error, elapsedMs } = await dumpWhile(() => server.kill('SIGKILL'));
    expect(error).toMatchObject({ code: 'TARGET_LOST', message: expect.not.stringContaining('127.0.0.1') });
    expect(elapsedMs).toBeLessThan(30_000);
    await server.restart();
  });

  it('ends it within 30 s when it no longer answers and keeps its connections open', async () => {
    try {
      const { error, elapsedMs } = await dumpWhile(() => server.kill('SIGSTOP'));
      expect(error).toMatchObject({ code: 'TARGET_LOST' });
      expect(elapsedMs).toBeLessThan(30_000);
    } finally {
      await server.kill('SIGCONT');
    }
  });

  it('never leaves out documents when the primary steps down', async () => {
    const admin = client.db('admin');
    let frames = 0;
    let steppedDown: Promise<unknown> | undefined;
    const attempt = dumpIntoMemory(session, {
      concurrency: 1,
      async onFrame() {
        frames += 1;
        if (frames === 4) steppedDown = admin.command({ replSetStepDown: 1, force: true });
        await steppedDown;
      },
    });
    const outcome = await attempt.then(({ result }) => result.namespaces.map(({ documents }) => documents), (error: unknown) => (error as { code?: string }).code);
    expect(JSON.stringify(outcome)).toMatch(/^("TARGET_LOST"|\[12000,12000\])$/);
    await admin.command({ ping: 1 });
  });

  it('opens a collection again when its first answer was lost', async () => {
    await client.db('admin').command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data: { failCommands: ['find'], closeConnection: true, namespace: 'tenant.b' } });
    const { result } = await dumpIntoMemory(session);
    expect(result.namespaces.map(({ documents }) => documents)).toEqual([12_000, 12_000]);
  });

  it('fails when the answer to a getMore is lost, as another one would skip a batch', async () => {
    await client.db('admin').command({ configureFailPoint: 'failCommand', mode: { skip: 1 }, data: { failCommands: ['getMore'], closeConnection: true, namespace: 'tenant.b' } });
    try {
      await expect(dumpIntoMemory(session)).rejects.toMatchObject({ code: 'TARGET_LOST' });
    } finally {
      await client.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' });
    }
  });
});

describe('a server whose snapshot history ends too soon', () => {
  it('is told apart, and can be read without a snapshot', async () => {
    const admin = client.db('admin');
    const { was } = await admin.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 1 });
    try {
      const { error } = await dumpWhile(async () => {
        // The history is cut as writes come in.
        const started = Date.now();
        while (Date.now() - started < 4_000) await db.collection('c').updateOne({ n: 1 }, { $inc: { count: 1 } }, { upsert: true, writeConcern: { w: 'majority' } });
        await admin.command({ fsync: 1 });
      });
      expect(error).toMatchObject({ code: 'SNAPSHOT_TOO_OLD' });
      const { result } = await dumpIntoMemory(session, { fuzzy: true });
      expect(result.consistency).toBe('fuzzy');
      expect(result.clusterTime).toMatch(/^\d+\.\d+$/);
      for (const { name, sum, consistency } of result.namespaces) {
        const documents = await db.collection(name).find({}, { raw: true }).toArray();
        expect([name, sum, consistency]).toEqual([name, sumOf(documents.map((document) => Buffer.from(document as unknown as Uint8Array))), undefined]);
      }
    } finally {
      await admin.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: was });
    }
  });
});
