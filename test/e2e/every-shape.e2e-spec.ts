import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Db } from 'mongodb';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import type { Actor } from '../../src/access/actor.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import { parseGlobalId, toGlobalId } from '../../src/platform/graphql/global-id.ts';
import type { SourceRef } from '../../src/restore/restore-source.ts';
import { RestorePlanner } from '../../src/restore/restore-planner.ts';
import type { ArchiveStore } from '../../libs/storage/index.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, idOf, type OperationAnswer, restore, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import { binaryFixture, jsonFixture } from '../support/fixtures.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
});

const system: Actor = {
  id: 'system', kind: 'SYSTEM', accountId: null, email: null, name: 'A file source', isProvider: true, timeZone: 'UTC', address: '', tokenId: null, tokenExpiresAt: null, loggedInAt: null, memberships: [],
};

/** The public tool's own hashes of the database that it dumped; that of `system.views` holds the database's name. */
const { 'system.views': _views, ...toolHashes } = jsonFixture<{ collections: Record<string, string> }>('mongodump/every-shape.dbhash.json').collections;

async function hashes(db: Db): Promise<Record<string, string>> {
  const { collections } = (await db.command({ dbHash: 1 })) as unknown as { collections: Record<string, string> };
  const { 'system.views': _own, ...rest } = collections;
  return rest;
}

/** Puts a file into the store, as the upload door will, and restores it by the same runtime as any backup. */
async function restoreFile(tenant: TestTenant, fileName: string, bytes: Buffer): Promise<OperationAnswer> {
  const tenantId = parseGlobalId(tenant.id)!.uuid;
  const storeKey = `${tenantId}/uploads/${fileName}`;
  const upload = await app.nest.get<ArchiveStore>(ARCHIVE_STORE).create(storeKey);
  upload.body.write(bytes);
  await upload.commit();
  const ref: SourceRef = { kind: 'UPLOAD', storeKey, fileName, sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), createdAt: null, keyId: null, salt: null, archiveId: fileName, keyTenantId: null, uploadId: randomUUID() };
  const plan = await app.nest.get(RestorePlanner, { strict: false }).plan({ tenantId }, system, { ref, backup: null }, false);
  return ended(admin, idOf(await restoreStart(admin, toGlobalId('RestorePlan', plan.id), tenant.name)));
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

  it('is refused when the file was cut or changed, and live data stay', async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => db.collection('live').insertOne({ a: 1 }));
    const before = await withDatabase(tenant, fingerprint);
    const whole = binaryFixture('mongodump/every-shape.archive.gz');
    for (const [name, bytes] of [['cut.gz', whole.subarray(0, whole.length - 100)], ['none.gz', Buffer.from('no archive at all')]] as const) {
      await expect(restoreFile(tenant, name, bytes)).rejects.toThrow(/PLAN_BLOCKED/);
    }
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  });
});
