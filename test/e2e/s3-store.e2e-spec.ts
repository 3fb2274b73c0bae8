import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { AbortMultipartUploadCommand, CreateMultipartUploadCommand, ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import type { ArchiveStore } from '../../libs/storage/index.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import { AbandonedWrites } from '../../src/transfers/abandoned-writes.ts';
import { UploadExpiry } from '../../src/transfers/upload-expiry.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, makePlan, restore, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { ShorteningProxy } from '../support/s3-proxy.ts';
import { s3Bucket, s3Keys, S3Server } from '../support/s3-server.ts';
import { addressOf, send, uploadComplete, uploadCreate, type UploadAnswer } from '../support/upload-calls.ts';

const server = await S3Server.start();
let app: TestApp;
let admin: GraphqlClient;

if (server === null) {
  it('S3 was not tested: see the line above', () => expect(server).toBeNull());
} else {
  beforeAll(async () => {
    process.env['AWS_ACCESS_KEY_ID'] = s3Keys.accessKeyId;
    process.env['AWS_SECRET_ACCESS_KEY'] = s3Keys.secretAccessKey;
    app = await startTestApp({ env: { HOLDFAST_STORE_URL: `s3://${s3Bucket}/archives?endpoint=${server.endpoint}&partMiB=5` } });
    admin = await app.loginAsAdmin();
  });

  afterAll(async () => {
    await app?.stop();
    await server.stop();
  });

  const shop = async (): Promise<TestTenant> => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, async (db) => {
      await seedShop(db, 300);
      // Several parts of what cannot be compressed.
      await db.collection('photos').insertMany(Array.from({ length: 12 }, () => ({ bytes: randomBytes(1_000_000) })));
    });
    return tenant;
  };

  const objects = async (): Promise<string[]> => {
    const client = server.client();
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: s3Bucket }));
    client.destroy();
    return Contents.map(({ Key = '' }) => Key);
  };

  const unfinished = async (prefix = ''): Promise<string[]> => {
    const client = server.client();
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: s3Bucket, Prefix: prefix }));
    client.destroy();
    return Uploads.map(({ Key = '' }) => Key);
  };

  const folderOf = ({ id }: TestTenant): string => `archives/${parseGlobalId(id)!.uuid}/`;

  const expireUploads = async ({ slug }: TestTenant): Promise<void> => {
    await app.nest.get(DataSource).query(`update upload set expires_at = now() - interval '1 second' where tenant_id = (select id from tenant where slug = $1)`, [slug]);
    await app.nest.get(UploadExpiry, { strict: false }).tick();
  };

  async function sendParts({ partUrls, partBytes }: UploadAnswer, bytes: Buffer): Promise<void> {
    const size = Number(partBytes);
    // In no particular order, as a browser would.
    await Promise.all(partUrls.map(async (url, index) => expect((await fetch(url, { method: 'PUT', body: bytes.subarray(index * size, (index + 1) * size) })).status).toBe(200)));
  }

  describe('with its archives on S3, a workspace', () => {
    it('is backed up, verified, restored byte for byte, undone, and its backup deleted', async () => {
      const tenant = await shop();
      const before = await withDatabase(tenant, fingerprint);
      const backup = await takeBackup(admin, tenant.id);
      expect(Number(backup.size)).toBeGreaterThan(12_000_000);
      expect((await objects()).filter((key) => key.includes(backup.fileName ?? ''))).toEqual([expect.stringMatching(/^archives\/[0-9a-f-]{36}\/db-backups\//)]);
      const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } } }', { input: { backupId: backup.id } });
      expect(await ended(admin, backupVerify.operation.id)).toMatchObject({ state: 'COMPLETED', result: { ok: true } });
      await withDatabase(tenant, (db) => db.collection('photos').deleteMany({}));
      const damaged = await withDatabase(tenant, fingerprint);
      const restored = await restore(admin, tenant.id, backup.id);
      expect(restored.state).toBe('COMPLETED');
      expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
      const { restoreUndo } = await admin.run<{ restoreUndo: { operation: { id: string } } }>('mutation ($input: RestoreUndoInput!) { restoreUndo(input: $input) { operation { id } userErrors { code } } }', { input: { operationId: restored.id, confirmName: tenant.name } });
      expect((await ended(admin, restoreUndo.operation.id)).state).toBe('COMPLETED');
      expect(differences(damaged, await withDatabase(tenant, fingerprint))).toEqual([]);
      await takeBackup(admin, tenant.id);
      await admin.run('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId: backup.id } });
      expect((await objects()).filter((key) => key.includes(backup.fileName ?? ''))).toEqual([]);
      expect(await unfinished()).toEqual([]);
    }, 180_000);

    it('is downloaded, whole and from any place', async () => {
      const tenant = await shop();
      const backup = await takeBackup(admin, tenant.id);
      const { downloadCreate } = await admin.run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId: backup.id } });
      const url = `${app.url}${new URL(downloadCreate.url).pathname}`;
      const ranged = Buffer.from(await (await fetch(url, { headers: { range: 'bytes=5000000-5000099' } })).arrayBuffer());
      const whole = Buffer.from(await (await fetch(url)).arrayBuffer());
      expect(whole.length).toBe(Number(backup.size));
      expect(ranged.equals(whole.subarray(5_000_000, 5_000_100))).toBe(true);
    });

    it('restores an archive of mongodump whose parts a client sent straight into the store', async () => {
      const bytes = binaryFixture('mongodump/every-shape.archive.gz');
      const tenant = await createTestTenant(admin);
      const { upload } = await uploadCreate(admin, tenant.id, 'dump.gz', bytes);
      expect(upload).toMatchObject({ protocol: 'S3_MULTIPART', headers: [], url: upload?.partUrls[0] });
      expect(await uploadComplete(admin, upload!.id)).toMatchObject({ userErrors: [{ code: 'UPLOAD_INCOMPLETE' }] });
      await sendParts(upload!, bytes);
      const completed = await uploadComplete(admin, upload!.id);
      expect(completed).toMatchObject({ upload: { state: 'COMPLETED' }, userErrors: [] });
      const plan = await makePlan(admin, tenant.id, '', { source: { uploadId: upload!.id } });
      expect((await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).state).toBe('COMPLETED');
    });

    it('takes an archive of its own in several parts, and refuses one whose bytes are not the announced ones', async () => {
      const tenant = await shop();
      const backup = await takeBackup(admin, tenant.id);
      const { downloadCreate } = await admin.run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId: backup.id } });
      const bytes = Buffer.from(await (await fetch(`${app.url}${new URL(downloadCreate.url).pathname}`)).arrayBuffer());
      const { upload } = await uploadCreate(admin, tenant.id, 'mine.gz.enc', bytes, { purpose: 'IMPORT' });
      expect(upload).toMatchObject({ url: null, partBytes: String(5 * 1024 * 1024) });
      expect(upload?.partUrls.length).toBe(Math.ceil(bytes.length / (5 * 1024 * 1024)));
      await sendParts(upload!, bytes);
      const imported = await uploadComplete(admin, upload!.id);
      expect(await ended(admin, imported.operation!.id)).toMatchObject({ state: 'COMPLETED' });

      const other = Buffer.from(bytes);
      other[100_000] = (other[100_000] ?? 0) ^ 1;
      const second = (await uploadCreate(admin, tenant.id, 'mine.gz.enc', bytes)).upload!;
      await sendParts(second, other);
      expect(await uploadComplete(admin, second.id)).toMatchObject({ userErrors: [{ code: 'UPLOAD_MISMATCH' }] });
    });

    it('takes tus, too, where it is asked for', async () => {
      const bytes = binaryFixture('mongodump/every-shape.archive.gz');
      const tenant = await createTestTenant(admin);
      const { upload } = await uploadCreate(admin, tenant.id, 'dump.gz', bytes, { protocol: 'TUS' });
      expect(upload).toMatchObject({ protocol: 'TUS', partUrls: [], partBytes: null });
      await send(addressOf(app.url, upload!), bytes, 1_000);
      expect(await uploadComplete(admin, upload!.id)).toMatchObject({ upload: { state: 'COMPLETED' }, userErrors: [] });
    });

    it.each([
      ['before its multipart upload was begun', false],
      ['after its multipart upload was begun', true],
    ])('keeps nothing of an upload whose server died %s', async (_when, begins) => {
      const tenant = await createTestTenant(admin);
      const source = app.nest.get(DataSource);
      const direct = app.nest.get<ArchiveStore>(ARCHIVE_STORE).direct!;
      const begin = direct.begin.bind(direct);
      const reached = Promise.withResolvers<void>();
      // To the rest of the world a process that never goes on is a dead one.
      const never = Promise.withResolvers<never>();
      direct.begin = async (...asked) => {
        if (begins) await begin(...asked);
        reached.resolve();
        return never.promise;
      };
      try {
        const created = uploadCreate(admin, tenant.id, 'dump.gz', randomBytes(1_000)).catch(() => null);
        await reached.promise;
        expect(await unfinished(folderOf(tenant))).toHaveLength(begins ? 1 : 0);
        const rows = (): Promise<{ minutes: number }[]> => source.query(`select extract(epoch from expires_at - now())::float / 60 as minutes from upload where tenant_id = (select id from tenant where slug = $1)`, [tenant.slug]);
        const [row] = await rows();
        expect(row?.minutes).toBeLessThan(16);
        await expireUploads(tenant);
        expect([await rows(), await unfinished(folderOf(tenant))]).toEqual([[], []]);
        never.reject(new Error('gone'));
        await created;
      } finally {
        direct.begin = begin;
      }
      const { upload } = await uploadCreate(admin, tenant.id, 'dump.gz', randomBytes(1_000));
      expect(new Date(upload!.expiresAt).getTime() - Date.now()).toBeGreaterThan(23 * 3_600_000);
      await expireUploads(tenant);
      expect(await unfinished(folderOf(tenant))).toEqual([]);
    });

    it('keeps no row of an upload that the store would not begin', async () => {
      const tenant = await createTestTenant(admin);
      await server.kill();
      expect((await uploadCreate(admin, tenant.id, 'dump.gz', randomBytes(1_000))).userErrors).toMatchObject([{ code: 'STORAGE_UNAVAILABLE' }]);
      await server.restart();
      await expireUploads(tenant);
      expect(await app.nest.get(DataSource).query('select 1 from upload where tenant_id = (select id from tenant where slug = $1)', [tenant.slug])).toEqual([]);
    });

    it('loses what was begun and is nobody\'s after a day, and nothing that is at work', async () => {
      const tenant = await shop();
      const source = app.nest.get(DataSource);
      const sweep = app.nest.get(AbandonedWrites, { strict: false });
      const tomorrow = new Date(Date.now() + 25 * 3_600_000);
      await sweep.removeAll(tomorrow);
      const backup = await takeBackup(admin, tenant.id);
      const [kept = ''] = (await objects()).filter((key) => key.includes(backup.fileName ?? ''));
      const { upload } = await uploadCreate(admin, tenant.id, 'dump.gz', randomBytes(1_000));
      const client = server.client();
      const begin = async (key: string): Promise<string> => {
        await client.send(new CreateMultipartUploadCommand({ Bucket: s3Bucket, Key: key }));
        return key;
      };
      const folder = folderOf(tenant);
      await begin(`${folder}db-backups/daily_20260101_020000_ab12cd34.gz.enc`);
      await begin(`${folder}uploads/${randomUUID()}`);
      const others = [await begin(`archives/another-installation/${randomUUID()}/uploads/${randomUUID()}`), await begin(`elsewhere/${randomUUID()}/uploads/${randomUUID()}`)];
      await begin(kept);
      const tail = `archives/.holdfast-tail/${folder.slice('archives/'.length)}uploads/${randomUUID()}/3`;
      await client.send(new PutObjectCommand({ Bucket: s3Bucket, Key: tail, Body: 'tail' }));
      const setState = (state: string): Promise<unknown> => source.query('update backup set state = $1 where file_name = $2', [state, backup.fileName]);

      await setState('RUNNING');
      expect(await sweep.removeAll(new Date())).toBe(0);
      expect(await sweep.removeAll(tomorrow)).toBe(3);
      expect(await objects()).not.toContain(tail);
      expect(await unfinished(folder)).toEqual([kept, expect.stringContaining('/uploads/')]);
      expect(await unfinished()).toEqual(expect.arrayContaining(others));
      await sendParts(upload!, randomBytes(1_000));

      await setState('COMPLETED');
      expect(await sweep.removeAll(tomorrow)).toBe(1);
      expect(await objects()).toContain(kept);
      for (const { Key, UploadId } of (await client.send(new ListMultipartUploadsCommand({ Bucket: s3Bucket }))).Uploads ?? []) await client.send(new AbortMultipartUploadCommand({ Bucket: s3Bucket, Key, UploadId }));
      client.destroy();
    });

    it('keeps nothing of an upload that nobody completed in time', async () => {
      const tenant = await createTestTenant(admin);
      const bytes = randomBytes(6_000_000);
      const { upload } = await uploadCreate(admin, tenant.id, 'dump.gz', bytes);
      expect((await fetch(upload!.partUrls[0]!, { method: 'PUT', body: bytes.subarray(0, 5 * 1024 * 1024) })).status).toBe(200);
      expect(await unfinished()).toHaveLength(1);
      await app.nest.get(DataSource).query(`update upload set expires_at = now() - interval '1 second' where state = 'OPEN'`);
      await app.nest.get(UploadExpiry, { strict: false }).tick();
      expect(await unfinished()).toEqual([]);
    });

    it.each([
      ['tells so', false, { code: 'STORAGE_UNAVAILABLE', message: expect.stringContaining('kept') }],
      ['tells the length that was sent', true, { code: 'READ_BACK_FAILED' }],
    ])('has no completed backup while the bucket keeps a shorter file than was sent and %s', async (_what, hidesLoss, failure) => {
      const proxy = await ShorteningProxy.start(server);
      const behind = await startTestApp({ env: { HOLDFAST_STORE_URL: `s3://${s3Bucket}/short-${String(hidesLoss)}?endpoint=${proxy.endpoint}&partMiB=5` } });
      try {
        const client = await behind.loginAsAdmin();
        const tenant = await createTestTenant(client);
        await withDatabase(tenant, (db) => seedShop(db, 300));
        await takeBackup(client, tenant.id);
        const before = await objects();
        for (const lostBytes of [1, 40]) {
          Object.assign(proxy, { lostBytes, hidesLoss });
          const operation = await ended(client, idOf(await backupCreate(client, tenant.id)));
          expect(operation).toMatchObject({ state: 'FAILED', failure });
          expect(await behind.nest.get(DataSource).query(`select distinct state from backup where operation_id is not null order by state`)).toEqual([{ state: 'COMPLETED' }, { state: 'FAILED' }]);
          expect(await behind.nest.get(DataSource).query(`select 1 from backup where state = 'COMPLETED'`)).toHaveLength(1);
          expect(await objects()).toEqual(before);
        }
        expect(proxy.shortened).toHaveLength(2);
        proxy.lostBytes = 0;
        await takeBackup(client, tenant.id);
      } finally {
        await behind.stop();
        await proxy.stop();
      }
    }, 120_000);

    it('fails a backup, and leaves nothing, when the bucket gives back other bytes or goes away', async () => {
      const tenant = await shop();
      await server.kill();
      const started = await backupCreate(admin, tenant.id);
      if (started.operation !== null) expect(await ended(admin, started.operation.id)).toMatchObject({ state: 'FAILED', failure: { code: 'STORAGE_UNAVAILABLE' } });
      expect((await (await fetch(`${app.url}/readyz`)).json()) as object).toMatchObject({ checks: { storage: { state: 'down' } } });
      await server.restart();
      const backup = await takeBackup(admin, tenant.id);
      const [key = ''] = (await objects()).filter((name) => name.includes(backup.fileName ?? ''));
      const client = server.client();
      await client.send(new PutObjectCommand({ Bucket: s3Bucket, Key: key, Body: randomBytes(Number(backup.size)) }));
      client.destroy();
      const { backupVerify } = await admin.run<{ backupVerify: { operation: { id: string } } }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } } }', { input: { backupId: backup.id } });
      expect(await ended(admin, backupVerify.operation.id)).toMatchObject({ state: 'COMPLETED', result: { ok: false } });
    }, 120_000);
  });
}
