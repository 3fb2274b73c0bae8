import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import { backupCreate, ended, idOf, restore, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { type OwnMongod, startMongod } from '../support/servers.ts';

let app: TestApp;
let admin: GraphqlClient;
let mongod: OwnMongod;

beforeAll(async () => {
  [app, mongod] = await Promise.all([startTestApp(), startMongod()]);
  admin = await app.loginAsAdmin();
});
afterAll(async () => {
  await app?.stop();
  await mongod?.stop();
});

describe('a backup that takes longer than the server keeps a snapshot', () => {
  it('is read once more without one and says so, and for a day the next ones do not try again', async () => {
    const tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'acme' });
    await withDatabase(tenant, async (db) => {
      for (const name of ['a', 'b']) await db.collection(name).insertMany(Array.from({ length: 12_000 }, (_, n) => ({ n, pad: 'x'.repeat(1_000) })), { writeConcern: { w: 'majority' } });
    });
    await withDatabase({ uri: mongod.uri, database: 'admin' }, (db) => db.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 1 }));
    let tries = 0;
    let aging: Promise<void> | null = null;
    const age = () =>
      withDatabase(tenant, async (db) => {
        const started = Date.now();
        // The history is cut as writes come in.
        while (Date.now() - started < 4_000) await db.collection('other').updateOne({ n: 1 }, { $inc: { count: 1 } }, { upsert: true, writeConcern: { w: 'majority' } });
        await db.admin().command({ fsync: 1 });
      });
    const offs = [
      app.at('backup.prelude', () => Promise.resolve(void (tries += 1))),
      app.at('backup.dump', () => (aging ??= age())),
    ];
    const first = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
    expect(first).toMatchObject({ state: 'COMPLETED', failure: null, backup: { usable: true, consistency: 'FUZZY' } });
    const { operation } = await admin.run<{ operation: { log: { message: string }[] } }>('query ($id: ID!) { operation(id: $id) { log { message } } }', { id: first.id });
    expect(operation.log.map(({ message }) => message)).toContainEqual(expect.stringMatching(/once more without one\. Raise minSnapshotHistoryWindowInSeconds/));
    expect(tries).toBe(2);
    const second = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
    expect([second.state, second.backup!.consistency, tries]).toEqual(['COMPLETED', 'FUZZY', 3]);
    // A day later the server may have a longer window.
    await withDatabase({ uri: mongod.uri, database: 'admin' }, (db) => db.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 300 }));
    await app.nest.get(DataSource).query(`update tenant set snapshot_lost_at = snapshot_lost_at - interval '1 day' where id = $1`, [parseGlobalId(tenant.id)?.uuid]);
    expect(await ended(admin, idOf(await backupCreate(admin, tenant.id)))).toMatchObject({ state: 'COMPLETED', backup: { consistency: 'SNAPSHOT' } });
    for (const off of offs) off();
    expect(await restore(admin, tenant.id, first.backup!.id)).toMatchObject({ state: 'COMPLETED' });
  });
});
