import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Db } from 'mongodb';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, type OperationAnswer, restore, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture, jsonFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { uploadFile } from '../support/upload-calls.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
});

/** The public tool's own hashes of the database that it dumped; that of `system.views` holds the database's name. */
const { 'system.views': _views, ...toolHashes } = jsonFixture<{ collections: Record<string, string> }>('mongodump/every-shape.dbhash.json').collections;

async function hashes(db: Db): Promise<Record<string, string>> {
  const { collections } = (await db.command({ dbHash: 1 })) as unknown as { collections: Record<string, string> };
  const { 'system.views': _own, ...rest } = collections;
  return rest;
}

/** Uploads a file and restores it. */
async function restoreFile(tenant: TestTenant, fileName: string, bytes: Buffer, input: Readonly<Record<string, unknown>> = {}): Promise<OperationAnswer> {
  const { upload, userErrors } = await uploadFile(admin, tenant.id, fileName, bytes);
  if (upload === null) throw new Error(userErrors.map(({ code }) => code).join());
  const { restorePlanCreate } = await admin.run<{ restorePlanCreate: { plan: { id: string } } }>(
    'mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } userErrors { code message } } }',
    { input: { tenantId: tenant.id, source: { uploadId: upload.id }, ...input } },
  );
  return ended(admin, idOf(await restoreStart(admin, restorePlanCreate.plan.id, tenant.name)));
}

describe('a database of every shape', () => {
  it('comes from the public tool, is backed up, lost and restored, and is the same every time', async () => {
    const tenant = await createTestTenant(admin);
    const fromTool = await restoreFile(tenant, 'every-shape.archive.gz', binaryFixture('mongodump/every-shape.archive.gz'));
    expect(fromTool).toMatchObject({ state: 'COMPLETED', failure: null });
    const first = await withDatabase(tenant, async (db): Promise<{ hashes: Record<string, string>; print: Fingerprint }> => ({ hashes: await hashes(db), print: await fingerprint(db) }));
    expect(first.hashes).toEqual(toolHashes);
    // The safety backup of a database that did not exist is a valid backup of nothing.
    expect(fromTool.safetyBackup).toMatchObject({ state: 'COMPLETED', documents: '0', contents: [] });
    expect(fromTool.result?.warnings).toEqual(expect.arrayContaining([expect.stringMatching(/TTL/)]));

    const backup = await takeBackup(admin, tenant.id);
    await withDatabase(tenant, (db) => db.dropDatabase());
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    await withDatabase(tenant, async (db) => {
      expect(await hashes(db)).toEqual(toolHashes);
      expect(differences(first.print, await fingerprint(db))).toEqual([]);
    });

    // Over a database that holds the very same namespaces.
    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    await withDatabase(tenant, async (db) => {
      expect(await hashes(db)).toEqual(toolHashes);
      expect(differences(first.print, await fingerprint(db))).toEqual([]);
    });
  });

  it('is restored in part and merged from a plain archive, which is read whole', async () => {
    const tenant = await createTestTenant(admin);
    const bytes = binaryFixture('mongodump/every-shape.archive.gz');
    const whole = await restoreFile(tenant, 'whole.gz', bytes);
    expect(whole).toMatchObject({ state: 'COMPLETED' });
    const before = await withDatabase(tenant, fingerprint);
    const listed = await withDatabase(tenant, (db) => db.listCollections({}, { nameOnly: false }).toArray());
    const chosen = listed.filter(({ name, type }) => !name.startsWith('system.') && (type !== 'collection' || name.length % 2 === 0)).map(({ name }) => name);
    await withDatabase(tenant, async (db) => {
      for (const name of chosen) await db.collection(name).drop();
    });
    const part = await restoreFile(tenant, 'part.gz', bytes, { collections: chosen });
    expect(part).toMatchObject({ state: 'COMPLETED', result: { bytesRead: String(bytes.length) } });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);

    const plain = listed.filter(({ name, type, options }) => type === 'collection' && !name.startsWith('system.') && (options as { capped?: boolean }).capped !== true).map(({ name }) => name);
    const changed = await withDatabase(tenant, async (db) => {
      let count = 0;
      for (const name of plain) {
        const ids = (await db.collection(name).find({}, { projection: { _id: 1 } }).toArray()).map(({ _id }) => _id);
        await db.collection(name).deleteMany({ _id: { $in: ids.filter((_, index) => index % 3 === 0) } });
        count += (await db.collection(name).updateMany({}, [{ $set: { hf_changed: true } }], { bypassDocumentValidation: true })).modifiedCount;
      }
      return count;
    });
    expect(changed).toBeGreaterThan(10);
    const merged = await restoreFile(tenant, 'merged.gz', bytes, { mode: 'MERGE', conflict: 'TAKE_ARCHIVE', collections: plain });
    expect(merged).toMatchObject({ state: 'COMPLETED', failure: null, result: { warnings: expect.not.arrayContaining([expect.stringMatching(/left out/)]) } });
    expect(await withDatabase(tenant, hashes)).toEqual(toolHashes);
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  });

  it('is refused when the file was cut or changed, and live data stay', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => db.collection('live').insertOne({ a: 1 }));
    const before = await withDatabase(tenant, fingerprint);
    const whole = binaryFixture('mongodump/every-shape.archive.gz');
    await expect(restoreFile(tenant, 'cut.gz', whole.subarray(0, whole.length - 100))).rejects.toThrow(/PLAN_BLOCKED/);
    await expect(restoreFile(tenant, 'none.gz', Buffer.from('no archive at all'))).rejects.toThrow(/ARCHIVE_UNSUPPORTED/);
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  });
});
