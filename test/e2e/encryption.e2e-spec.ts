import { beforeAll, describe, expect, it } from '@jest/globals';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, type BackupAnswer, makePlan, restore, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { testDatabaseUrl } from '../support/servers.ts';

const keyA = Buffer.alloc(32, 21).toString('base64');
const keyB = Buffer.alloc(32, 22).toString('base64');

let databaseUrl: string;
let dataDir: string;
let tenant: TestTenant;
let backup: BackupAnswer;
let planId: string;

/** The same installation, started again with other keys. */
async function withKeys<T>(env: Readonly<Record<string, string>>, work: (admin: GraphqlClient, app: TestApp) => Promise<T>): Promise<T> {
  const app = await startTestApp({ databaseUrl, env: { HOLDFAST_DATA_DIR: dataDir, ...env } });
  try {
    return await work(await app.loginAsAdmin(), app);
  } finally {
    await app.stop();
  }
}

beforeAll(async () => {
  databaseUrl = await testDatabaseUrl();
  const app = await startTestApp({ databaseUrl, env: { BACKUP_ENCRYPTION_KEY: `first:${keyA}` } });
  dataDir = app.config.dataDir;
  try {
    const admin = await app.loginAsAdmin();
    tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => seedShop(db, 50));
    backup = await takeBackup(admin, tenant.id);
    planId = (await makePlan(admin, tenant.id, backup.id)).id;
  } finally {
    await app.stop();
  }
});

const encryptionOf = async (admin: GraphqlClient): Promise<{ state: string; banner: string | null; keyId: string | null }> =>
  (await admin.run<{ tenant: { encryption: { state: string; banner: string | null; keyId: string | null } } }>('query ($id: ID!) { tenant(id: $id) { encryption { state banner keyId } } }', { id: tenant.id })).tenant.encryption;

describe('without a usable key', () => {
  it.each([
    ['missing', '', 'KEY_MISSING'],
    ['malformed', 'not a key', 'KEY_INVALID'],
  ])('the server runs with a %s one, lists and plans, and starts nothing', async (_what, key, state) => {
    await withKeys({ BACKUP_ENCRYPTION_KEY: key }, async (admin, app) => {
      expect(await encryptionOf(admin)).toEqual({ state, banner: expect.stringMatching(/BACKUP_ENCRYPTION_KEY/), keyId: null });
      expect(await backupCreate(admin, tenant.id)).toMatchObject({ operation: null, backup: null, userErrors: [{ code: 'ENCRYPTION_KEY_MISSING', hint: expect.any(String) }] });
      expect(await restoreStart(admin, planId, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'ENCRYPTION_KEY_MISSING' }] });
      const plan = await makePlan(admin, tenant.id, backup.id);
      expect(plan.checks.find((check) => check.key === 'key')).toMatchObject({ ok: false, blocking: true });
      expect(plan.changes.map(({ name }) => name)).toContain('orders');
      const listed = await admin.run<{ tenant: { backups: { totalCount: number }; operations: { totalCount: number }; actions: { permission: string; reason: string | null }[] } }>(
        'query ($id: ID!) { tenant(id: $id) { backups { totalCount } operations { totalCount } actions { permission reason } } }',
        { id: tenant.id },
      );
      expect(listed.tenant).toMatchObject({ backups: { totalCount: 1 }, operations: { totalCount: 1 } });
      expect(listed.tenant.actions.find(({ permission }) => permission === 'BACKUP_CREATE')?.reason).toMatch(/BACKUP_ENCRYPTION_KEY/);
      const ready = await fetch(`${app.url}/readyz`);
      expect(ready.status).toBe(200);
      expect(await ready.json()).toMatchObject({ status: 'warning', checks: { encryption: { state: 'warning' } } });
    });
  });
});

describe('another key', () => {
  it('with the same id is told from a damaged file', async () => {
    await withKeys({ BACKUP_ENCRYPTION_KEY: `first:${keyB}` }, async (admin) => {
      const plan = await makePlan(admin, tenant.id, backup.id);
      expect(plan.checks.filter(({ ok }) => !ok)).toEqual(expect.arrayContaining([expect.objectContaining({ key: 'key', blocking: true, message: expect.stringMatching(/not the one that encrypted/) })]));
      expect(await restoreStart(admin, plan.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });
    });
  });

  it('that does not know the old one names what is missing', async () => {
    await withKeys({ BACKUP_ENCRYPTION_KEY: `second:${keyB}` }, async (admin) => {
      const plan = await makePlan(admin, tenant.id, backup.id);
      expect(plan.checks.find((check) => check.key === 'key')).toMatchObject({ ok: false, message: expect.stringMatching(/first/) });
    });
  });

  it('after a rotation restores old backups and encrypts new ones', async () => {
    await withKeys({ BACKUP_ENCRYPTION_KEY: `second:${keyB}`, BACKUP_ENCRYPTION_KEYS_OLD: `first:${keyA}` }, async (admin) => {
      expect(await encryptionOf(admin)).toEqual({ state: 'READY', banner: null, keyId: 'second' });
      await withDatabase(tenant, (db) => db.collection('orders').drop());
      expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED', safetyBackup: { keyId: 'second' } });
      expect(await withDatabase(tenant, (db) => db.collection('orders').countDocuments())).toBe(50);
      expect(await takeBackup(admin, tenant.id)).toMatchObject({ keyId: 'second' });
    });
  });
});
