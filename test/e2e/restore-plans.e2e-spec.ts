import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ArchiveStore } from '../../libs/storage/index.ts';
import { parseGlobalId, toGlobalId } from '../../src/platform/graphql/global-id.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import { createTestMember, createTestTenant, startTestApp } from '../support/app.ts';
import { backupCreate, ended, idOf, makePlan, planCreate, restoreStart, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { RestoreBench } from '../support/restore-bench.ts';

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

describe('a plan', () => {
  it('works once, and a repeated request is answered by the first restore', async () => {
    const { tenant, backup } = await bench.changedShop();
    const plan = await makePlan(admin, tenant.id, backup.id, { fullRead: true });
    expect(plan.checks.map(({ key, ok }) => [key, ok])).toEqual(expect.arrayContaining([['key', true], ['integrity', true], ['target', true], ['privileges', true], ['engineVersion', true], ['space', true], ['runningWork', true]]));
    expect(new Date(plan.expiresAt).getTime() - Date.now()).toBeLessThanOrEqual(15 * 60_000);
    const answers = await Promise.all([1, 2].map(() => restoreStart(admin, plan.id, tenant.name, { idempotencyKey: 'double-click' })));
    expect(idOf(answers[0]!)).toBe(idOf(answers[1]!));
    expect(await restoreStart(admin, plan.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_USED' }] });
    expect(await ended(admin, idOf(answers[0]!))).toMatchObject({ state: 'COMPLETED' });
  });

  it('of an archive that is read whole is one of few at once, and of any other one is made all the same', async () => {
    const app = await startTestApp({ env: { HOLDFAST_FULL_READS: '2', HOLDFAST_FULL_READS_PER_TENANT: '1' } });
    try {
      const client = await app.loginAsAdmin();
      const shops = await Promise.all([1, 2, 3].map(async () => {
        const tenant = await createTestTenant(client);
        await withDatabase(tenant, (db) => db.collection('orders').insertOne({ total: 1 }));
        return { tenantId: tenant.id, source: { backupId: (await takeBackup(client, tenant.id)).id } };
      }));
      const store = app.nest.get<ArchiveStore>(ARCHIVE_STORE);
      const open = store.open.bind(store);
      const [gate, reading] = [Promise.withResolvers<void>(), [Promise.withResolvers<void>(), Promise.withResolvers<void>()]];
      let opened = 0;
      store.open = async (key) => {
        reading[opened++]?.resolve();
        await gate.promise;
        return open(key);
      };
      const plan = (shop: (typeof shops)[number] | undefined, fullRead: boolean) => client.send<{ restorePlanCreate: { plan: { id: string } | null } }>('mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } userErrors { code } } }', { input: { ...shop, fullRead } });
      const limited = { errors: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) } }] };
      const first = plan(shops[0], true);
      await reading[0]!.promise;
      expect(await plan(shops[0], true)).toMatchObject(limited);
      const second = plan(shops[1], true);
      await reading[1]!.promise;
      expect(await plan(shops[2], true)).toMatchObject(limited);
      const quick = plan(shops[2], false);
      gate.resolve();
      for (const answer of await Promise.all([first, second, quick])) expect(answer).toMatchObject({ data: { restorePlanCreate: { plan: { id: expect.any(String) } } } });
      expect(await plan(shops[2], true)).toMatchObject({ data: { restorePlanCreate: { plan: { id: expect.any(String) } } } });
    } finally {
      await app.stop();
    }
  });

  it('is refused once it has expired, the workspace was renamed or its database changed', async () => {
    const setting = await bench.changedShop();
    const { tenant, backup } = setting;
    const expired = await makePlan(admin, tenant.id, backup.id);
    await bench.sql(`update restore_plan set expires_at = now() - interval '1 second' where id = $1`, [parseGlobalId(expired.id)!.uuid]);
    expect(await restoreStart(admin, expired.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_EXPIRED' }] });

    const named = await makePlan(admin, tenant.id, backup.id);
    await bench.sql('update tenant set name = $1 where id = $2', ['Renamed', parseGlobalId(tenant.id)!.uuid]);
    expect(await restoreStart(admin, named.id, tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_STALE' }] });
    expect(await restoreStart(admin, named.id, 'Renamed')).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_STALE' }] });

    const moved = await makePlan(admin, tenant.id, backup.id);
    await bench.sql('update tenant set target_revision = target_revision + 1 where id = $1', [parseGlobalId(tenant.id)!.uuid]);
    expect(await restoreStart(admin, moved.id, 'Renamed')).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_STALE' }] });
    await bench.expectUntouched(setting);
  });

  it('does not fit any more when a collection was replaced since', async () => {
    const setting = await bench.changedShop();
    const { tenant, backup } = setting;
    const plan = await makePlan(admin, tenant.id, backup.id);
    await withDatabase(tenant, async (db) => {
      const kept = await db.collection('later').find().toArray();
      await db.collection('later').drop();
      await db.collection('later').insertMany(kept);
    });
    expect(await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).toMatchObject({ state: 'FAILED', failure: { code: 'LIVE_CHANGED' } });
    await bench.expectUntouched(setting);
  });

  it('cannot be read or used by another workspace', async () => {
    const { tenant, backup } = await bench.changedShop();
    const plan = await makePlan(admin, tenant.id, backup.id);
    const stranger = await createTestMember(bench.app, admin, (await createTestTenant(admin)).id, 'OWNER');
    for (const planId of [plan.id, toGlobalId('RestorePlan', '00000000-0000-4000-8000-000000000000'), 'nonsense']) {
      expect(await stranger.codeOf('query ($id: ID!) { restorePlan(id: $id) { id } }', { id: planId })).toBe('NOT_FOUND');
      expect(await stranger.codeOf('mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } } }', { input: { planId, confirmName: tenant.name } })).toBe('NOT_FOUND');
    }
  });

  it('refuses a backup that is not usable', async () => {
    const { tenant } = await bench.changedShop();
    bench.faults.fullAtByte = 0;
    const failed = await ended(admin, idOf(await backupCreate(admin, tenant.id)));
    expect(await planCreate(admin, tenant.id, failed.backup!.id)).toMatchObject({ plan: null, userErrors: [{ code: 'BACKUP_NOT_USABLE' }] });
  });
});

describe('a file that is not the one that was written', () => {
  it('blocks the plan when it is truncated or gone', async () => {
    const setting = await bench.changedShop();
    const path = await bench.pathOf(setting.backup);
    const { size } = await readFile(path).then((bytes) => ({ size: bytes.length }));
    await truncate(path, size - 10);
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    expect(plan.checks.find(({ key }) => key === 'integrity')).toMatchObject({ ok: false, blocking: true });
    expect(await restoreStart(admin, plan.id, setting.tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });
    await bench.expectUntouched(setting);
  });

  it('ends the restore before anything is touched when one bit was turned', async () => {
    const setting = await bench.changedShop();
    const plan = await makePlan(admin, setting.tenant.id, setting.backup.id);
    const path = await bench.pathOf(setting.backup);
    const bytes = await readFile(path);
    bytes[Math.floor(bytes.length / 2)]! ^= 4;
    await writeFile(path, bytes);
    const failed = await ended(admin, idOf(await restoreStart(admin, plan.id, setting.tenant.name)));
    expect(failed).toMatchObject({ state: 'FAILED', failure: { code: 'ARCHIVE_REPLACED' }, safetyBackup: null });
    expect(failed.steps.find(({ phase }) => phase === 'VERIFY')).toMatchObject({ state: 'FAILED' });
    await bench.expectUntouched(setting);
  });

  it("refuses another workspace's file in its place, and an older one of its own, with an audit event", async () => {
    const [mine, theirs] = [await bench.changedShop(), await bench.changedShop()];
    const older = mine.backup;
    const newer = await takeBackup(admin, mine.tenant.id);
    for (const foreign of [theirs.backup, older]) {
      await copyFile(await bench.pathOf(foreign), await bench.pathOf(newer));
      // So that the size does not give it away.
      await bench.sql('update backup set size_bytes = $1 where id = $2', [foreign.size, parseGlobalId(newer.id)!.uuid]);
      const plan = await makePlan(admin, mine.tenant.id, newer.id);
      expect(plan.checks.find(({ key }) => key === 'integrity')).toMatchObject({ ok: false, blocking: true });
      expect(await restoreStart(admin, plan.id, mine.tenant.name)).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_BLOCKED' }] });
    }
    const { tenant } = await admin.run<{ tenant: { auditEvents: { edges: { node: { outcome: string; detail: { name: string; value: string }[] } }[] } } }>(
      'query ($id: ID!) { tenant(id: $id) { auditEvents(filter: {action: "restore.source-refused"}) { edges { node { outcome detail { name value } } } } } }',
      { id: mine.tenant.id },
    );
    expect(tenant.auditEvents.edges.map(({ node }) => node.detail.find(({ name }) => name === 'code')?.value).sort()).toEqual(['ARCHIVE_FOREIGN', 'ARCHIVE_REPLACED']);
    await bench.expectUntouched(mine);
  });
});
