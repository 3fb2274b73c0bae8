import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type ArchiveStore } from '../../libs/storage/index.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { smallPayload } from '../support/archives.ts';
import { backupCreate, ended, idOf, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { forgeFor } from '../support/forged-uploads.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { type OwnMongod, startMongod } from '../support/servers.ts';
import { uploadFile } from '../support/upload-calls.ts';
import { DataSource } from 'typeorm';

let app: TestApp;
let admin: GraphqlClient;
const offs: (() => void)[] = [];

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterEach(() => {
  for (const off of offs.splice(0)) off();
});
afterAll(() => app?.stop());

interface Stat {
  readonly documents: string;
  readonly bytes: string;
  readonly indexes: number;
}

interface Plan {
  readonly id: string;
  readonly confirmName: string;
  readonly dataLossSince: string | null;
  readonly checks: readonly { readonly key: string; readonly ok: boolean; readonly blocking: boolean; readonly message: string; readonly hint: string | null }[];
  readonly changes: readonly { readonly name: string; readonly change: string; readonly live: Stat | null; readonly archive: Stat | null; readonly indexesChanged: readonly string[]; readonly optionsChanged: readonly string[] }[];
  readonly estimate: { readonly downtimeMs: number };
}

async function planOf(tenant: TestTenant, source: Readonly<Record<string, string>>, more: Readonly<Record<string, unknown>> = {}): Promise<Plan> {
  const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: Plan | null; userErrors: { message: string }[] } }>(
    `mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id confirmName dataLossSince checks { key ok blocking message hint }
      changes { name change live { documents bytes indexes } archive { documents bytes indexes } indexesChanged optionsChanged } estimate { downtimeMs } } userErrors { message } } }`,
    { input: { tenantId: tenant.id, source, ...more } },
  );
  if (restorePlanCreate.plan === null) throw new Error(JSON.stringify(restorePlanCreate.userErrors));
  return restorePlanCreate.plan;
}

const checkOf = ({ checks }: Plan, key: string) => checks.find((check) => check.key === key);
const sql = <Row>(text: string, values: unknown[]): Promise<Row[]> => app.nest.get(DataSource).query(text, values);

async function requireBlocked({ id, confirmName }: Plan, key: string): Promise<void> {
  expect(await restoreStart(admin, id, confirmName)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED', message: expect.stringContaining(`(${key})`) }] });
}

async function shop(): Promise<{ readonly tenant: TestTenant; readonly source: { readonly backupId: string } }> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, async (db) => {
    await db.collection('orders').insertMany(Array.from({ length: 20 }, (_, n) => ({ n })));
    await db.collection('orders').createIndex({ n: 1 });
  });
  return { tenant, source: { backupId: (await takeBackup(admin, tenant.id)).id } };
}

describe('a plan', () => {
  it('shows each collection now and in the archive, what changed of its indexes and options, and since when live data are newer', async () => {
    const { tenant, source } = await shop();
    await withDatabase(tenant, async (db) => {
      await db.collection('orders').deleteMany({ n: { $lt: 5 } });
      await db.collection('orders').dropIndex('n_1');
      await db.command({ collMod: 'orders', validator: { n: { $gte: 0 } } });
    });
    const { changes, dataLossSince } = await planOf(tenant, source);
    expect(changes).toEqual([{
      name: 'orders', change: 'CHANGED', live: { documents: '15', bytes: expect.any(String), indexes: 1 }, archive: { documents: '20', bytes: expect.any(String), indexes: 2 },
      indexesChanged: ['n_1'], optionsChanged: ['validationAction', 'validationLevel', 'validator'],
    }]);
    expect(Number(changes[0]!.archive!.bytes) * 15).toBe(Number(changes[0]!.live!.bytes) * 20);
    const [row] = await sql<{ cluster_time: string }>('select cluster_time from backup where id = $1', [parseGlobalId(source.backupId)!.uuid]);
    expect(new Date(dataLossSince!).getTime()).toBe(Number(row!.cluster_time.split('.')[0]) * 1000);
  });

  it('is blocked by an archive of a newer major version, and warns of a newer minor one, wherever it comes from', async () => {
    const tenant = await createTestTenant(admin);
    const versions = async (engineVersion: string) => {
      const { upload, userErrors } = await uploadFile(admin, tenant.id, 'acme.gz.enc', forgeFor(tenant, { ...smallPayload(), engineVersion }));
      expect(userErrors).toEqual([]);
      return planOf(tenant, { uploadId: upload!.id });
    };
    const major = await versions('99.0.0');
    expect(checkOf(major, 'engineVersion')).toMatchObject({ ok: false, blocking: true, message: expect.stringContaining('99.0.0'), hint: expect.stringMatching(/Update the database server/) });
    await requireBlocked(major, 'engineVersion');
    const [liveMajor] = /version (\d+)/.exec(checkOf(major, 'engineVersion')!.message)!.slice(1);
    const minor = await versions(`${liveMajor}.99.0`);
    expect(checkOf(minor, 'engineVersion')).toMatchObject({ ok: false, blocking: false });
    expect(checkOf(await versions('6.0.5'), 'engineVersion')).toMatchObject({ ok: true, message: expect.stringContaining('6.0.5') });
    expect(await ended(admin, idOf(await restoreStart(admin, minor.id, minor.confirmName)))).toMatchObject({ state: 'COMPLETED' });
  });

  it('is blocked where the archive store has no room for the safety backup', async () => {
    const { tenant, source } = await shop();
    const store = app.nest.get<ArchiveStore>(ARCHIVE_STORE);
    const freeBytes = store.freeBytes.bind(store);
    offs.push(() => (store.freeBytes = freeBytes));
    store.freeBytes = () => Promise.resolve(10);
    const plan = await planOf(tenant, source);
    expect(checkOf(plan, 'space')).toMatchObject({ ok: false, blocking: true, message: expect.stringMatching(/^The archive store has 10 bytes free/), hint: expect.stringMatching(/Free space/) });
    await requireBlocked(plan, 'space');
  });

  it('says when the quota is used up, and restores all the same', async () => {
    const { tenant, source } = await shop();
    const setQuota = (bytes: number) => sql('update tenant set quota_bytes = $1 where id = $2', [bytes, parseGlobalId(tenant.id)!.uuid]);
    expect(checkOf(await planOf(tenant, source), 'quota')).toMatchObject({ ok: true, message: expect.stringMatching(/no storage quota/) });
    await setQuota(1_000_000_000);
    expect(checkOf(await planOf(tenant, source), 'quota')).toMatchObject({ ok: true, message: expect.stringMatching(/^\d+ of 1000000000 bytes/) });
    await setQuota(1);
    const plan = await planOf(tenant, source);
    expect(checkOf(plan, 'quota')).toMatchObject({ ok: false, blocking: false, message: expect.stringMatching(/the next backup does not fit/), hint: expect.stringMatching(/Delete old backups/) });
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, plan.confirmName)))).toMatchObject({ state: 'COMPLETED' });
  });

  it('names the work that runs, which need not run any more when it starts', async () => {
    const { tenant, source } = await shop();
    const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    offs.push(app.at('backup.dump', () => {
      reached.resolve();
      return goOn.promise;
    }));
    const running = idOf(await backupCreate(admin, tenant.id));
    await reached.promise;
    const plan = await planOf(tenant, source);
    expect(checkOf(plan, 'runningWork')).toMatchObject({ ok: false, blocking: false, message: expect.stringContaining(running) });
    expect(await restoreStart(admin, plan.id, plan.confirmName)).toMatchObject({ operation: null, userErrors: [{ code: 'OPERATION_ALREADY_RUNNING', message: expect.stringContaining(running) }] });
    goOn.resolve();
    await ended(admin, running);
    // The refusal has not used it up.
    for (const off of offs.splice(0)) off();
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, plan.confirmName)))).toMatchObject({ state: 'COMPLETED' });
  });

  it('counts among the downtime what is copied or written document by document in maintenance', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, async (db) => {
      await db.collection('plain').insertMany(Array.from({ length: 100 }, (_, n) => ({ n })));
      await db.createCollection('series', { timeseries: { timeField: 't' } });
      await db.collection('series').insertOne({ t: new Date() });
    });
    const source = { backupId: (await takeBackup(admin, tenant.id)).id };
    const downtimeOf = async (collection: string, mode = 'REPLACE'): Promise<number> => (await planOf(tenant, source, { collections: [collection], mode })).estimate.downtimeMs;
    expect(await downtimeOf('series')).toBeGreaterThan(await downtimeOf('plain'));
    expect(await downtimeOf('plain', 'MERGE')).toBeGreaterThan(await downtimeOf('plain'));
  });
});

describe('a database user without the rights that a restore needs', () => {
  let server: OwnMongod;
  beforeAll(async () => {
    server = await startMongod({ auth: true });
    await withDatabase({ uri: server.uri, database: 'admin' }, async (db) => {
      await db.command({ createUser: 'owner', pwd: 'pass-word', roles: [{ role: 'dbOwner', db: 'acme' }] });
    });
  });
  afterAll(() => server?.stop());

  it('is named in the plan, which is blocked', async () => {
    const uriOf = (user: string): string => `mongodb://${user}:pass-word@127.0.0.1:${server.port()}/?authSource=admin`;
    const tenant = await createTestTenant(admin, { uri: uriOf('owner'), database: 'acme' });
    await withDatabase({ uri: server.uri, database: 'acme' }, async (db) => void (await db.collection('orders').insertOne({ n: 1 })));
    const source = { backupId: (await takeBackup(admin, tenant.id)).id };
    expect(checkOf(await planOf(tenant, source), 'privileges')).toMatchObject({ ok: true });
    await withDatabase({ uri: server.uri, database: 'admin' }, (db) => db.command({ updateUser: 'owner', roles: [{ role: 'read', db: 'acme' }] }));
    const plan = await planOf(tenant, source);
    expect(checkOf(plan, 'privileges')).toMatchObject({ ok: false, blocking: true, message: expect.stringMatching(/lacks insert,.* on database "acme"/), hint: expect.stringMatching(/Grant/) });
    await requireBlocked(plan, 'privileges');
  });
});
