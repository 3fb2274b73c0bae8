import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import { differences, type Fingerprint, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, type BackupAnswer, ended, idOf, makePlan, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { type OwnMongod, startMongod } from '../support/servers.ts';

let mongod: OwnMongod;
let product: MongoClient;
let app: TestApp;
let admin: GraphqlClient;
let tenant: TestTenant;
let backup: BackupAnswer;
let archived: Fingerprint;

beforeAll(async () => {
  mongod = await startMongod({ members: 3 });
  app = await startTestApp();
  admin = await app.loginAsAdmin();
  product = await MongoClient.connect(mongod.uri, { w: 'majority' });
  tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'shop' });
  // More than one frame, so that there is a middle.
  await seedShop(product.db('shop'), 12_000);
  backup = await takeBackup(admin, tenant.id);
  archived = await withDatabase(tenant, fingerprint);
}, 120_000);

afterAll(async () => {
  await app?.stop();
  await product?.close();
  await mongod?.stop();
});

/** The first time that the place is reached the primary steps down there; returns whether it has. */
function stepDownAt(point: string): () => boolean {
  let stepped = false;
  const off = app.at(point, async () => {
    off();
    await mongod.stepDown();
    stepped = true;
  });
  return () => stepped;
}

describe('a primary that steps down', () => {
  it('in the middle of a dump never makes a backup of fewer documents', async () => {
    const stepped = stepDownAt('backup.dump');
    const operation = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
    expect(stepped()).toBe(true);
    if (operation.state === 'COMPLETED') expect(operation.backup!.contents).toEqual(backup.contents);
    else expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'TARGET_LOST' }, backup: { state: 'FAILED', usable: false } });
  }, 120_000);

  it.each([
    ['restore.staging', /^(COMPLETED|FAILED)$/],
    ['restore.staged', /^COMPLETED$/],
    ['restore.planned', /^COMPLETED$/],
    ['restore.swap.2', /^COMPLETED$/],
    ['restore.swap.7', /^COMPLETED$/],
    ['restore.maintenance-off', /^COMPLETED$/],
  ])('at %s leaves all old or makes all new, with every document', async (point, state) => {
    const db = product.db('shop');
    await db.collection('orders').deleteMany({ number: { $lt: 50 } });
    await db.collection('later').drop();
    await db.collection('later').insertOne({ at: point });
    const live = await withDatabase(tenant, fingerprint);
    const stepped = stepDownAt(point);
    const plan = await makePlan(admin, tenant.id, backup.id);
    const operation = await ended(admin, idOf(await restoreStart(admin, plan.id, plan.confirmName)));
    expect(stepped()).toBe(true);
    expect({ failure: operation.failure, state: operation.state }).toEqual({ failure: operation.state === 'FAILED' ? expect.objectContaining({ code: 'TARGET_LOST' }) : null, state: expect.stringMatching(state) });
    expect(differences(operation.state === 'COMPLETED' ? archived : live, await withDatabase(tenant, fingerprint))).toEqual([]);
  }, 120_000);
});
