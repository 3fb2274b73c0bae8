import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import { ended, type OperationAnswer } from '../support/backup-calls.ts';
import { type ChangedShop, RestoreBench } from '../support/restore-bench.ts';
import { type OwnMongod, startMongod } from '../support/servers.ts';

const outOfDiskSpace = 14031;

let mongod: OwnMongod;
let client: MongoClient;
let bench: RestoreBench;
let made = 0;

beforeAll(async () => {
  mongod = await startMongod();
  client = await MongoClient.connect(mongod.uri);
  bench = await RestoreBench.start();
});

afterEach(() => freed());

afterAll(async () => {
  await bench?.app.stop();
  await client?.close();
  await mongod?.stop();
});

/** What needs space on the server's disk fails from now on: these commands, as the server says it. */
async function fill(...failCommands: readonly string[]): Promise<void> {
  await client.db('admin').command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data: { failCommands, errorCode: outOfDiskSpace } });
}

async function freed(): Promise<void> {
  await client.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' });
}

const shop = (): Promise<ChangedShop> => bench.changedShop({ uri: mongod.uri, database: `full_${(made += 1)}` });

interface Seen {
  readonly state: string;
  readonly phase: string;
  readonly log: readonly { readonly message: string }[];
}

/** Resolves with the state in which the operation told of the full disk. */
async function untilTold(id: string): Promise<Seen> {
  for await (const { data } of bench.admin.subscribe<{ operationUpdated: Seen }>('subscription ($id: ID!) { operationUpdated(id: $id) { state phase log { message } } }', { id })) {
    if (data!.operationUpdated.log.some(({ message }) => message.includes('TARGET_FULL'))) return data!.operationUpdated;
  }
  throw new Error('The operation ended without a word of the full disk');
}

describe.each(['SWAP', 'REPOINT'] as const)('a database server whose disk is full during a restore with cutover %s', (cutover) => {
  const requireOneState = (one: ChangedShop, operation: OperationAnswer): Promise<void> => (cutover === 'SWAP' ? bench.requireOneState(one, operation) : bench.requireOnePointer(one, operation));

  it.each(['create', 'insert', 'createIndexes'])('when it stages (%s) fails with live data as they are and nothing beside them, and the next one works', async (command) => {
    const one = await shop();
    const reached = bench.once('restore.safe', () => fill(command));
    const failed = await ended(bench.admin, await bench.begin(one, { cutover }));
    expect(reached()).toBe(true);
    expect(failed).toMatchObject({ state: 'FAILED', phase: 'STAGE', failure: { code: 'TARGET_FULL', hints: [expect.stringMatching(/disk space/)] } });
    await requireOneState(one, failed);
    await freed();
    const done = await ended(bench.admin, await bench.begin(one, { cutover }));
    expect(done).toMatchObject({ state: 'COMPLETED' });
    await requireOneState(one, done);
  }, 120_000);

  it.each([
    ['SWAP', 'restore.committed', ['renameCollection', 'create', 'insert', 'collMod', 'createIndexes', 'aggregate'], 'MAINTENANCE'],
    ...(cutover === 'SWAP' ? ([['CLEANUP', 'restore.maintenance-off', ['drop'], 'ACTIVE']] as const) : []),
  ] as const)('past its commit point (%s) stays there until there is space, and is then finished', async (phase, point, commands, status) => {
    const one = await shop();
    const reached = bench.once(point, () => fill(...commands));
    const id = await bench.begin(one, { cutover });
    expect(await untilTold(id)).toMatchObject({ state: 'RUNNING', phase });
    const { tenant } = await bench.admin.run<{ tenant: { status: string } }>('query ($id: ID!) { tenant(id: $id) { status } }', { id: one.tenant.id });
    expect([reached(), tenant.status]).toEqual([true, status]);
    await freed();
    const done = await ended(bench.admin, id);
    expect(done).toMatchObject({ state: 'COMPLETED', failure: null });
    await requireOneState(one, done);
  }, 120_000);
});
