import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { BackupDeletion } from '../../src/backups/backup-deletion.ts';
import { parseGlobalId, toGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import {
  backupCreate, type BackupAnswer, backupFields, ended, idOf, operationFields, type OperationAnswer, readBackup, restore, seedShop, takeBackup, type UserErrorAnswer, withDatabase,
} from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { startMongod } from '../support/servers.ts';
import { faultsOf, storedFiles, storeFolder } from '../support/store-faults.ts';

let app: TestApp;
let admin: GraphqlClient;
let faults: ReturnType<typeof faultsOf>;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  faults = faultsOf(app);
});

afterEach(() => {
  for (const name of Object.keys(faults) as (keyof typeof faults)[]) delete faults[name];
});

afterAll(async () => {
  await app?.stop();
});

async function shop(orders = 200): Promise<TestTenant> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, orders));
  return tenant;
}

type Payload = Record<string, { readonly userErrors: readonly UserErrorAnswer[]; readonly backup?: BackupAnswer | null; readonly operation?: { readonly id: string } | null }>;

async function call(client: GraphqlClient, mutation: string, input: Readonly<Record<string, unknown>>): Promise<Payload[string]> {
  const type = `${mutation[0]!.toUpperCase()}${mutation.slice(1)}Input`;
  const answer = await client.run<Payload>(`mutation ($input: ${type}!) { ${mutation}(input: $input) { backup { ${backupFields} } userErrors { code message field hint } } }`, { input });
  return answer[mutation]!;
}

const count = async (tenant: TestTenant): Promise<number> => {
  const { tenant: found } = await admin.run<{ tenant: { operations: { totalCount: number } } }>('query ($id: ID!) { tenant(id: $id) { operations { totalCount } } }', { id: tenant.id });
  return found.operations.totalCount;
};

const setQuota = (client: GraphqlClient, tenant: TestTenant, bytes: number): Promise<unknown> =>
  client.run('mutation ($input: TenantUpdateInput!) { tenantUpdate(input: $input) { tenant { id } userErrors { code message field } } }', { input: { tenantId: tenant.id, quotaBytes: String(bytes) } });

/** Holds every backup at its first frame until it is let go. */
function holdBackups(): { readonly reached: Promise<void>; letGo(): void } {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const off = app.at('backup.prelude', () => {
    reached.resolve();
    return gate.promise;
  });
  return { reached: reached.promise, letGo: () => (off(), gate.resolve()) };
}

describe('starting a backup', () => {
  it('names a backup by the clock of the workspace', async () => {
    const tenant = await shop();
    expect((await takeBackup(admin, tenant.id)).name).toMatch(/^Manual \d{4}-\d{2}-\d{2} \d{2}:\d{2}$/);
  });

  it.each(['TRANSACTIONS', 'MASTER'])('fails for the scope %s where no collection belongs to it, instead of backing up everything', async (scope) => {
    const tenant = await createTestTenant(admin);
    const { backup, failure } = await ended(admin, idOf(await backupCreate(admin, tenant.id, { scope })));
    expect(failure).toMatchObject({ code: 'SCOPE_UNDEFINED', hints: [expect.stringContaining('classRulesUpdate')] });
    expect(backup).toMatchObject({ state: 'FAILED', usable: false });
  });

  it('runs once for a request that is sent twice, and one at a time otherwise', async () => {
    const tenant = await shop();
    const hold = holdBackups();
    const input = { name: 'Twice', idempotencyKey: 'one-click' };
    const [first, second] = await Promise.all([backupCreate(admin, tenant.id, input), backupCreate(admin, tenant.id, input)]);
    expect(idOf(first)).toBe(idOf(second));
    expect(first.backup?.id).toBe(second.backup?.id);
    await hold.reached;
    expect(await backupCreate(admin, tenant.id, { ...input, name: 'Other' })).toMatchObject({ operation: null, userErrors: [{ code: 'IDEMPOTENCY_MISMATCH' }] });
    expect(await backupCreate(admin, tenant.id)).toMatchObject({ operation: null, userErrors: [{ code: 'OPERATION_ALREADY_RUNNING', field: [idOf(first)] }] });
    const { tenant: state } = await admin.run<{ tenant: { actions: { permission: string; allowed: boolean; reason: string | null }[] } }>('query ($id: ID!) { tenant(id: $id) { actions { permission allowed reason } } }', { id: tenant.id });
    expect(state.actions.find(({ permission }) => permission === 'BACKUP_CREATE')).toMatchObject({ allowed: false, reason: expect.stringMatching(/has not finished/) });
    hold.letGo();
    expect(await ended(admin, idOf(first))).toMatchObject({ state: 'COMPLETED' });
    expect(await count(tenant)).toBe(1);
  });

  it('answers unknown ids and those of another tenant alike', async () => {
    const [mine, theirs] = [await createTestTenant(admin), await shop()];
    const backup = await takeBackup(admin, theirs.id);
    const owner = await createTestMember(app, admin, mine.id, 'OWNER');
    const unknown = toGlobalId('Backup', '00000000-0000-4000-8000-000000000000');
    for (const backupId of [backup.id, unknown, 'nonsense', mine.id]) {
      expect(await owner.codeOf('query ($id: ID!) { backup(id: $id) { id } }', { id: backupId })).toBe('NOT_FOUND');
      expect(await owner.codeOf('query ($id: ID!) { node(id: $id) { id } }', { id: backup.id })).toBe('NOT_FOUND');
      for (const mutation of ['backupUpdate', 'backupPin', 'backupUnpin', 'backupDelete', 'backupVerify']) {
        const type = `${mutation[0]!.toUpperCase()}${mutation.slice(1)}Input`;
        expect(await owner.codeOf(`mutation ($input: ${type}!) { ${mutation}(input: $input) { userErrors { code } } }`, { input: { backupId } })).toBe('NOT_FOUND');
      }
      expect(await owner.codeOf('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId, variant: 'ARCHIVE' } })).toBe('NOT_FOUND');
      expect(await owner.codeOf('mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } } }', { input: { tenantId: mine.id, source: { backupId } } })).toBe('NOT_FOUND');
    }
    expect(await owner.codeOf('mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { operation { id } } }', { input: { tenantId: theirs.id } })).toBe('NOT_FOUND');
    // Even somebody who sees both does not restore one's backup into the other.
    expect(await admin.codeOf('mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } } }', { input: { tenantId: mine.id, source: { backupId: backup.id } } })).toBe('NOT_FOUND');
  });
});

describe('a collection that is replaced during a backup', () => {
  it('is read first when the backup starts over, and so is whole although it is replaced again', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, async (db) => {
      // Two longer collections hold both readers up until "victim" has been replaced.
      for (const name of ['a1', 'a2']) await db.collection(name).insertMany(Array.from({ length: 800 }, (_, n) => ({ n, pad: 'x'.repeat(10_000) })));
      await db.collection('victim').insertOne({ n: 0 });
      let attempts = 0;
      let replacing: Promise<void> = Promise.resolve();
      const replace = async (): Promise<void> => {
        attempts += 1;
        await db.collection('victim').drop();
        await db.collection('victim').insertMany([{ n: 1 }, { n: 2 }]);
      };
      const offs = [app.at('backup.prelude', () => (replacing = replace())), app.at('backup.dump', () => replacing)];
      try {
        const done = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
        expect(done).toMatchObject({ state: 'COMPLETED', failure: null, backup: { usable: true, consistency: 'SNAPSHOT' } });
        expect(done.backup?.contents).toContainEqual(expect.objectContaining({ name: 'victim', documents: '2' }));
        expect(attempts).toBe(2);
      } finally {
        for (const off of offs) off();
      }
    });
  });
});

describe('a backup that cannot be finished', () => {
  it('fails with STORAGE_FULL on a full disk, leaves no bytes, and the next one works', async () => {
    const tenant = await shop();
    const filesBefore = await storedFiles(app);
    faults.fullAtByte = 2_000;
    const failed = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'STORAGE_FULL', hints: [expect.any(String)] }, backup: { state: 'FAILED', usable: false, failure: { code: 'STORAGE_FULL' } } });
    expect(await storedFiles(app)).toEqual(filesBefore);
    delete faults.fullAtByte;
    expect(await takeBackup(admin, tenant.id)).toMatchObject({ state: 'COMPLETED' });
  });

  it.each([
    ['lost its last bytes', { loseLastBytes: 7 }],
    ['stored one bit wrongly', { flipBitAtByte: 5_000 }],
  ])('is never COMPLETED by a store that %s', async (_what, fault) => {
    const tenant = await shop();
    const filesBefore = await storedFiles(app);
    Object.assign(faults, fault);
    expect(await ended(admin, idOf(await backupCreate(admin, tenant.id)))).toMatchObject({ state: 'FAILED', failure: { code: 'READ_BACK_FAILED' }, backup: { state: 'FAILED' } });
    expect(await storedFiles(app)).toEqual(filesBefore);
  });

  it('is CANCELED at once, without bytes, and the next one starts', async () => {
    const tenant = await shop();
    const filesBefore = await storedFiles(app);
    const hold = holdBackups();
    const id = idOf(await backupCreate(admin, tenant.id));
    await hold.reached;
    await admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { operation { id } userErrors { code } } }', { input: { operationId: id } });
    hold.letGo();
    expect(await ended(admin, id)).toMatchObject({ state: 'CANCELED', backup: { state: 'CANCELED', usable: false } });
    expect(await storedFiles(app)).toEqual(filesBefore);
    expect(await takeBackup(admin, tenant.id)).toMatchObject({ state: 'COMPLETED' });
  });

  it('fails clearly while the database is away', async () => {
    const mongod = await startMongod({});
    const tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'away' });
    await mongod.kill();
    const failed = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'TARGET_UNREACHABLE' }, backup: { state: 'FAILED' } });
    expect(JSON.stringify(failed)).not.toContain(mongod.uri);
  });

  it('is refused when the quota is used up', async () => {
    const tenant = await shop();
    await takeBackup(admin, tenant.id);
    await setQuota(admin, tenant, 100);
    expect(await backupCreate(admin, tenant.id)).toMatchObject({ operation: null, userErrors: [{ code: 'STORAGE_QUOTA_EXCEEDED' }] });
  });

  it('is refused before it begins when the last one would not fit into what is left of the quota, and goes on without one', async () => {
    const tenant = await shop();
    const { size } = await takeBackup(admin, tenant.id);
    await setQuota(admin, tenant, Math.floor(Number(size) * 1.5));
    expect(await backupCreate(admin, tenant.id)).toMatchObject({ operation: null, userErrors: [{ code: 'STORAGE_QUOTA_EXCEEDED', message: expect.stringContaining(`had ${size} bytes`) }] });
    await setQuota(admin, tenant, 0);
    await takeBackup(admin, tenant.id);
  });

  it('is stopped, and leaves nothing, when it grows past the quota', async () => {
    const tenant = await shop();
    const { size } = await takeBackup(admin, tenant.id);
    await withDatabase(tenant, async (db) => void (await db.collection('photos').insertMany(Array.from({ length: 8 }, () => ({ bytes: randomBytes(500_000) })))));
    await setQuota(admin, tenant, Number(size) * 3);
    const failed = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'STORAGE_QUOTA_EXCEEDED' } });
    expect((await storedFiles(app)).filter((file) => file.includes(failed.backup?.fileName ?? '?'))).toEqual([]);
  });
});

describe('what the provider alone may do', () => {
  it('is to set the quota, and to hold a backup that then nobody deletes', async () => {
    const tenant = await shop();
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    await expect(setQuota(owner, tenant, 1_000_000)).rejects.toThrow('FORBIDDEN');
    await expect(setQuota(admin, tenant, -1)).rejects.toThrow('Expected a whole number from 0');
    const { id } = await takeBackup(admin, tenant.id);
    await takeBackup(admin, tenant.id);
    const keep = (client: GraphqlClient, what: 'Hold' | 'Release') =>
      client.run<Record<string, { backup: { held: boolean; keptBecause: string[] } }>>(`mutation ($input: Backup${what}Input!) { backup${what}(input: $input) { backup { held keptBecause } userErrors { code } } }`, { input: { backupId: id } });
    await expect(keep(owner, 'Hold')).rejects.toThrow('FORBIDDEN');
    expect((await keep(admin, 'Hold'))['backupHold']?.backup).toEqual({ held: true, keptBecause: ['it is held'] });
    const remove = () => admin.run<{ backupDelete: { userErrors: { code: string }[] } }>('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId: id } });
    expect((await remove()).backupDelete.userErrors).toEqual([{ code: 'BACKUP_PROTECTED' }]);
    await keep(admin, 'Release');
    expect((await remove()).backupDelete.userErrors).toEqual([]);
  });
});

describe('odd content', () => {
  it('backs up and restores a database without collections', async () => {
    const tenant = await createTestTenant(admin);
    const backup = await takeBackup(admin, tenant.id);
    expect(backup).toMatchObject({ documents: '0', contents: [], consistency: 'SNAPSHOT', usable: true });
    await withDatabase(tenant, (db) => db.collection('later').insertOne({ a: 1 }));
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(tenant, async (db) => (await db.listCollections().toArray()).length)).toBe(0);
  });

  it('keeps names of unicode, quotes, spaces and 200 bytes, and a document of 16 MiB', async () => {
    const tenant = await createTestTenant(admin);
    const names = ['コレクション', `it's "quoted"`, ' with spaces ', 'n'.repeat(200), 'per%24cent', '1st'];
    const payload = Buffer.alloc(16 * 1024 * 1024 - 64, 7);
    await withDatabase(tenant, async (db) => {
      for (const name of names) await db.collection(name).insertOne({ name });
      await db.collection('large').insertOne({ payload });
    });
    const backup = await takeBackup(admin, tenant.id);
    await withDatabase(tenant, (db) => db.dropDatabase());
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    await withDatabase(tenant, async (db) => {
      for (const name of names) expect(await db.collection(name).findOne({}, { projection: { _id: 0 } })).toEqual({ name });
      expect((await db.collection('large').findOne({}, { promoteBuffers: true }))?.['payload']).toHaveLength(payload.length);
    });
  });
});

describe('keeping and deleting', () => {
  it('deletes what is not protected: first the row says so, then the bytes go', async () => {
    const tenant = await shop();
    const [old, last] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    expect(await call(admin, 'backupDelete', { backupId: last.id })).toMatchObject({ backup: null, userErrors: [{ code: 'BACKUP_PROTECTED', message: expect.stringMatching(/last good/) }] });
    expect((await call(admin, 'backupPin', { backupId: old.id })).backup).toMatchObject({ pinned: true, keptBecause: ['it is pinned'] });
    expect(await call(admin, 'backupDelete', { backupId: old.id })).toMatchObject({ userErrors: [{ code: 'BACKUP_PROTECTED', message: expect.stringMatching(/pinned/) }] });
    expect((await readBackup(admin, old.id)).actions.find(({ permission }) => permission === 'BACKUP_DELETE')).toEqual({ permission: 'BACKUP_DELETE', allowed: false, reason: 'The backup is kept: it is pinned' });
    await call(admin, 'backupUnpin', { backupId: old.id });
    expect((await call(admin, 'backupDelete', { backupId: old.id })).backup).toMatchObject({ state: 'DELETED', usable: false });
    expect(await storedFiles(app)).not.toContainEqual(expect.stringContaining(old.fileName!));
    const list = async (filter: object) => (await admin.run<{ tenant: { backups: { edges: { node: { id: string } }[] }; lastGoodBackup: { id: string } } }>('query ($id: ID!, $filter: BackupFilter) { tenant(id: $id) { lastGoodBackup { id } backups(filter: $filter) { edges { node { id } } } } }', { id: tenant.id, filter })).tenant;
    expect((await list({})).backups.edges.map(({ node }) => node.id)).toEqual([last.id]);
    expect((await list({ states: ['DELETED'] })).backups.edges.map(({ node }) => node.id)).toEqual([old.id]);
    expect((await list({ text: old.fileName, states: ['DELETED'] })).backups.edges).toHaveLength(1);
    expect((await list({ labels: ['cron'] })).backups.edges).toHaveLength(0);
    expect((await list({})).lastGoodBackup.id).toBe(last.id);
    const url = await admin.run<{ downloadCreate: { userErrors: UserErrorAnswer[] } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url userErrors { code } } }', { input: { backupId: old.id } });
    expect(url.downloadCreate).toMatchObject({ url: null, userErrors: [{ code: 'BACKUP_NOT_USABLE' }] });
  });

  it('finishes by a sweep a deletion that was cut off between its phases', async () => {
    const tenant = await createTestTenant(admin);
    const [old] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    await app.nest.get(DataSource).query(`update backup set deleted_at = now() - interval '2 minutes' where id = $1`, [parseGlobalId(old.id)!.uuid]);
    expect(await readBackup(admin, old.id)).toMatchObject({ usable: false });
    await app.nest.get(BackupDeletion, { strict: false }).tick();
    expect(await readBackup(admin, old.id)).toMatchObject({ state: 'DELETED' });
    expect(await storedFiles(app)).not.toContainEqual(expect.stringContaining(old.fileName!));
  });

  it('changes name, description and notes, and nothing else', async () => {
    const tenant = await createTestTenant(admin);
    const backup = await takeBackup(admin, tenant.id, { description: 'Before' });
    const change = async (input: object) => (await admin.run<{ backupUpdate: { backup: object | null; userErrors: UserErrorAnswer[] } }>('mutation ($input: BackupUpdateInput!) { backupUpdate(input: $input) { backup { name description notes } userErrors { code } } }', { input: { backupId: backup.id, ...input } })).backupUpdate.backup;
    expect(await change({ name: 'Renamed', notes: 'Kept for the auditor' })).toEqual({ name: 'Renamed', description: 'Before', notes: 'Kept for the auditor' });
    expect(await change({ description: null })).toEqual({ name: 'Renamed', description: null, notes: 'Kept for the auditor' });
  });

  it('tells a damaged file from a good one when it is verified', async () => {
    const tenant = await shop();
    const backup = await takeBackup(admin, tenant.id);
    const verify = async (): Promise<OperationAnswer> => {
      const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } userErrors { code } } }', { input: { backupId: backup.id } });
      await ended(admin, backupVerify.operation.id);
      return (await admin.run<{ operation: OperationAnswer }>(`query ($id: ID!) { operation(id: $id) { ${operationFields} } }`, { id: backupVerify.operation.id })).operation;
    };
    expect(await verify()).toMatchObject({ state: 'COMPLETED', result: { __typename: 'VerifyResult', ok: true } });
    const [file] = (await storedFiles(app)).filter((path) => path.endsWith(backup.fileName!));
    const path = join(storeFolder(app), file!);
    const bytes = await readFile(path);
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    await writeFile(path, bytes);
    expect(await verify()).toMatchObject({ state: 'COMPLETED', result: { ok: false, code: 'ARCHIVE_REPLACED' }, backup: { verification: { ok: false } } });
  });
});
