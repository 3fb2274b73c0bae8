import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Db, Int32 } from 'mongodb';
import { DataSource } from 'typeorm';
import { differences, fingerprint } from '../../scripts/demo/fingerprint.ts';
import { toGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, type OperationAnswer, restoreUndo, seedShop, takeBackup, watch, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { MailReceiver } from '../support/mail-receiver.ts';
import { begun, mailedCode, mutationOf, readReset, resetBegin, resetCancel, resetExecute, resetSendCode, resetVerifyCode, resetWhole, verifiedReset } from '../support/reset-calls.ts';
import { hashes } from '../support/restore-fixture.ts';

let app: TestApp;
let admin: GraphqlClient;
let mail: MailReceiver;

beforeAll(async () => {
  mail = await MailReceiver.start();
  app = await startTestApp({ env: { HOLDFAST_SMTP_URL: mail.url, HOLDFAST_MAIL_FROM: 'holdfast@holdfast.test' } });
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
  await mail?.stop();
});

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(text, values);

type Owner = GraphqlClient & { readonly email: string };

interface Shop {
  readonly tenant: TestTenant;
  readonly owner: Owner;
}

const wiped = ['customers', 'log', 'orders'];

async function seed(db: Db): Promise<void> {
  await seedShop(db, 100);
  await db.collection('roles').insertMany([{ name: 'clerk' }, { name: 'boss' }]);
  await db.collection('organization_settings').insertOne({ currency: 'EUR' });
  await db.collection<{ _id: string }>('counters').insertMany([{ _id: 'invoice', seq: new Int32(1041) }, { _id: 'order', seq: new Int32(99) }] as never);
}

async function shop(): Promise<Shop> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, seed);
  return { tenant, owner: await createTestMember(app, admin, tenant.id, 'OWNER') };
}

async function saveRules(tenant: TestTenant, rules: readonly object[]): Promise<void> {
  await admin.run('mutation ($input: ClassRulesUpdateInput!) { classRulesUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, rules } });
}

const countersAnew = [{ pattern: 'counters', dataClass: 'SYSTEM', resettable: false, counter: { field: 'seq', resetTo: 1000 } }];

async function undo({ tenant, owner }: Shop, operation: { readonly id: string }): Promise<OperationAnswer> {
  return ended(owner, idOf(await restoreUndo(owner, operation.id, tenant.name)));
}

describe('a reset', () => {
  it('shows first what it would do, and what people should see to', async () => {
    const { tenant, owner } = await shop();
    await saveRules(tenant, countersAnew);
    const before = begun(await resetBegin(owner, tenant.id, 'FRESH_START'));
    expect(before).toMatchObject({ state: 'BEGUN', reason: 'FRESH_START', confirmText: 'RESET', latestBackup: null, operation: null });
    expect(before.wiped.map(({ name, documents, decidedBy }) => [name, documents, decidedBy])).toEqual([['customers', '40', 'customer*'], ['log', '20', '*log'], ['orders', '100', '*order*']]);
    expect(before.wiped.every(({ bytes }) => Number(bytes) > 0)).toBe(true);
    expect(before.preserved.map(({ name, documents }) => [name, documents])).toEqual([['big_orders', '0'], ['organization_settings', '1'], ['roles', '2']]);
    expect(before.undecided.map(({ name }) => name)).toEqual(['readings']);
    expect(before.counters).toEqual([{ name: 'counters', field: 'seq', resetTo: 1000 }]);
    expect(before.checklist.map(({ key, checked }) => [key, checked])).toEqual([['fullBackup', false], ['storeBackup', false], ['exportData', false], ['notifyUsers', false], ['noTransactions', false], ['reviewSettings', false]]);
    const backup = await takeBackup(admin, tenant.id);
    const after = await readReset(owner, before.id);
    expect(after.latestBackup).toEqual({ id: backup.id });
    expect(after.checklist[0]).toEqual({ key: 'fullBackup', checked: true, hint: null });
  });

  it('wipes what it listed, keeps all else byte for byte, and can be undone', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    await saveRules(tenant, countersAnew);
    const whole = await withDatabase(tenant, fingerprint);
    const [before, definitions] = await withDatabase(tenant, async (db) => [await hashes(db), await definitionsOf(db)] as const);
    const epoch = await epochOf(tenant);
    const { id } = await verifiedReset(owner, tenant.id, mail);
    expect(await readReset(owner, id)).toMatchObject({ state: 'VERIFIED' });
    // It would be over before anybody could see three states of it.
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const holds = [app.at('backup.dump', () => first.promise), app.at('restore.swapped', () => second.promise)];
    const executed = await resetExecute(owner, id);
    const seen = await watch(owner, executed.operation!.id, (states) => (states === 1 ? first : second).resolve());
    for (const off of holds) off();
    const last = seen.at(-1)!;
    expect(last).toMatchObject({ kind: 'RESET', state: 'COMPLETED', failure: null });
    expect(last.steps.map(({ phase, state }) => `${phase} ${state}`)).toEqual(['SAFETY_BACKUP', 'MAINTENANCE_ON', 'WIPE', 'CHECK', 'MAINTENANCE_OFF', 'CLEANUP'].map((phase) => `${phase} COMPLETED`));
    expect(seen.length).toBeGreaterThan(2);
    expect(await resultOf(owner, last.id)).toEqual({
      message: 'The workspace is reset. Ready for a fresh start',
      wiped: [{ name: 'customers', documents: '40' }, { name: 'log', documents: '20' }, { name: 'orders', documents: '100' }],
      counters: [{ name: 'counters', field: 'seq', resetTo: 1000 }],
      warnings: [],
    });
    expect(await readReset(owner, id)).toMatchObject({ state: 'DONE', operation: { id: last.id } });

    await withDatabase(tenant, async (db) => {
      const after = await hashes(db);
      for (const name of ['roles', 'organization_settings', 'system.buckets.readings']) expect({ name, hash: after[name] }).toEqual({ name, hash: before[name] });
      expect(await definitionsOf(db)).toEqual(definitions);
      for (const name of wiped) expect({ name, documents: await db.collection(name).countDocuments() }).toEqual({ name, documents: 0 });
      expect(await db.collection('counters').find({}, { promoteValues: false }).toArray()).toEqual([{ _id: 'invoice', seq: new Int32(1000) }, { _id: 'order', seq: new Int32(1000) }]);
      expect(Object.keys(after)).toEqual(Object.keys(before));
    });
    expect(await epochOf(tenant)).toBe(epoch + 1);
    expect(await statusOf(tenant)).toBe('ACTIVE');

    const safety = last.safetyBackup!;
    expect(safety).toMatchObject({ trigger: 'SAFETY', state: 'COMPLETED', usable: true });
    expect(Date.parse(safety.expiresAt!) - Date.now()).toBeGreaterThan(6.9 * 24 * 3_600_000);
    expect(last.undoableUntil).toBe(safety.expiresAt);
    expect(await undo(one, last)).toMatchObject({ state: 'COMPLETED' });
    expect(differences(whole, await withDatabase(tenant, fingerprint))).toEqual([]);
  });

  it('keeps counters as they are where no rule says otherwise', async () => {
    const { tenant, owner } = await shop();
    expect(await resetWhole(owner, tenant.id, mail)).toMatchObject({ state: 'COMPLETED' });
    await withDatabase(tenant, async (db) => expect(await db.collection('counters').find().toArray()).toEqual([{ _id: 'invoice', seq: 1041 }, { _id: 'order', seq: 99 }]));
  });

  it('brings back by undo what was written until the wipe', async () => {
    const one = await shop();
    const { tenant, owner } = one;
    const off = app.at('restore.swap.0', () => withDatabase(tenant, async (db) => void (await db.collection('orders').insertOne({ number: 4711 }))));
    const operation = await resetWhole(owner, tenant.id, mail);
    off();
    expect(operation).toMatchObject({ state: 'COMPLETED', safetyBackup: { name: 'Before the reset, last state' } });
    expect(await undo(one, operation)).toMatchObject({ state: 'COMPLETED' });
    await withDatabase(tenant, async (db) => expect(await db.collection('orders').countDocuments({ number: 4711 })).toBe(1));
  });

  it('says what a product that does not heed maintenance has written meanwhile, and what came since it was begun', async () => {
    const { tenant, owner } = await shop();
    const { id } = await verifiedReset(owner, tenant.id, mail);
    await withDatabase(tenant, async (db) => void (await db.collection('invoices').insertOne({ a: 1 })));
    const off = app.at('restore.swapped', () => withDatabase(tenant, async (db) => void (await db.collection('orders').insertOne({ late: true }))));
    const operation = await ended(owner, (await resetExecute(owner, id)).operation!.id);
    off();
    expect(operation.state).toBe('COMPLETED');
    const { warnings } = await resultOf(owner, operation.id);
    expect(warnings).toEqual([expect.stringMatching(/wrote to "orders" during the reset: it holds 1 documents/), expect.stringMatching(/"invoices" came after/)]);
    await withDatabase(tenant, async (db) => expect(await db.collection('invoices').countDocuments()).toBe(1));
  });

  it('is refused where there is nothing to wipe', async () => {
    const { tenant, owner } = await shop();
    await saveRules(tenant, [{ pattern: '*', dataClass: 'CONFIG', resettable: false }]);
    expect(await resetBegin(owner, tenant.id)).toMatchObject({ reset: null, userErrors: [{ code: 'RESET_NOTHING', hint: expect.stringContaining('classRulesUpdate') }] });
    await withDatabase(tenant, (db) => db.dropDatabase());
    expect(await resetBegin(owner, tenant.id)).toMatchObject({ reset: null, userErrors: [{ code: 'RESET_NOTHING' }] });
  });

  it('does not start when its safety backup fails', async () => {
    const { tenant, owner } = await shop();
    const before = await withDatabase(tenant, fingerprint);
    const off = app.at('backup.finalize', () => Promise.reject(new Error('The store is broken')));
    const { id } = await verifiedReset(owner, tenant.id, mail);
    const operation = await ended(owner, (await resetExecute(owner, id)).operation!.id);
    off();
    expect(operation).toMatchObject({ state: 'FAILED', failure: { code: 'SAFETY_BACKUP_FAILED' } });
    expect(await readReset(owner, id)).toMatchObject({ state: 'FAILED' });
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
    expect(await statusOf(tenant)).toBe('ACTIVE');
  });

  it('can be canceled until the wipe, and leaves nothing then', async () => {
    const { tenant, owner } = await shop();
    const before = await withDatabase(tenant, fingerprint);
    const { id } = await verifiedReset(owner, tenant.id, mail);
    const reached = Promise.withResolvers<void>();
    const off = app.at('restore.maintenance', async (signal) => {
      reached.resolve();
      await once(signal!, 'abort');
    });
    const started = (await resetExecute(owner, id)).operation!.id;
    await reached.promise;
    // What a database that is away would keep is known to the sweep before it is there.
    const staged = async (): Promise<string[]> => (await sql<{ id: string }>('select operation_id as id from stage_left_over')).map((row) => toGlobalId('Operation', row.id));
    expect(await staged()).toContain(started);
    const canceled = await owner.run<{ operationCancel: { operation: { id: string } } }>('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { operation { id } userErrors { code } } }', { input: { operationId: started } });
    expect(canceled.operationCancel.operation.id).toBe(started);
    expect(await ended(owner, started)).toMatchObject({ state: 'CANCELED' });
    off();
    expect(differences(before, await withDatabase(tenant, fingerprint))).toEqual([]);
    expect(await staged()).not.toContain(started);
    expect(await readReset(owner, id)).toMatchObject({ state: 'CANCELED' });
    expect(await statusOf(tenant)).toBe('ACTIVE');
    expect(await resetWhole(owner, tenant.id, mail)).toMatchObject({ state: 'COMPLETED' });
  });

  it('waits for no other work: beside a backup or another reset it is refused, and once only it is started', async () => {
    const { tenant, owner } = await shop();
    const other = await createTestMember(app, admin, tenant.id, 'ADMIN');
    const [mine, theirs] = [await verifiedReset(owner, tenant.id, mail), await verifiedReset(other, tenant.id, mail)];
    const reached = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const off = app.at('backup.dump', () => (reached.resolve(), go.promise));
    const backup = idOf(await backupCreate(admin, tenant.id));
    await reached.promise;
    expect(await resetExecute(owner, mine.id)).toMatchObject({ operation: null, userErrors: [{ code: 'OPERATION_ALREADY_RUNNING', field: [backup] }] });
    off();
    go.resolve();
    await ended(admin, backup);
    const answers = await Promise.all([resetExecute(owner, mine.id, 'RESET', { idempotencyKey: 'twice' }), resetExecute(owner, mine.id, 'RESET', { idempotencyKey: 'twice' }), resetExecute(other, theirs.id)]);
    const ids = answers.flatMap(({ operation }) => (operation == null ? [] : [operation.id]));
    expect(new Set(ids).size).toBe(1);
    expect(answers.flatMap(({ userErrors }) => userErrors.map(({ code }) => code)).every((code) => code === 'OPERATION_ALREADY_RUNNING')).toBe(true);
    expect(await ended(admin, ids[0]!)).toMatchObject({ state: 'COMPLETED' });
    expect(await sql('select 1 from operation o join tenant t on t.id = o.tenant_id where t.slug = $1 and kind = $2', [tenant.slug, 'RESET'])).toHaveLength(1);
  });
});

describe('the steps of a reset', () => {
  it('are refused when they come too early or too late', async () => {
    const { tenant, owner } = await shop();
    const { id } = begun(await resetBegin(owner, tenant.id));
    expect(await resetExecute(owner, id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_TOO_EARLY' }] });
    expect(await resetVerifyCode(owner, id, '123456')).toMatchObject({ reset: null, userErrors: [{ code: 'RESET_TOO_EARLY' }] });
    expect(begun(await resetSendCode(owner, id)).state).toBe('CODE_SENT');
    expect(await resetExecute(owner, id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_TOO_EARLY' }] });
    begun(await resetVerifyCode(owner, id, mailedCode(mail, owner.email)));
    expect(await resetSendCode(owner, id)).toMatchObject({ userErrors: [{ code: 'RESET_CODE_USED' }] });
    for (const text of ['', 'reset', 'RESET ', 'RESTE']) expect(await resetExecute(owner, id, text)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_TEXT_MISMATCH', field: ['confirmText'] }] });
    expect(await ended(owner, (await resetExecute(owner, id)).operation!.id)).toMatchObject({ state: 'COMPLETED' });
    expect(await resetExecute(owner, id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_OVER' }] });
    expect(await resetSendCode(owner, id)).toMatchObject({ userErrors: [{ code: 'RESET_OVER' }] });
    expect(await resetCancel(owner, id)).toMatchObject({ userErrors: [{ code: 'RESET_OVER' }] });
  });

  it('end when it is given up, begun anew, or left alone for too long', async () => {
    const { tenant, owner } = await shop();
    const first = begun(await resetBegin(owner, tenant.id));
    const second = begun(await resetBegin(owner, tenant.id));
    expect(await readReset(owner, first.id)).toMatchObject({ state: 'CANCELED' });
    expect(begun(await resetCancel(owner, second.id)).state).toBe('CANCELED');
    expect(await resetSendCode(owner, second.id)).toMatchObject({ userErrors: [{ code: 'RESET_OVER' }] });
    const third = await verifiedReset(owner, tenant.id, mail);
    await sql(`update reset_request set expires_at = now() - interval '1 second' where state = 'VERIFIED'`);
    expect(await readReset(owner, third.id)).toMatchObject({ state: 'EXPIRED' });
    expect(await resetExecute(owner, third.id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_OVER' }] });
  });

  it('are void when the rules, the policy or the database are not those that were shown', async () => {
    const { tenant, owner } = await shop();
    const ruled = await verifiedReset(owner, tenant.id, mail);
    await saveRules(tenant, [{ pattern: 'customers', dataClass: 'MASTER', resettable: false }]);
    expect(await resetExecute(owner, ruled.id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_STALE', message: expect.stringContaining('customers') }] });
    await saveRules(tenant, []);
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, resetCodes: 'BOTH' } });
    expect(await resetExecute(owner, ruled.id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_TOO_EARLY', message: expect.stringContaining('SMS') }] });
    await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, resetCodes: 'EITHER' } });
    await sql('update tenant set target_revision = target_revision + 1 where slug = $1', [tenant.slug]);
    expect(await resetExecute(owner, ruled.id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_STALE' }] });
  });

  it('are those of the person who began it, and of the workspace', async () => {
    const { tenant, owner } = await shop();
    const other = await createTestMember(app, admin, tenant.id, 'ADMIN');
    const stranger = (await shop()).owner;
    const { id } = begun(await resetBegin(owner, tenant.id));
    begun(await resetSendCode(owner, id));
    const code = mailedCode(mail, owner.email);
    expect(await resetVerifyCode(other, id, code)).toMatchObject({ userErrors: [{ code: 'RESET_OF_ANOTHER' }] });
    expect(await resetSendCode(other, id)).toMatchObject({ userErrors: [{ code: 'RESET_OF_ANOTHER' }] });
    begun(await resetVerifyCode(owner, id, code));
    expect(await resetExecute(other, id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_OF_ANOTHER' }] });
    for (const resetId of [id, toGlobalId('Reset', '00000000-0000-4000-8000-000000000000')]) {
      expect(await stranger.codeOf(mutationOf('resetVerifyCode'), { input: { resetId, channel: 'EMAIL', code } })).toBe('NOT_FOUND');
      expect(await stranger.codeOf(mutationOf('resetExecute'), { input: { resetId, confirmText: 'RESET' } })).toBe('NOT_FOUND');
    }
    // A colleague may stop it.
    expect(begun(await resetCancel(other, id)).state).toBe('CANCELED');
  });
});

async function definitionsOf(db: Db): Promise<unknown> {
  const all = (await db.listCollections().toArray()).filter(({ name }) => !name.startsWith('system.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  return Promise.all(all.map(async ({ name, type, ...rest }) => ({ name, type, options: (rest as { options?: unknown }).options, indexes: type === 'view' ? [] : await db.collection(name).indexes() })));
}

async function resultOf(client: GraphqlClient, id: string): Promise<{ readonly message: string; readonly warnings: readonly string[] }> {
  const { operation } = await client.run<{ operation: { result: { message: string; warnings: string[] } } }>(
    'query ($id: ID!) { operation(id: $id) { result { ... on ResetResult { message wiped { name documents } counters { name field resetTo } warnings } } } }',
    { id },
  );
  return operation.result;
}

async function epochOf({ id }: TestTenant): Promise<number> {
  return (await admin.run<{ tenant: { sessionEpoch: number } }>('query ($id: ID!) { tenant(id: $id) { sessionEpoch } }', { id })).tenant.sessionEpoch;
}

async function statusOf({ id }: TestTenant): Promise<string> {
  return (await admin.run<{ tenant: { status: string } }>('query ($id: ID!) { tenant(id: $id) { status } }', { id })).tenant.status;
}
