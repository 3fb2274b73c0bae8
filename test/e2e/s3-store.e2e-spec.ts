import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { UploadExpiry } from '../../src/transfers/upload-expiry.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, makePlan, restore, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
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

  const unfinished = async (): Promise<string[]> => {
    const client = server.client();
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: s3Bucket }));
    client.destroy();
    return Uploads.map(({ Key = '' }) => Key);
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
    });

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
