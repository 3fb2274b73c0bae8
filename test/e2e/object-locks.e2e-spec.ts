import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { ListObjectVersionsCommand, PutObjectCommand, PutObjectRetentionCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { BackupDeletion } from '../../src/backups/backup-deletion.ts';
import { BackupLeftovers } from '../../src/backups/backup-leftovers.ts';
import { DiscardedArchives } from '../../src/backups/discarded-archives.ts';
import { TenantRemoval } from '../../src/departures/tenant-removal.ts';
import { CopyTicks } from '../../src/destinations/copy-ticks.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { ArchiveStores } from '../../src/platform/storage/archive-stores.ts';
import { Reconciliation } from '../../src/reconcile/reconciliation.ts';
import { RetentionSweep } from '../../src/retention/retention-sweep.ts';
import { UploadExpiry } from '../../src/transfers/upload-expiry.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, backupCreate, ended, idOf, type OperationAnswer, restore, seedShop, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { s3Bucket, s3Keys, s3LockedBucket, S3Server, s3VersionedBucket } from '../support/s3-server.ts';
import { runFolder, testDatabaseUrl } from '../support/servers.ts';
import { addressOf, send, uploadComplete, uploadCreate } from '../support/upload-calls.ts';

const server = await S3Server.start({ versions: true });
const dayMs = 86_400_000;

if (server === null) {
  it('Object locks were not tested: see the line above', () => expect(server).toBeNull());
} else {
  const s3 = server.client();
  const key = (fill: number): string => Buffer.alloc(32, fill).toString('base64');
  const folder = join(runFolder(), `locks-${randomBytes(4).toString('hex')}`);
  const at = (bucket: string, place: string, lock = ''): string => `s3://${bucket}/${place}?endpoint=${server.endpoint}&partMiB=5${lock}`;
  const locking = (days: number): string => `&objectLock=GOVERNANCE&objectLockDays=${days}`;
  const further = (url: string): object => ({ url, accessKeyId: s3Keys.accessKeyId, secretAccessKey: s3Keys.secretAccessKey });
  const stores = {
    folder: { url: pathToFileURL(folder).href },
    offsite: further(at(s3LockedBucket, 'copies', locking(3))),
    unfit: further(at(s3VersionedBucket, 'copies', locking(3))),
  };
  let databaseUrl: string;
  let app: TestApp;
  let admin: GraphqlClient;

  /** The main store locks for a day, or is a folder. */
  const startApp = async (env: Readonly<Record<string, string>> = {}): Promise<TestApp> => {
    const started = await startTestApp({ databaseUrl, env: { HOLDFAST_STORE_URL: at(s3LockedBucket, 'archives', locking(1)), HOLDFAST_STORES: JSON.stringify(stores), BACKUP_ENCRYPTION_KEY: `old:${key(31)}`, ...env } });
    admin = await started.loginAsAdmin();
    return started;
  };

  beforeAll(async () => {
    process.env['AWS_ACCESS_KEY_ID'] = s3Keys.accessKeyId;
    process.env['AWS_SECRET_ACCESS_KEY'] = s3Keys.secretAccessKey;
    databaseUrl = await testDatabaseUrl();
    app = await startApp();
  });

  afterAll(async () => {
    await app?.stop();
    s3.destroy();
    await server.stop();
  });

  interface LockedAnswer {
    readonly state: string;
    readonly usable: boolean;
    readonly deletion: { readonly begunAt: string; readonly lockedUntil: string | null; readonly failure: { readonly code: string; readonly message: string; readonly hints: readonly string[] } | null } | null;
    readonly copies: readonly { readonly store: string; readonly state: string; readonly lockedUntil: string | null }[];
  }

  const query = <Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(sql, [...values]);
  const uuidOf = ({ id }: { readonly id: string }): string => parseGlobalId(id)?.uuid ?? '';
  const sweep = (of: new (...args: never[]) => { tick(): Promise<void> }): Promise<void> => app.nest.get(of, { strict: false }).tick();

  async function call(name: string, input: Readonly<Record<string, unknown>>, fields = ''): Promise<Readonly<Record<string, unknown>> & { readonly userErrors: readonly UserErrorAnswer[] }> {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const answer = await admin.run<Record<string, { userErrors: UserErrorAnswer[] }>>(`mutation ($input: ${type}!) { ${name}(input: $input) { ${fields} userErrors { code message field hint } } }`, { input });
    return answer[name]!;
  }

  async function read(backup: { readonly id: string }): Promise<LockedAnswer> {
    return (await admin.run<{ backup: LockedAnswer }>('query ($id: ID!) { backup(id: $id) { state usable deletion { begunAt lockedUntil failure { code message hints } } copies { store state lockedUntil } } }', { id: backup.id })).backup;
  }

  async function shop(...names: string[]): Promise<TestTenant> {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => seedShop(db, 20));
    for (const store of names) expect(await call('destinationCreate', { tenantId: tenant.id, store })).toMatchObject({ userErrors: [] });
    return tenant;
  }

  async function copy(tenant: TestTenant): Promise<OperationAnswer> {
    await sweep(CopyTicks);
    const { tenant: shown } = await admin.run<{ tenant: { operations: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(first: 1, filter: { kinds: [COPY] }) { edges { node { id } } } } }', { id: tenant.id });
    return ended(admin, shown.operations.edges[0]?.node.id ?? '');
  }

  async function keyOf(backup: { readonly id: string }): Promise<string> {
    return (await query<{ store_key: string }>('select store_key from backup where id = $1', [uuidOf(backup)]))[0]?.store_key ?? '';
  }

  /** What lies in the locked bucket, hidden or not. */
  async function versions(prefix: string): Promise<{ readonly Key?: string | undefined; readonly VersionId?: string | undefined }[]> {
    const { Versions = [], DeleteMarkers = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket: s3LockedBucket, Prefix: prefix }));
    return [...Versions, ...DeleteMarkers];
  }

  /** Somebody with the right to takes the locks away, as time would; and the days until then are over. */
  async function unlock(tenant: TestTenant): Promise<void> {
    const RetainUntilDate = new Date(Date.now() + 1_000);
    for (const place of ['archives', 'copies']) {
      for (const { Key, VersionId } of await versions(`${place}/${uuidOf(tenant)}/`)) {
        await s3.send(new PutObjectRetentionCommand({ Bucket: s3LockedBucket, Key, VersionId, BypassGovernanceRetention: true, Retention: { Mode: 'GOVERNANCE', RetainUntilDate } }));
      }
    }
    await delay(RetainUntilDate.getTime() - Date.now() + 500);
    await query(`update backup set locked_until = now(), deleted_at = deleted_at - interval '5 minutes' where tenant_id = $1 and locked_until is not null`, [uuidOf(tenant)]);
    await query('update backup_copy set next_attempt_at = now(), locked_until = now() where tenant_id = $1 and locked_until is not null', [uuidOf(tenant)]);
    await query('update discarded_archive set locked_until = now() where tenant_id = $1 and locked_until is not null', [uuidOf(tenant)]);
    await query('update tenant set removal_after = now() where id = $1', [uuidOf(tenant)]);
  }

  const daysFromNow = (date: string | null | undefined): number => (Date.parse(date ?? '') - Date.now()) / dayMs;
  const remove = (backup: BackupAnswer) => call('backupDelete', { backupId: backup.id }, 'backup { state usable deletion { lockedUntil failure { code } } }');

  describe('an archive in a store with object locks', () => {
    it('is shown with them, and stays until its lock ends though a person deletes it, which is no error; then it goes by itself, every version of it', async () => {
      const tenant = await shop();
      const [backup] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
      const { tenant: shown } = await admin.run<{ tenant: { storage: unknown } }>('query ($id: ID!) { tenant(id: $id) { storage { objectLock { mode days } } } }', { id: tenant.id });
      expect(shown.storage).toEqual({ objectLock: { mode: 'GOVERNANCE', days: 1 } });
      expect((await read(backup)).deletion).toBeNull();
      expect(await remove(backup)).toMatchObject({ userErrors: [], backup: { usable: false, deletion: { failure: { code: 'STORAGE_LOCKED' } } } });
      const waiting = await read(backup);
      expect(waiting).toMatchObject({ state: 'COMPLETED', usable: false, deletion: { failure: { message: expect.stringContaining(waiting.deletion?.lockedUntil ?? '?'), hints: [expect.stringContaining('deleted by itself')] } } });
      expect(daysFromNow(waiting.deletion?.lockedUntil)).toBeGreaterThan(0.99);
      expect(daysFromNow(waiting.deletion?.lockedUntil)).toBeLessThanOrEqual(1);
      const place = `archives/${await keyOf(backup)}`;
      // Nothing hides it: whoever rebuilds the catalogue from the store finds it.
      expect(await versions(place)).toHaveLength(1);
      expect(await app.nest.get(ArchiveStores, { strict: false }).main.stat(await keyOf(backup))).not.toBeNull();
      const rows = [];
      for await (const row of app.nest.get(Reconciliation, { strict: false }).run({ repair: true, makeTenants: false })) if (row.tenantId === uuidOf(tenant)) rows.push(row);
      expect(rows).toEqual([]);

      await query(`update backup set deleted_at = deleted_at - interval '5 minutes' where id = $1`, [uuidOf(backup)]);
      await sweep(BackupDeletion);
      expect((await read(backup)).deletion?.lockedUntil).toBe(waiting.deletion?.lockedUntil);
      await unlock(tenant);
      await sweep(BackupDeletion);
      expect(await read(backup)).toMatchObject({ state: 'DELETED', deletion: { lockedUntil: null, failure: null } });
      expect(await versions(place)).toEqual([]);
    });

    it('is left by retention until then, and the run goes on with the others', async () => {
      const tenant = await shop();
      const made = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
      expect(await call('tenantPolicyUpdate', { tenantId: tenant.id, manualRetention: { mode: 'COUNT', count: 1 } })).toMatchObject({ userErrors: [] });
      await query(`update retention_state set next_at = now() - interval '1 second'`);
      await app.nest.get(RetentionSweep, { strict: false }).look();
      const [first, second, last] = await Promise.all(made.map(read));
      for (const one of [first, second]) expect(one).toMatchObject({ usable: false, deletion: { failure: { code: 'STORAGE_LOCKED' } } });
      expect(last).toMatchObject({ usable: true, deletion: null });
    });

    it('that came to nothing is removed when its lock ends', async () => {
      const tenant = await shop();
      const off = app.at('backup.read-back', () => Promise.reject(new Error('The worker stopped here')));
      const operation = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
      off();
      expect(operation).toMatchObject({ state: 'FAILED' });
      const left = (): Promise<{ readonly bytes_left: boolean; readonly waits: boolean }[]> => query('select bytes_left, locked_until > now() as waits from backup where tenant_id = $1', [uuidOf(tenant)]);
      expect(await left()).toMatchObject([{ bytes_left: true }]);
      await sweep(BackupLeftovers);
      expect(await left()).toEqual([{ bytes_left: true, waits: true }]);
      expect(await versions(`archives/${uuidOf(tenant)}/`)).toHaveLength(1);
      await unlock(tenant);
      await sweep(BackupLeftovers);
      expect(await left()).toEqual([{ bytes_left: false, waits: null }]);
      expect(await versions(`archives/${uuidOf(tenant)}/`)).toEqual([]);
    });

    it('has the lock too when it was imported, and not a moment before', async () => {
      const tenant = await shop();
      const source = await takeBackup(admin, tenant.id);
      const object = await app.nest.get(ArchiveStores, { strict: false }).main.open(await keyOf(source));
      const bytes = await object.read(0, object.sizeBytes);
      const { upload } = await uploadCreate(admin, tenant.id, 'own.gz.enc', bytes, { purpose: 'IMPORT', protocol: 'TUS' });
      await send(addressOf(app.url, upload!), bytes);
      const abandoned = await uploadCreate(admin, tenant.id, 'other.gz.enc', bytes, { purpose: 'IMPORT', protocol: 'TUS' });
      await send(addressOf(app.url, abandoned.upload!), bytes);
      const { operation, backup } = await uploadComplete(admin, upload!.id);
      expect(await ended(admin, operation?.id ?? '')).toMatchObject({ state: 'COMPLETED' });
      await query(`update upload set expires_at = now() - interval '1 second' where tenant_id = $1`, [uuidOf(tenant)]);
      await sweep(UploadExpiry);
      expect(await query('select 1 from upload where tenant_id = $1', [uuidOf(tenant)])).toEqual([]);
      expect((await versions(`archives/${uuidOf(tenant)}/`)).map(({ Key = '' }) => Key).sort()).toEqual([`archives/${await keyOf(source)}`, `archives/${await keyOf(backup!)}`].sort());
      expect((await versions('archives/.')).map(({ Key }) => Key)).toEqual(['archives/.holdfast/store']);
      await remove(backup!);
      expect(daysFromNow((await read(backup!)).deletion?.lockedUntil)).toBeGreaterThan(0.99);
    });

    it('holds up no other upload that has expired when it is one that somebody has locked', async () => {
      const tenant = await shop();
      const backup = await takeBackup(admin, tenant.id);
      const object = await app.nest.get(ArchiveStores, { strict: false }).main.open(await keyOf(backup));
      const bytes = await object.read(0, object.sizeBytes);
      const ids: string[] = [];
      for (const name of ['first', 'second']) {
        const { upload } = await uploadCreate(admin, tenant.id, name, bytes, { protocol: 'TUS' });
        await send(addressOf(app.url, upload!), bytes);
        await uploadComplete(admin, upload!.id);
        ids.push(uuidOf(upload!));
      }
      const [locked = '', free = ''] = ids;
      await s3.send(new PutObjectRetentionCommand({ Bucket: s3LockedBucket, Key: `archives/${uuidOf(tenant)}/uploads/${locked}`, Retention: { Mode: 'GOVERNANCE', RetainUntilDate: new Date(Date.now() + dayMs) } }));
      await query(`update upload set expires_at = now() - case when id = $2 then interval '2 seconds' else interval '1 second' end where tenant_id = $1`, [uuidOf(tenant), locked]);
      await sweep(UploadExpiry);
      expect(await query(`select id, expires_at > now() + interval '23 hours' as waits from upload where tenant_id = $1`, [uuidOf(tenant)])).toEqual([{ id: locked, waits: true }]);
      expect(await versions(`archives/${uuidOf(tenant)}/uploads/${free}`)).toEqual([]);
      await unlock(tenant);
      await query('update upload set expires_at = now() where tenant_id = $1', [uuidOf(tenant)]);
      await sweep(UploadExpiry);
      expect(await versions(`archives/${uuidOf(tenant)}/uploads/`)).toEqual([]);
    });

    it('under another key is written anew, and the old file goes when its lock ends; so do the old copies, while there are new ones', async () => {
      const tenant = await shop('offsite');
      const backup = await takeBackup(admin, tenant.id);
      await copy(tenant);
      const before = await keyOf(backup);
      await app.stop();
      app = await startApp({ BACKUP_ENCRYPTION_KEY: `new:${key(32)}`, BACKUP_ENCRYPTION_KEYS_OLD: `old:${key(31)}` });
      const { operation } = (await call('keyReencrypt', { tenantId: tenant.id }, 'operation { id }')) as unknown as { operation: { id: string } };
      expect(await ended(admin, operation.id)).toMatchObject({ state: 'COMPLETED' });
      const after = await keyOf(backup);
      expect(after).not.toBe(before);
      expect(await query('select store_key, locked_until > now() as waits from discarded_archive where tenant_id = $1', [uuidOf(tenant)])).toEqual([{ store_key: before, waits: true }]);
      await copy(tenant);
      expect((await read(backup)).copies.map(({ state, lockedUntil }) => [state, lockedUntil === null ? null : Math.ceil(daysFromNow(lockedUntil))]).sort()).toEqual([['DELETING', 3], ['GOOD', null]]);
      await unlock(tenant);
      await sweep(DiscardedArchives);
      await copy(tenant);
      expect((await read(backup)).copies).toMatchObject([{ state: 'GOOD', lockedUntil: null }]);
      expect((await versions(`archives/${uuidOf(tenant)}/`)).map(({ Key }) => Key)).toEqual([`archives/${after}`]);
      expect((await versions(`copies/${uuidOf(tenant)}/`)).map(({ Key }) => Key)).toEqual([`copies/${after}`]);
      expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    });
  });

  describe('a destination whose store has object locks', () => {
    it('is refused where the bucket has none, with what to do about it; and tested', async () => {
      const tenant = await shop();
      expect(await call('destinationCreate', { tenantId: tenant.id, store: 'unfit' })).toMatchObject({ userErrors: [{ code: 'OBJECT_LOCK_UNFIT', message: `The bucket ${s3VersionedBucket} has no object lock`, hint: expect.stringContaining('made with object lock') }] });
      const { destination } = (await call('destinationCreate', { tenantId: tenant.id, store: 'folder' }, 'destination { id objectLock { mode days } }')) as unknown as { destination: { id: string; objectLock: unknown } };
      expect(destination.objectLock).toBeNull();
      expect(await call('destinationUpdate', { destinationId: destination.id, store: 'unfit' })).toMatchObject({ userErrors: [{ code: 'OBJECT_LOCK_UNFIT' }] });
      const moved = await call('destinationUpdate', { destinationId: destination.id, store: 'offsite' }, 'destination { objectLock { mode days } }');
      expect(moved).toMatchObject({ destination: { objectLock: { mode: 'GOVERNANCE', days: 3 } }, userErrors: [] });
      expect(await call('destinationTest', { destinationId: destination.id })).toMatchObject({ userErrors: [] });
      await query(`update destination set store = 'unfit' where id = $1`, [uuidOf(destination)]);
      expect(await call('destinationTest', { destinationId: destination.id })).toMatchObject({ userErrors: [{ code: 'OBJECT_LOCK_UNFIT' }] });
      await query(`update destination set store = 'offsite' where id = $1`, [uuidOf(destination)]);
    });

    it('keeps copies as long as its own lock says: the deletion of a backup waits for the last one', async () => {
      const tenant = await shop('folder', 'offsite');
      const [backup] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
      await copy(tenant);
      await remove(backup);
      const waiting = await read(backup);
      expect(daysFromNow(waiting.deletion?.lockedUntil)).toBeGreaterThan(2.99);
      // What nothing locks is gone at once.
      expect(waiting.copies).toMatchObject([{ store: 'offsite', state: 'DELETING', lockedUntil: waiting.deletion?.lockedUntil }]);
      await unlock(tenant);
      await sweep(BackupDeletion);
      await copy(tenant);
      expect(await read(backup)).toMatchObject({ state: 'DELETED', copies: [] });
      expect(await versions(`copies/${await keyOf(backup)}`)).toEqual([]);
    });

    it('locks a file that lies there already, and what is written over a damaged copy', async () => {
      const tenant = await shop();
      const backup = await takeBackup(admin, tenant.id);
      const storeKey = await keyOf(backup);
      const { main } = app.nest.get(ArchiveStores, { strict: false });
      const object = await main.open(storeKey);
      const upload = await s3.send(new PutObjectCommand({ Bucket: s3LockedBucket, Key: `copies/${storeKey}`, Body: await object.read(0, object.sizeBytes) }));
      expect(upload.VersionId).toBeDefined();
      await call('destinationCreate', { tenantId: tenant.id, store: 'offsite' });
      await copy(tenant);
      expect((await versions(`copies/${storeKey}`)).map(({ VersionId }) => VersionId)).toEqual([upload.VersionId]);
      const offsite = app.nest.get(ArchiveStores, { strict: false }).get('offsite');
      await expect(offsite.delete(storeKey)).rejects.toMatchObject({ code: 'STORAGE_LOCKED' });

      await query(`update backup_copy set state = 'MISSING', next_attempt_at = now() where backup_id = $1`, [uuidOf(backup)]);
      await s3.send(new PutObjectCommand({ Bucket: s3LockedBucket, Key: `copies/${storeKey}`, Body: 'damaged' }));
      await copy(tenant);
      expect((await read(backup)).copies).toMatchObject([{ state: 'GOOD' }]);
      const written = await offsite.open(storeKey);
      expect((await written.read(0, written.sizeBytes)).equals(await object.read(0, object.sizeBytes))).toBe(true);
      await takeBackup(admin, tenant.id);
      await remove(backup);
      // The damaged one had no lock.
      expect(await versions(`copies/${storeKey}`)).toHaveLength(2);
      await unlock(tenant);
      await sweep(BackupDeletion);
      expect(await versions(`copies/${storeKey}`)).toEqual([]);
    });

    it('is deleted when the last lock of its copies has ended, and says so until then', async () => {
      const tenant = await shop('offsite');
      const backup = await takeBackup(admin, tenant.id);
      await copy(tenant);
      const { tenant: { destinations: [one] } } = await admin.run<{ tenant: { destinations: { id: string }[] } }>('query ($id: ID!) { tenant(id: $id) { destinations { id } } }', { id: tenant.id });
      await call('destinationDelete', { destinationId: one!.id });
      expect(await copy(tenant)).toMatchObject({ state: 'COMPLETED' });
      expect((await read(backup)).copies).toMatchObject([{ state: 'DELETING', lockedUntil: expect.any(String) }]);
      const left = async (): Promise<unknown[]> => query('select 1 from destination where tenant_id = $1', [uuidOf(tenant)]);
      expect(await left()).toHaveLength(1);
      await unlock(tenant);
      await copy(tenant);
      expect([await left(), (await read(backup)).copies]).toEqual([[], []]);
      expect(await versions(`copies/${uuidOf(tenant)}/`)).toEqual([]);
    });
  });

  describe('a workspace that is deleted', () => {
    it('waits for the locks of its archives and says until when; what none locks goes at once, and other workspaces do not wait with it', async () => {
      const [tenant, other] = [await shop('folder', 'offsite'), await shop()];
      const backup = await takeBackup(admin, tenant.id);
      await copy(tenant);
      const { main } = app.nest.get(ArchiveStores, { strict: false });
      await main.resumable.append(`${uuidOf(tenant)}/uploads/stray`, 0, 10, (async function* () { yield Buffer.alloc(10); })());
      await main.resumable.publish(`${uuidOf(tenant)}/uploads/stray`);
      for (const { id, name } of [tenant, other]) await call('tenantDelete', { tenantId: id, confirmName: name });
      await query(`update tenant set deletion_due_at = now() - interval '1 hour' where id = $1`, [uuidOf(tenant)]);
      await query('update tenant set deletion_due_at = now() where id = $1', [uuidOf(other)]);
      await sweep(TenantRemoval);
      const state = async ({ id }: TestTenant) =>
        (await admin.run<{ tenant: { status: string; deletion: { begunAt: string; lockedUntil: string | null } } }>('query ($id: ID!) { tenant(id: $id) { status deletion { begunAt lockedUntil } } }', { id })).tenant;
      expect(await state(other)).toMatchObject({ status: 'DELETED' });
      const waiting = await state(tenant);
      expect(waiting).toMatchObject({ status: 'DELETING', deletion: { begunAt: expect.any(String) } });
      expect(daysFromNow(waiting.deletion.lockedUntil)).toBeGreaterThan(2.99);
      expect((await versions(`archives/${uuidOf(tenant)}/`)).map(({ Key }) => Key)).toEqual([`archives/${await keyOf(backup)}`]);
      expect(await query('select store from backup_copy where tenant_id = $1', [uuidOf(tenant)])).toEqual([{ store: 'offsite' }]);
      await sweep(TenantRemoval);
      expect(await state(tenant)).toEqual(waiting);
      await unlock(tenant);
      await sweep(TenantRemoval);
      expect(await state(tenant)).toMatchObject({ status: 'DELETED', deletion: { lockedUntil: null } });
      for (const place of ['archives', 'copies']) expect(await versions(`${place}/${uuidOf(tenant)}/`)).toEqual([]);
    });
  });

  it('an installation whose main store is to lock and cannot says so when it is asked how it is, and fails its backups with the reason', async () => {
    const other = await startTestApp({ env: { HOLDFAST_STORE_URL: at(s3Bucket, 'archives', locking(1)) } });
    try {
      const client = await other.loginAsAdmin();
      expect(JSON.stringify(await (await fetch(`${other.url}/readyz`)).json())).toContain('has no object lock');
      const tenant = await createTestTenant(client);
      expect(await ended(client, idOf(await backupCreate(client, tenant.id)))).toMatchObject({ state: 'FAILED', failure: { code: 'OBJECT_LOCK_UNFIT' } });
    } finally {
      await other.stop();
    }
  });
}
