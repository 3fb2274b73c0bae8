import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Binary } from 'mongodb';
import { differences } from '../../scripts/demo/fingerprint.ts';
import { createTestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, makePlan, restore, restoreStart, seedShop, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { print, RestoreBench } from '../support/restore-bench.ts';
import { startMongod } from '../support/servers.ts';

let bench: RestoreBench;
let admin: GraphqlClient;

beforeAll(async () => {
  bench = await RestoreBench.start();
  ({ admin } = bench);
});

afterEach(() => bench.clearFaults());

afterAll(async () => {
  await bench?.app.stop();
});

describe('a database that dies', () => {
  it('ends a backup clearly, and a restore, whose stage the next one removes', async () => {
    const mongod = await startMongod({});
    const tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'dies' });
    await withDatabase(tenant, async (db) => {
      await seedShop(db, 200);
      // More than the frames of a dump hold: while the first of them is written, no dump can have read all of it.
      await db.collection('scans').insertMany(Array.from({ length: 12 }, (_, n) => ({ n, pages: new Binary(randomBytes(1024 * 1024)) })));
    });
    const backup = await takeBackup(admin, tenant.id);
    const before = await print(tenant);

    const offDump = bench.at('backup.prelude', () => mongod.kill());
    const dumping = performance.now();
    expect(await ended(admin, idOf(await backupCreate(admin, tenant.id)))).toMatchObject({ state: 'FAILED', failure: { code: expect.stringMatching(/^TARGET_(LOST|UNREACHABLE)$/) } });
    expect(performance.now() - dumping).toBeLessThan(30_000);
    offDump();
    await mongod.restart();

    const plan = await makePlan(admin, tenant.id, backup.id);
    const offStage = bench.at('restore.staged', () => mongod.kill());
    const staging = performance.now();
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).toMatchObject({ state: 'FAILED', failure: { code: expect.stringMatching(/^TARGET_(LOST|UNREACHABLE)$/) } });
    expect(performance.now() - staging).toBeLessThan(90_000);
    offStage();
    await mongod.restart();
    expect(differences(before, await print(tenant)).filter((name) => !name.startsWith('hf_'))).toEqual([]);

    expect(await restore(admin, tenant.id, backup.id)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(before, await print(tenant))).toEqual([]);
    await mongod.stop();
  }, 180_000);

  it('fails clearly while the database is away, and its plan says so before', async () => {
    const mongod = await startMongod({});
    const tenant = await createTestTenant(admin, { uri: mongod.uri, database: 'away' });
    const backup = await takeBackup(admin, tenant.id);
    const plan = await makePlan(admin, tenant.id, backup.id);
    await mongod.kill();
    const late = await makePlan(admin, tenant.id, backup.id);
    expect(late.checks.find(({ key }) => key === 'target')).toMatchObject({ ok: false, blocking: true });
    expect(await restoreStart(admin, late.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).toMatchObject({ state: 'FAILED', failure: { code: 'TARGET_UNREACHABLE' } });
  });
});
