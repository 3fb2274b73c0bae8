import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { AnnouncementTicks } from '../../src/announcements/announcement-ticks.ts';
import { parseGlobalId, toGlobalId } from '../../src/platform/graphql/global-id.ts';
import { RetentionSweep } from '../../src/retention/retention-sweep.ts';
import { UploadExpiry } from '../../src/transfers/upload-expiry.ts';
import { smallPayload } from '../support/archives.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { ended, makePlan, readBackup, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { HttpReceiver } from '../support/http-receiver.ts';
import { MailReceiver } from '../support/mail-receiver.ts';
import { readReset, resetCancel, resetExecute, verifiedReset } from '../support/reset-calls.ts';
import { uploadFile } from '../support/upload-calls.ts';

let app: TestApp;
let admin: GraphqlClient;
let mail: MailReceiver;
let product: HttpReceiver;

beforeAll(async () => {
  mail = await MailReceiver.start();
  product = await HttpReceiver.start();
  app = await startTestApp({ env: { HOLDFAST_SMTP_URL: mail.url, HOLDFAST_MAIL_FROM: 'holdfast@holdfast.test' } });
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
  await mail?.stop();
  await product?.stop();
});

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(text, values);
const tick = (): Promise<void> => app.nest.get(AnnouncementTicks, { strict: false }).tick();
const inTwoHours = (): string => new Date(Date.now() + 2 * 3_600_000).toISOString();

interface Announced {
  readonly id: string;
  readonly work: string;
  readonly state: string;
  readonly startAt: string;
  readonly operationId: string | null;
  readonly failure: { readonly code: string } | null;
}

const fields = 'id work state startAt operationId failure { code }';

interface Shop {
  readonly tenant: TestTenant;
  readonly owner: GraphqlClient & { readonly email: string };
}

async function shop(): Promise<Shop> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, async (db) => void (await db.collection('orders').insertMany([{ a: 1 }, { a: 2 }])));
  await admin.run('mutation ($input: MaintenanceWebhookUpdateInput!) { maintenanceWebhookUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, url: `${product.url}/${tenant.slug}` } });
  return { tenant, owner: await createTestMember(app, admin, tenant.id, 'OWNER') };
}

async function announcements({ tenant }: Shop): Promise<readonly Announced[]> {
  return (await admin.run<{ tenant: { announcements: Announced[] } }>(`query ($id: ID!) { tenant(id: $id) { announcements { ${fields} } } }`, { id: tenant.id })).tenant.announcements;
}

/** The time has come. */
async function due(announcement: Announced): Promise<void> {
  await sql(`update announcement set start_at = clock_timestamp() - interval '1 second' where id = $1`, [parseGlobalId(announcement.id)!.uuid]);
  await tick();
}

async function cancel(client: GraphqlClient, id: string): Promise<{ readonly announcement: Announced | null; readonly userErrors: readonly UserErrorAnswer[] }> {
  const answer = await client.run<{ announcementCancel: { announcement: Announced | null; userErrors: UserErrorAnswer[] } }>(
    `mutation ($input: AnnouncementCancelInput!) { announcementCancel(input: $input) { announcement { ${fields} } userErrors { code message field hint } } }`, { input: { announcementId: id } },
  );
  return answer.announcementCancel;
}

const told = ({ tenant }: Shop, type: string): Record<string, unknown>[] => product.at(`/${tenant.slug}`).map(({ body }) => JSON.parse(body) as Record<string, unknown>).filter((body) => body['type'] === type);
const mailed = ({ owner }: Shop, subject: string): readonly string[] => mail.received.filter((one) => one.to === owner.email && one.subject.startsWith(subject)).map(({ text }) => text);

describe('announced work', () => {
  it('is a reset that begins at its time, and of which product and members are told before', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    const { id } = await verifiedReset(owner, tenant.id, mail);
    const startAt = inTwoHours();
    expect(await resetExecute(owner, id, 'RESET', { startAt })).toMatchObject({ operation: null, userErrors: [], reset: { state: 'CONFIRMED' } });
    const [announced, ...more] = await announcements(one);
    expect(more).toEqual([]);
    expect(announced).toMatchObject({ work: 'RESET', state: 'PENDING', startAt, operationId: null });
    await product.untilReceived(`/${tenant.slug}`, 1);
    expect(told(one, 'maintenance.announced')).toMatchObject([{ tenant: { slug: tenant.slug }, announcement: { id: announced!.id, work: 'RESET', startAt, message: expect.stringContaining(startAt) } }]);
    await tick();
    expect(mailed(one, 'Maintenance announced')).toEqual([expect.stringContaining(startAt)]);
    expect(await sql(`select 1 from alert where event = 'WORK_ANNOUNCED' and resolved_at is null and subject = $1`, [parseGlobalId(announced!.id)!.uuid])).toHaveLength(1);
    expect(await readReset(owner, id)).toMatchObject({ state: 'CONFIRMED', operation: null });

    await due(announced!);
    const { operation } = await readReset(owner, id);
    expect(await ended(owner, operation!.id)).toMatchObject({ kind: 'RESET', state: 'COMPLETED' });
    expect(await announcements(one)).toMatchObject([{ state: 'STARTED', operationId: operation!.id }]);
    expect(await readReset(owner, id)).toMatchObject({ state: 'DONE' });
    await withDatabase(tenant, async (db) => expect(await db.collection('orders').countDocuments()).toBe(0));
    expect(await cancel(owner, announced!.id)).toMatchObject({ announcement: null, userErrors: [{ code: 'ANNOUNCEMENT_OVER' }] });
    await tick();
    expect(mailed(one, 'Maintenance announced')).toHaveLength(1);
  });

  it('begins in a workspace with address rules, too: nobody calls it from anywhere', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    const { addressRulesUpdate } = await owner.run<{ addressRulesUpdate: { userErrors: UserErrorAnswer[] } }>(
      'mutation ($input: AddressRulesUpdateInput!) { addressRulesUpdate(input: $input) { userErrors { code message field hint } } }', { input: { tenantId: tenant.id, rules: [{ range: '127.0.0.0/8' }] } },
    );
    expect(addressRulesUpdate.userErrors).toEqual([]);
    const { id } = await verifiedReset(owner, tenant.id, mail);
    await resetExecute(owner, id, 'RESET', { startAt: inTwoHours() });
    const [announced] = await announcements(one);
    await due(announced!);
    expect(await announcements(one)).toMatchObject([{ state: 'STARTED', failure: null }]);
    expect(await ended(owner, (await readReset(owner, id)).operation!.id)).toMatchObject({ state: 'COMPLETED' });
  });

  it('is announced ten times an hour at most: each time every member gets a mail', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    const { id: backupId } = await takeBackup(owner, tenant.id);
    const announce = async (): Promise<string | null> => {
      const plan = await makePlan(owner, tenant.id, backupId);
      return owner.codeOf('mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { announcement { id } } }', { input: { planId: plan.id, confirmName: tenant.name, startAt: inTwoHours() } });
    };
    for (let count = 0; count < 10; count++) {
      expect(await announce()).toBeNull();
      const pending = (await announcements(one)).find(({ state }) => state === 'PENDING');
      expect((await cancel(owner, pending!.id)).userErrors).toEqual([]);
    }
    expect(await announce()).toBe('RATE_LIMITED');
    await sql(`update announcement set created_at = created_at - interval '1 hour' where tenant_id = $1`, [parseGlobalId(tenant.id)!.uuid]);
    expect(await announce()).toBeNull();
    // The mails of this flood go before those of the next test.
    for (let rounds = 0; rounds < 3; rounds++) await tick();
  });

  it('can be canceled before, and everybody is told so', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    const { id } = await verifiedReset(owner, tenant.id, mail);
    await resetExecute(owner, id, 'RESET', { startAt: inTwoHours() });
    const [announced] = await announcements(one);
    const viewer = await createTestMember(app, admin, tenant.id, 'VIEWER');
    await expect(cancel(viewer, announced!.id)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(cancel((await shop()).owner, announced!.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await resetCancel(owner, id)).reset).toMatchObject({ state: 'CANCELED' });
    expect(await announcements(one)).toMatchObject([{ state: 'CANCELED' }]);
    await product.untilReceived(`/${tenant.slug}`, 2);
    expect(told(one, 'maintenance.announcement-canceled')).toHaveLength(1);
    await due(announced!);
    expect(mailed(one, 'Maintenance canceled')).toHaveLength(1);
    expect(await readReset(owner, id)).toMatchObject({ state: 'CANCELED', operation: null });
    await withDatabase(tenant, async (db) => expect(await db.collection('orders').countDocuments()).toBe(2));
    expect(await sql(`select 1 from alert where event = 'WORK_ANNOUNCED' and resolved_at is null and subject = $1`, [parseGlobalId(announced!.id)!.uuid])).toEqual([]);
  });

  it('is a restore as well, whose plan holds until then', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    const backup = await takeBackup(owner, tenant.id);
    const before = await withDatabase(tenant, fingerprint);
    await withDatabase(tenant, (db) => db.collection('orders').deleteMany({}));
    const start = async (planId: string, input: object) =>
      (
        await owner.run<{ restoreStart: { operation: { id: string } | null; announcement: Announced | null; userErrors: UserErrorAnswer[] } }>(
          `mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } announcement { ${fields} } userErrors { code message field hint } } }`,
          { input: { planId, confirmName: tenant.name, ...input } },
        )
      ).restoreStart;
    const plan = await makePlan(owner, tenant.id, backup.id);
    for (const startAt of [new Date().toISOString(), new Date(Date.now() + 31 * 24 * 3_600_000).toISOString()]) {
      expect(await start(plan.id, { startAt })).toMatchObject({ operation: null, announcement: null, userErrors: [{ code: 'START_TIME_INVALID', field: ['startAt'] }] });
    }
    const { announcement } = await start(plan.id, { startAt: inTwoHours() });
    expect(announcement).toMatchObject({ work: 'RESTORE', state: 'PENDING' });
    expect(await start(plan.id, {})).toMatchObject({ operation: null, userErrors: [{ code: 'PLAN_USED' }] });
    const another = await makePlan(owner, tenant.id, backup.id);
    expect(await start(another.id, { startAt: inTwoHours() })).toMatchObject({ announcement: null, userErrors: [{ code: 'WORK_ANNOUNCED_ALREADY', field: [announcement!.id] }] });
    await sql(`update restore_plan set expires_at = now() - interval '1 hour' where id = $1`, [parseGlobalId(plan.id)!.uuid]);
    await due(announcement!);
    const [started] = await announcements(one);
    expect(await ended(owner, started!.operationId!)).toMatchObject({ kind: 'RESTORE', state: 'COMPLETED' });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
  });

  it('keeps what it will read: retention, deletion and the end of an upload wait for it', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    const announce = async (source: object): Promise<Announced> => {
      const { restorePlanCreate } = await owner.run<{ restorePlanCreate: { plan: { id: string } } }>('mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) { plan { id } } }', { input: { tenantId: tenant.id, source } });
      const { restoreStart } = await owner.run<{ restoreStart: { announcement: Announced } }>(`mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { announcement { ${fields} } } }`, {
        input: { planId: restorePlanCreate.plan.id, confirmName: tenant.name, startAt: inTwoHours() },
      });
      return restoreStart.announcement;
    };
    const deleted = async (): Promise<string[]> =>
      (await owner.run<{ backupDelete: { userErrors: UserErrorAnswer[] } }>('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code message } } }', { input: { backupId: backup.id } })).backupDelete.userErrors.map(({ code }) => code);
    const retain = async (): Promise<void> => {
      await sql("update retention_state set next_at = now() - interval '1 second'");
      await app.nest.get(RetentionSweep, { strict: false }).look();
    };
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, manualRetention: { mode: 'COUNT', count: 1 } } });
    const backup = await takeBackup(owner, tenant.id);
    const announced = await announce({ backupId: backup.id });
    await takeBackup(owner, tenant.id);
    await retain();
    expect(await deleted()).toEqual(['BACKUP_IN_USE']);
    expect(await readBackup(admin, backup.id)).toMatchObject({ state: 'COMPLETED', usable: true });
    await cancel(owner, announced.id);
    await retain();
    expect((await readBackup(admin, backup.id)).state).toBe('DELETED');

    const { upload } = await uploadFile(owner, tenant.id, 'a.gz', gzipSync(smallPayload().payload));
    const second = await announce({ uploadId: upload!.id });
    await sql(`update upload set expires_at = now() - interval '1 hour' where id = $1`, [parseGlobalId(upload!.id)!.uuid]);
    const isThere = async (): Promise<boolean> => {
      await app.nest.get(UploadExpiry, { strict: false }).tick();
      return (await sql('select 1 from upload where id = $1', [parseGlobalId(upload!.id)!.uuid])).length > 0;
    };
    expect(await isThere()).toBe(true);
    await cancel(owner, second.id);
    expect(await isThere()).toBe(false);
  });

  it('does not begin hours after its time, when people work again', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    const { id } = await verifiedReset(owner, tenant.id, mail);
    await resetExecute(owner, id, 'RESET', { startAt: inTwoHours() });
    const [announced] = await announcements(one);
    // No process was there for an hour.
    await sql(`update announcement set start_at = clock_timestamp() - interval '1 hour' where id = $1`, [parseGlobalId(announced!.id)!.uuid]);
    await tick();
    expect(await announcements(one)).toMatchObject([{ state: 'REFUSED', operationId: null, failure: { code: 'START_TIME_MISSED' } }]);
    expect(await readReset(owner, id)).toMatchObject({ state: 'CANCELED', operation: null });
    expect(await sql(`select 1 from operation where tenant_id = $1 and kind = 'RESET'`, [parseGlobalId(tenant.id)!.uuid])).toEqual([]);
    await withDatabase(tenant, async (db) => expect(await db.collection('orders').countDocuments()).toBe(2));
    expect(await sql(`select 1 from alert where event = 'RESET_FAILED' and subject = $1`, [parseGlobalId(announced!.id)!.uuid])).toHaveLength(1);
  });

  it('is refused at its time where it is not what was announced any more, or by whom', async () => {
    const changed = await shop();
    const { id } = await verifiedReset(changed.owner, changed.tenant.id, mail);
    await resetExecute(changed.owner, id, 'RESET', { startAt: inTwoHours() });
    await admin.run('mutation ($input: ClassRulesUpdateInput!) { classRulesUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: changed.tenant.id, rules: [{ pattern: 'orders', dataClass: 'CONFIG', resettable: false }] } });
    await due((await announcements(changed))[0]!);
    expect(await announcements(changed)).toMatchObject([{ state: 'REFUSED', failure: { code: 'RESET_STALE' } }]);
    expect(await readReset(changed.owner, id)).toMatchObject({ state: 'CANCELED' });

    const removed = await shop();
    const second = await verifiedReset(removed.owner, removed.tenant.id, mail);
    await resetExecute(removed.owner, second.id, 'RESET', { startAt: inTwoHours() });
    const [member] = await sql<{ id: string }>('select id from member where email = $1', [removed.owner.email]);
    await createTestMember(app, admin, removed.tenant.id, 'OWNER');
    await admin.run('mutation ($input: MemberSetRoleInput!) { memberSetRole(input: $input) { userErrors { code } } }', { input: { memberId: toGlobalId('Member', member!.id), role: 'VIEWER' } });
    await due((await announcements(removed))[0]!);
    expect(await announcements(removed)).toMatchObject([{ state: 'REFUSED', failure: { code: 'FORBIDDEN' } }]);
    for (const { tenant } of [changed, removed]) {
      await withDatabase(tenant, async (db) => expect(await db.collection('orders').countDocuments()).toBe(2));
      expect(await sql(`select 1 from alert a join tenant t on t.id = a.tenant_id where t.slug = $1 and event = 'RESET_FAILED'`, [tenant.slug])).toHaveLength(1);
    }
  });
});
