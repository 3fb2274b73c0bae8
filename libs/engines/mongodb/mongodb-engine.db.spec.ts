import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AppError } from '#errors';
import { BSON, MongoClient, type Db, type Document } from 'mongodb';
import { createServer, type Server, type Socket } from 'node:net';
import { dumpIntoMemory } from '../../../test/support/memory-dump.ts';
import { startMongod, testMongo, type OwnMongod } from '../../../test/support/servers.ts';
import type { EngineSession, LeasedWork, PayloadSource } from '../port.js';
import { MongodbEngine } from './mongodb-engine.js';

const engine = new MongodbEngine();
const sessions: EngineSession[] = [];

async function open(uri: string, database: string): Promise<EngineSession> {
  const session = await engine.open({ uri, database });
  sessions.push(session);
  return session;
}

/** The error of opening; its whole text must hold no secret. */
async function refusal(uri: string, database = 'tenant'): Promise<AppError> {
  const error: unknown = await open(uri, database).then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof AppError)) throw new Error(`Not refused: ${String(error)}`);
  expect(error.message).not.toContain('pass-word');
  expect(error.message).not.toMatch(/127\.0\.0\.1|user:/);
  return error;
}

afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.close()));
});

describe('targets that are refused', () => {
  it.each(['', 'localhost:27017', 'http://host/', 'mongodb:/host', 'mongodb://', 'mongodb://host:99999/', 'mongodb://user:pass-word@host/?nonsense=1', 'mongodb+srv://a:b@host:27017/'])(
    'a connection string that is none: %s',
    async (uri) => {
      expect((await refusal(uri)).code).toBe('TARGET_INVALID');
    },
  );

  it.each(['admin', 'local', 'config', 'Admin', '__mdb_internal_x', '', 'a.b', 'a b', 'a$b', 'a/b', 'a"b', 'a\\b', 'a\0b', 'x'.repeat(64), 'ü'.repeat(32)])('the database %j', async (database) => {
    const { uri } = await testMongo();
    expect((await refusal(uri, database)).code).toBe('TARGET_REFUSED');
  });

  it('one whose name differs in case alone from that of a database that is there', async () => {
    const { uri, database } = await testMongo();
    const client = new MongoClient(uri);
    try {
      await client.db(database).collection('a').insertOne({});
      const session = await open(uri, database.toUpperCase());
      await expect(session.inspect()).rejects.toMatchObject({ code: 'TARGET_REFUSED', message: expect.stringContaining(`"${database}"`) });
    } finally {
      await client.db(database).dropDatabase();
      await client.close();
    }
  });

  it('a collection under Queryable Encryption, by its name', async () => {
    const { uri, database } = await testMongo();
    const client = new MongoClient(uri);
    try {
      await client.db(database).command({ create: 'secret patients', encryptedFields: { fields: [{ path: 'ssn', keyId: new BSON.UUID(), bsonType: 'string' }] } });
      const error = await refusal(uri, database);
      expect([error.code, error.message]).toEqual(['TARGET_UNSUPPORTED', expect.stringContaining('"secret patients"')]);
    } finally {
      await client.db(database).dropDatabase();
      await client.close();
    }
  });
});

describe('servers that cannot be used', () => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
  });

  function listen(answer: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      answer(socket);
    });
    servers.push(server);
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)));
  }

  /** Speaks just enough of the wire protocol to say who it is. */
  function pretend(replies: Readonly<Record<string, Document>>): Promise<number> {
    return listen((socket) => {
      let received = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        while (received.length >= 16 && received.length >= received.readInt32LE(0)) {
          const message = received.subarray(0, received.readInt32LE(0));
          received = received.subarray(message.length);
          const isQuery = message.readInt32LE(12) === 2004;
          const body = isQuery ? message.subarray(message.indexOf(0, 20) + 9) : message.subarray(21);
          const command = Object.keys(BSON.deserialize(body))[0] ?? '';
          const reply = BSON.serialize({ ok: 1, ...(replies[command === 'ismaster' || command === 'isMaster' ? 'hello' : command] ?? {}) });
          const head = Buffer.alloc(isQuery ? 36 : 21);
          head.writeInt32LE(head.length + reply.length, 0);
          head.writeInt32LE(message.readInt32LE(4), 8);
          head.writeInt32LE(isQuery ? 1 : 2013, 12);
          if (isQuery) head.writeInt32LE(1, 32);
          socket.write(Buffer.concat([head, reply]));
        }
      });
    });
  }
  const hello = { isWritablePrimary: true, ismaster: true, minWireVersion: 0, maxWireVersion: 17, maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000, localTime: new Date() };

  it('says within 10 s that a server is away', async () => {
    const silent = await listen(() => undefined);
    const started = Date.now();
    const addresses = [`127.0.0.1:1`, `127.0.0.1:${silent}`, 'no-such-host.invalid'].map((host) => `mongodb://user:pass-word@${host}/`);
    const errors = await Promise.all([...addresses, 'mongodb+srv://user:pass-word@no-such-host.invalid/'].map((uri) => refusal(uri)));
    expect(errors.map(({ code }) => code)).toEqual(Array(4).fill('TARGET_UNREACHABLE'));
    expect(Date.now() - started).toBeLessThan(10_000);
  });

  it('refuses a sharded cluster', async () => {
    const port = await pretend({ hello: { ...hello, msg: 'isdbgrid' } });
    const error = await refusal(`mongodb://127.0.0.1:${port}/`);
    expect([error.code, error.message]).toEqual(['TARGET_UNSUPPORTED', 'Sharded clusters are not supported']);
  });

  it('refuses a server that is too old, naming its version', async () => {
    const port = await pretend({ hello: { ...hello, maxWireVersion: 13 }, buildInfo: { version: '5.0.14' } });
    const error = await refusal(`mongodb://127.0.0.1:${port}/`);
    expect([error.code, error.message]).toEqual(['TARGET_UNSUPPORTED', expect.stringContaining('5.0.14')]);
  });
});

describe('a standalone server', () => {
  let server: OwnMongod;
  beforeAll(async () => {
    server = await startMongod({ replSet: false });
  });
  afterAll(() => server.stop());

  it('is inspected, and backed up without a promise of one moment', async () => {
    const client = new MongoClient(server.uri);
    const db = client.db('tenant');
    await db.collection('a').insertMany([{ n: 1 }, { n: 2 }]);
    await db.createCollection('capped', { capped: true, size: 4_096 });
    await db.createCollection('series', { timeseries: { timeField: 't' } });
    await db.collection('series').insertOne({ t: new Date() });
    await client.close();
    const session = await open(server.uri, 'tenant');
    expect(await session.inspect()).toEqual({
      version: '6.0.5', featureCompatibility: '6.0', topology: 'standalone', deployment: `standalone/127.0.0.1:${server.port()}`,
      sizeBytes: expect.any(Number), collections: 3, documents: expect.any(Number), storageBytes: expect.any(Number), freeBytes: expect.any(Number),
    });
    const { result } = await dumpIntoMemory(session);
    expect([result.consistency, result.clusterTime]).toEqual(['fuzzy', null]);
    expect(result.namespaces.map(({ name, documents, consistency }) => [name, documents, consistency])).toEqual([['a', 2, undefined], ['capped', 0, undefined], ['series', 1, undefined]]);
  });
});

describe('inspection and catalogue', () => {
  it('tell what a replica set holds', async () => {
    const { uri, database } = await testMongo();
    const client = new MongoClient(uri);
    const db = client.db(database);
    try {
      await db.collection('b').insertMany([{ n: 1 }, { n: 2 }, { n: 3 }]);
      await db.createCollection('a', { viewOn: 'b', pipeline: [] });
      await db.createCollection('t', { timeseries: { timeField: 't' } });
      await db.collection('t').insertMany([{ t: new Date(0) }, { t: new Date(1) }]);
      await db.collection(`hf_${'1'.repeat(32)}_2_3`).insertOne({ n: 1 });
      const session = await open(uri, database);
      const found = await session.inspect();
      const { hosts, setName } = await client.db('admin').command({ hello: 1 });
      expect(found).toMatchObject({ topology: 'replicaSet', deployment: `${setName}/${hosts[0]}`, collections: 3 });
      expect(found.sizeBytes).toBeGreaterThan(0);
      const uuids = new Map((await db.listCollections({}, { nameOnly: false }).toArray()).map(({ name, info }) => [name, info?.uuid?.toString('hex').replaceAll('-', '')]));
      expect((await session.catalogue()).map(({ name, kind, uuid, documents }) => ({ name, kind, uuid, documents }))).toEqual([
        { name: 'a', kind: 'view', uuid: null, documents: 0 },
        { name: 'b', kind: 'collection', uuid: uuids.get('b'), documents: 3 },
        { name: 't', kind: 'timeseries', uuid: uuids.get('system.buckets.t'), documents: 1 },
      ]);
    } finally {
      await db.dropDatabase();
      await client.close();
    }
  });
});

describe('access control', () => {
  let server: OwnMongod;
  let root: MongoClient;
  let db: Db;
  const custom = [
    { resource: { db: 'tenant', collection: '' }, actions: ['find', 'listCollections', 'listIndexes', 'dbStats'] },
    { resource: { db: 'tenant', collection: 'one' }, actions: ['collStats'] },
  ];

  beforeAll(async () => {
    server = await startMongod({ auth: true });
    root = new MongoClient(server.uri);
    db = root.db('tenant');
    const admin = root.db('admin');
    await admin.command({ createRole: 'partial', privileges: custom, roles: [] });
    const users: Record<string, Document[]> = {
      read: [{ role: 'read', db: 'tenant' }],
      readWrite: [{ role: 'readWrite', db: 'tenant' }],
      owner: [{ role: 'dbOwner', db: 'tenant' }],
      full: [{ role: 'dbOwner', db: 'tenant' }, { role: 'backup', db: 'admin' }, { role: 'restore', db: 'admin' }],
      partial: [{ role: 'partial', db: 'admin' }],
      foreign: [{ role: 'dbOwner', db: 'other' }],
    };
    for (const [user, roles] of Object.entries(users)) await admin.command({ createUser: user, pwd: 'pass-word', roles });
    await db.collection('plain').insertOne({ n: 1 });
  });
  afterAll(async () => {
    await root.close();
    await server.stop();
  });

  const uriOf = (user: string, password = 'pass-word'): string => `mongodb://${user}:${password}@127.0.0.1:${server.port()}/?authSource=admin`;
  /** What the user lacks, or '' */
  const lacks = async (user: string, purpose: 'BACKUP' | 'RESTORE'): Promise<string> => {
    const session = await open(uriOf(user), 'tenant');
    return session.requirePrivileges(purpose).then(() => '', (error: AppError) => {
      expect(error.code).toBe('TARGET_PRIVILEGE_MISSING');
      return error.message.replace('The database user lacks ', '');
    });
  };

  it('tells a wrong password, a missing user and a user of another database apart from a server that is away', async () => {
    expect((await refusal(uriOf('read', 'wrong'), 'tenant')).code).toBe('TARGET_AUTH_FAILED');
    expect((await refusal(`mongodb://127.0.0.1:${server.port()}/`, 'tenant')).code).toBe('TARGET_AUTH_FAILED');
    expect((await refusal(uriOf('foreign'), 'tenant')).code).toBe('TARGET_AUTH_FAILED');
  });

  it('lets everybody pass on a server without it', async () => {
    const { uri, database } = await testMongo();
    const session = await open(uri, database);
    await expect(session.requirePrivileges('RESTORE')).resolves.toBeUndefined();
  });

  it('names what is missing for plain collections', async () => {
    expect(await lacks('read', 'BACKUP')).toBe('');
    expect(await lacks('partial', 'BACKUP')).toBe('collStats on database "tenant"');
    expect(await lacks('read', 'RESTORE')).toBe('insert, update, remove, createCollection, createIndex, dropCollection, collMod, bypassDocumentValidation, renameCollectionSameDB on database "tenant"');
    expect(await lacks('readWrite', 'RESTORE')).toBe('collMod, bypassDocumentValidation on database "tenant"');
    expect(await lacks('owner', 'BACKUP')).toBe('');
    expect(await lacks('owner', 'RESTORE')).toBe('');
    const session = await open(server.uri, 'tenant');
    await expect(session.requirePrivileges('RESTORE')).resolves.toBeUndefined();
  });

  it('names what is missing for time series and for system.js once they exist', async () => {
    await db.createCollection('series', { timeseries: { timeField: 't' } });
    await db.collection('series').insertOne({ t: new Date() });
    await db.collection<{ _id: string }>('system.js').insertOne({ _id: 'f' });
    try {
      expect(await lacks('read', 'BACKUP')).toBe('find on "system.buckets.series" (time series need the roles "backup" and "restore" on admin)');
      expect(await lacks('owner', 'RESTORE')).toContain('find, insert, createCollection, dropCollection on "system.buckets.series"');
      expect(await lacks('partial', 'BACKUP')).toContain('find, listIndexes, collStats on "system.js"');
      expect(await lacks('full', 'BACKUP')).toBe('');
      expect(await lacks('full', 'RESTORE')).toBe('');
      // What the check lets pass really works, and what it stops does not.
      const { result } = await dumpIntoMemory(await open(uriOf('full'), 'tenant'));
      expect(result.namespaces.map(({ name, documents }) => [name, documents])).toEqual([['plain', 1], ['series', 1], ['system.js', 1]]);
      await expect(dumpIntoMemory(await open(uriOf('owner'), 'tenant'))).rejects.toMatchObject({ code: 'TARGET_PRIVILEGE_MISSING' });
    } finally {
      await db.collection('series').drop();
      // The server drops no `system.js` under that name.
      await (await db.collection('system.js').rename('dropped')).drop();
    }
  });

  it('stages nothing of an archive whose time series the user may not write', async () => {
    await db.createCollection('to come', { timeseries: { timeField: 't' } });
    await db.collection('to come').insertOne({ t: new Date() });
    const { result, frames } = await dumpIntoMemory(await open(server.uri, 'tenant'));
    await db.collection('to come').drop();
    const source: PayloadSource = {
      namespaces: result.namespaces,
      async *payload() {
        for (const { payload } of frames) yield payload;
      },
    };
    const operationId = '0b8f6a52-6c1b-4f0e-9f0b-3f1d2c4b5a69';
    const work: LeasedWork = { operationId, fencingToken: 1, leaseRemainingMs: () => 20_000, signal: new AbortController().signal, report: () => undefined, log: () => undefined };
    const staged = async (): Promise<string[]> => (await db.listCollections().toArray()).map(({ name }) => name).filter((name) => name.startsWith('hf_'));

    const owner = await open(uriOf('owner'), 'tenant');
    await owner.requirePrivileges('RESTORE');
    await expect(owner.stage(source, work)).rejects.toMatchObject({ code: 'TARGET_PRIVILEGE_MISSING', message: expect.stringContaining('"system.buckets.to come"') });
    expect(await staged()).toEqual([]);

    const full = await open(uriOf('full'), 'tenant');
    await expect(full.stage(source, work)).resolves.toMatchObject({ namespaces: [{ name: 'plain' }, { name: 'to come', kind: 'timeseries' }] });
    await full.dropStage(operationId, work);
    expect(await staged()).toEqual([]);
  });

  it('lets a reader back up, and tells the same deployment whoever asks', async () => {
    const reader = await open(uriOf('read'), 'tenant');
    const { result } = await dumpIntoMemory(reader);
    expect(result).toMatchObject({ consistency: 'snapshot', namespaces: [{ name: 'plain', documents: 1 }] });
    const owner = await open(server.uri, 'tenant');
    expect((await reader.inspect()).deployment).toBe((await owner.inspect()).deployment);
    expect((await reader.inspect()).featureCompatibility).toBe((await owner.inspect()).featureCompatibility);
  });
});
