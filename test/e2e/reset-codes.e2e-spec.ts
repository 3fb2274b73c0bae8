import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { HttpReceiver } from '../support/http-receiver.ts';
import { MailReceiver } from '../support/mail-receiver.ts';
import { begun, codeIn, mailedCode, mutationOf, readReset, resetBegin, type ResetChannelAnswer, resetExecute, resetSendCode, resetVerifyCode } from '../support/reset-calls.ts';

let app: TestApp;
let admin: GraphqlClient;
let mail: MailReceiver;
let sms: HttpReceiver;
let phones = 0;
const lines: string[] = [];

const sid = 'AC0123456789';
const smsPath = `/2010-04-01/Accounts/${sid}/Messages.json`;

beforeAll(async () => {
  mail = await MailReceiver.start();
  sms = await HttpReceiver.start();
  app = await startTestApp({
    env: {
      HOLDFAST_SMTP_URL: mail.url,
      HOLDFAST_MAIL_FROM: 'holdfast@holdfast.test',
      HOLDFAST_SMS_URL: `http://${sid}:token-of-the-provider@127.0.0.1:${sms.port}?from=%2B4930000000`,
      HOLDFAST_LOG_LEVEL: 'trace',
    },
    onLogLine: (line) => void lines.push(line),
  });
  admin = await app.loginAsAdmin();
});

afterAll(async () => {
  await app?.stop();
  await mail?.stop();
  await sms?.stop();
});

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> => app.nest.get(DataSource).query(text, values);

type Owner = GraphqlClient & { readonly email: string };

async function workspace(on: GraphqlClient = admin): Promise<TestTenant> {
  const tenant = await createTestTenant(on);
  await withDatabase(tenant, async (db) => void (await db.collection('orders').insertMany([{ a: 1 }, { a: 2 }])));
  return tenant;
}

async function reset(): Promise<{ readonly tenant: TestTenant; readonly owner: Owner; readonly id: string }> {
  const tenant = await workspace();
  const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
  return { tenant, owner, id: begun(await resetBegin(owner, tenant.id)).id };
}

/** An owner with a phone number. */
async function phoneOwner(on: TestApp, inviter: GraphqlClient, tenant: TestTenant): Promise<{ readonly owner: Owner; readonly phone: string }> {
  phones += 1;
  const phone = `+4915100${String(phones).padStart(5, '0')}`;
  const email = `phone-${phones}-${tenant.slug}@holdfast.test`;
  const password = `password of ${email}`;
  await inviter.run('mutation ($input: MemberInviteInput!) { memberInvite(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, email, phone, role: 'OWNER', password } });
  return { owner: Object.assign(await on.login(email, password), { email }), phone };
}

async function setPolicy(tenant: TestTenant, resetCodes: string): Promise<void> {
  await admin.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, resetCodes } });
}

/** Lets the last code of a reset be older than it is. */
async function age(id: string, by: string): Promise<void> {
  await sql(`update reset_code set sent_at = sent_at - $2::interval, expires_at = expires_at - $2::interval where reset_id = $1`, [parseGlobalId(id)!.uuid, by]);
}

const channelOf = (answer: { readonly channels: readonly ResetChannelAnswer[] }, kind: string): ResetChannelAnswer => answer.channels.find((channel) => channel.kind === kind)!;

function otherThan(code: string): string {
  return String((Number(code) + 1) % 1_000_000).padStart(6, '0');
}

/** What the API says of a limit: its code, and how long to wait. */
async function limited(client: GraphqlClient, id: string): Promise<number> {
  const { errors } = await client.send(mutationOf('resetSendCode'), { input: { resetId: id, channel: 'EMAIL' } });
  expect(errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
  return errors?.[0]?.extensions?.['retryAfterMs'] as number;
}

describe('the code of a reset', () => {
  it('is six digits, sent to the person by mail, and shown nowhere else', async () => {
    const { tenant, owner, id } = await reset();
    const sent = begun(await resetSendCode(owner, id));
    const code = mailedCode(mail, owner.email);
    const message = mail.received.filter(({ to }) => to === owner.email).at(-1)!;
    expect(message.subject).toBe(`Your code to reset ${tenant.name}`);
    expect(message.text).toContain('10 minutes');
    expect(channelOf(sent, 'EMAIL')).toMatchObject({ maskedAddress: `o***@holdfast.test`, attemptsLeft: 5, error: null, verifiedAt: null });
    const { sentAt, resendAt, expiresAt } = channelOf(sent, 'EMAIL');
    expect(Date.parse(resendAt!) - Date.parse(sentAt!)).toBe(60_000);
    expect(Date.parse(expiresAt!) - Date.parse(sentAt!)).toBeGreaterThan(599_000);
    expect(Date.parse(expiresAt!) - Date.parse(sentAt!)).toBeLessThan(601_000);
    begun(await resetVerifyCode(owner, id, ` ${code} `));
    const token = new RegExp(`(?<!\\d)${code}(?!\\d)`);
    expect(lines.filter((line) => token.test(line) || line.includes('token-of-the-provider'))).toEqual([]);
    const rows = await sql<{ text: string }>(`select r::text as text from reset_request r union all select c::text from reset_code c union all select a::text from audit_event a union all select o::text from operation o`);
    expect(rows.filter(({ text }) => token.test(text))).toEqual([]);
    expect(JSON.stringify(await readReset(owner, id))).not.toMatch(token);
  });

  it('costs a try when it is wrong, and the fifth makes the reset void, also when they are typed at once', async () => {
    const { owner, id } = await reset();
    begun(await resetSendCode(owner, id));
    const code = mailedCode(mail, owner.email);
    const first = await resetVerifyCode(owner, id, otherThan(code));
    expect(first).toMatchObject({ reset: null, userErrors: [{ code: 'RESET_CODE_WRONG', message: expect.stringContaining('4 tries are left'), field: ['code'], hint: expect.stringContaining('verification code') }] });
    expect(channelOf(await readReset(owner, id), 'EMAIL').attemptsLeft).toBe(4);
    const rest = await Promise.all(['', 'abcdef', otherThan(code), `${code}0`, otherThan(code), otherThan(code)].map((typed) => resetVerifyCode(owner, id, typed)));
    const codes = rest.map(({ userErrors }) => userErrors[0]?.code).sort();
    expect(codes).toEqual(['RESET_CODE_WRONG', 'RESET_CODE_WRONG', 'RESET_CODE_WRONG', 'RESET_OVER', 'RESET_OVER', 'RESET_OVER']);
    expect(await readReset(owner, id)).toMatchObject({ state: 'VOID' });
    expect(await resetVerifyCode(owner, id, code)).toMatchObject({ userErrors: [{ code: 'RESET_OVER' }] });
    expect(await resetSendCode(owner, id)).toMatchObject({ userErrors: [{ code: 'RESET_OVER' }] });
    const audited = await sql<{ code: string }>(`select detail ->> 'code' as code from audit_event where action = 'reset.code-refused' and subject_id = $1`, [parseGlobalId(id)!.uuid]);
    expect(audited.filter(({ code: one }) => one === 'RESET_CODE_WRONG')).toHaveLength(4);
  });

  it('is dead once it was used, was replaced by a later one, or is older than ten minutes', async () => {
    const { owner, id } = await reset();
    begun(await resetSendCode(owner, id));
    const replaced = mailedCode(mail, owner.email);
    await age(id, '61 seconds');
    begun(await resetSendCode(owner, id));
    const expired = mailedCode(mail, owner.email);
    if (replaced !== expired) expect(await resetVerifyCode(owner, id, replaced)).toMatchObject({ userErrors: [{ code: 'RESET_CODE_WRONG' }] });
    await age(id, '10 minutes');
    expect(await resetVerifyCode(owner, id, expired)).toMatchObject({ userErrors: [{ code: 'RESET_CODE_EXPIRED' }] });
    begun(await resetSendCode(owner, id));
    const code = mailedCode(mail, owner.email);
    expect(begun(await resetVerifyCode(owner, id, code)).state).toBe('VERIFIED');
    expect(await resetVerifyCode(owner, id, code)).toMatchObject({ userErrors: [{ code: 'RESET_CODE_USED' }] });
  });

  it('is good for its own reset, person and channel alone', async () => {
    const { owner, tenant, id: first } = await reset();
    begun(await resetSendCode(owner, first));
    const code = mailedCode(mail, owner.email);
    const other = await createTestMember(app, admin, tenant.id, 'OWNER');
    const theirs = begun(await resetBegin(other, tenant.id)).id;
    begun(await resetSendCode(other, theirs));
    const second = begun(await resetBegin(owner, tenant.id)).id;
    begun(await resetSendCode(owner, second));
    const wrong = { userErrors: [{ code: 'RESET_CODE_WRONG' }] };
    if (mailedCode(mail, other.email) !== code) expect(await resetVerifyCode(other, theirs, code)).toMatchObject(wrong);
    if (mailedCode(mail, owner.email) !== code) expect(await resetVerifyCode(owner, second, code)).toMatchObject(wrong);
    // Not even by whoever can write to the table.
    await sql(`update reset_code set hash = (select hash from reset_code where reset_id = $1) where reset_id = $2`, [parseGlobalId(first)!.uuid, parseGlobalId(theirs)!.uuid]);
    expect(await resetVerifyCode(other, theirs, code)).toMatchObject(wrong);
    expect(await resetVerifyCode(other, theirs, code, 'SMS')).toMatchObject({ userErrors: [{ code: 'RESET_TOO_EARLY' }] });
  });
});

describe('sending codes', () => {
  it('is possible once in 60 seconds, and five times an hour for one person, also at once and over several resets', async () => {
    const { tenant, owner, id } = await reset();
    begun(await resetSendCode(owner, id));
    const waitMs = await limited(owner, id);
    expect(waitMs).toBeGreaterThan(30_000);
    expect(waitMs).toBeLessThanOrEqual(60_000);
    for (let sent = 1; sent < 4; sent += 1) {
      await age(id, '61 seconds');
      begun(await resetSendCode(owner, id));
    }
    await age(id, '61 seconds');
    const again = begun(await resetBegin(owner, tenant.id)).id;
    const answers = await Promise.all(Array.from({ length: 6 }, () => owner.send(mutationOf('resetSendCode'), { input: { resetId: again, channel: 'EMAIL' } })));
    expect(answers.filter(({ errors }) => errors === undefined)).toHaveLength(1);
    expect(mail.received.filter(({ to }) => to === owner.email)).toHaveLength(5);
    await age(again, '61 seconds');
    expect(await limited(owner, again)).toBeGreaterThan(50 * 60_000);
    await age(id, '1 hour');
    begun(await resetSendCode(owner, again));
  });

  it('is possible twenty times an hour in one workspace', async () => {
    const { tenant, owner, id } = await reset();
    const uuid = parseGlobalId(tenant.id)!.uuid;
    await sql(
      `insert into reset_code (id, reset_id, tenant_id, actor_id, channel, sent_at, expires_at)
       select gen_random_uuid(), $1, $2, 'account:' || n, 'SMS', clock_timestamp() - interval '30 minutes', clock_timestamp() from generate_series(1, 19) n`,
      [parseGlobalId(id)!.uuid, uuid],
    );
    const others = await Promise.all([1, 2, 3].map(() => createTestMember(app, admin, tenant.id, 'ADMIN')));
    const resets = await Promise.all(others.map(async (other) => begun(await resetBegin(other, tenant.id)).id));
    const answers = await Promise.all(others.map((other, n) => other.send(mutationOf('resetSendCode'), { input: { resetId: resets[n], channel: 'EMAIL' } })));
    expect(answers.filter(({ errors }) => errors === undefined)).toHaveLength(1);
    expect(await limited(owner, id)).toBeGreaterThan(20 * 60_000);
    const elsewhere = await reset();
    begun(await resetSendCode(elsewhere.owner, elsewhere.id));
  });

  it('is told when it fails, and holds nobody up then', async () => {
    const { owner, id } = await reset();
    mail.refusal = 'No such mailbox';
    const failed = await resetSendCode(owner, id);
    mail.refusal = null;
    expect(failed).toMatchObject({ reset: null, userErrors: [{ code: 'RESET_CODE_UNDELIVERED', message: expect.stringContaining('No such mailbox'), field: ['channel'], hint: expect.stringContaining('connection') }] });
    expect(channelOf(await readReset(owner, id), 'EMAIL')).toMatchObject({ sentAt: null, resendAt: null, error: expect.stringContaining('No such mailbox') });
    expect(begun(await resetSendCode(owner, id)).state).toBe('CODE_SENT');
    expect(channelOf(await readReset(owner, id), 'EMAIL').error).toBeNull();
    expect(begun(await resetVerifyCode(owner, id, mailedCode(mail, owner.email))).state).toBe('VERIFIED');
  });
});

describe('the channels of a reset', () => {
  it('are SMS as well, over a provider that speaks as Twilio does', async () => {
    const tenant = await workspace();
    const { owner, phone } = await phoneOwner(app, admin, tenant);
    const { id, channels } = begun(await resetBegin(owner, tenant.id));
    expect(channels.map(({ kind, maskedAddress, required, error }) => [kind, maskedAddress, required, error])).toEqual([
      ['EMAIL', 'p***@holdfast.test', false, null],
      ['SMS', `+49${'*'.repeat(phone.length - 5)}${phone.slice(-2)}`, false, null],
    ]);
    begun(await resetSendCode(owner, id, 'SMS'));
    const request = sms.at(smsPath).at(-1)!;
    expect(request.method).toBe('POST');
    expect(request.headers).toMatchObject({ authorization: `Basic ${Buffer.from(`${sid}:token-of-the-provider`).toString('base64')}`, 'content-type': 'application/x-www-form-urlencoded' });
    const form = new URLSearchParams(request.body);
    expect([form.get('To'), form.get('From')]).toEqual([phone, '+4930000000']);
    expect(form.get('Body')).toContain(tenant.name);
    expect(begun(await resetVerifyCode(owner, id, codeIn(form.get('Body')!), 'SMS')).state).toBe('VERIFIED');
  });

  it.each([
    [400, 'does not take the number'],
    [401, 'refuses the login'],
    [500, 'Answered 500'],
  ])('tell what a provider means by %s', async (status, reason) => {
    const tenant = await workspace();
    const { owner } = await phoneOwner(app, admin, tenant);
    const { id } = begun(await resetBegin(owner, tenant.id));
    sms.answers.set(smsPath, status);
    expect(await resetSendCode(owner, id, 'SMS')).toMatchObject({ reset: null, userErrors: [{ code: 'RESET_CODE_UNDELIVERED', message: expect.stringContaining(reason) }] });
    sms.answers.delete(smsPath);
  });

  it('are both needed where the policy says so', async () => {
    const tenant = await workspace();
    await setPolicy(tenant, 'BOTH');
    const { owner } = await phoneOwner(app, admin, tenant);
    const { id, channels } = begun(await resetBegin(owner, tenant.id));
    expect(channels.map(({ required }) => required)).toEqual([true, true]);
    begun(await resetSendCode(owner, id));
    expect(begun(await resetVerifyCode(owner, id, mailedCode(mail, owner.email))).state).toBe('CODE_SENT');
    expect(await resetSendCode(owner, id)).toMatchObject({ userErrors: [{ code: 'RESET_CODE_USED' }] });
    expect(await resetExecute(owner, id)).toMatchObject({ operation: null, userErrors: [{ code: 'RESET_TOO_EARLY' }] });
    begun(await resetSendCode(owner, id, 'SMS'));
    const typed = codeIn(new URLSearchParams(sms.at(smsPath).at(-1)!.body).get('Body')!);
    expect(begun(await resetVerifyCode(owner, id, typed, 'SMS')).state).toBe('VERIFIED');
  });

  it('are closed with the reason where the address is not known, or the policy wants another', async () => {
    const { tenant, owner, id } = await reset();
    expect(channelOf(await readReset(owner, id), 'SMS')).toMatchObject({ maskedAddress: null, error: 'Your phone number is not known here' });
    expect(await resetSendCode(owner, id, 'SMS')).toMatchObject({ reset: null, userErrors: [{ code: 'RESET_CHANNEL_UNAVAILABLE', message: 'Your phone number is not known here', field: ['channel'] }] });
    await setPolicy(tenant, 'SMS');
    expect(await resetSendCode(owner, id)).toMatchObject({ userErrors: [{ code: 'RESET_CHANNEL_UNAVAILABLE', message: expect.stringContaining('by SMS') }] });
  });

  it('are files for developers, and none where nothing is configured', async () => {
    const quiet: string[] = [];
    const outbox = await startTestApp({ env: { HOLDFAST_SMS_URL: 'outbox:', HOLDFAST_LOG_LEVEL: 'trace' }, onLogLine: (line) => void quiet.push(line) });
    try {
      const provider = await outbox.loginAsAdmin();
      const tenant = await workspace(provider);
      const { owner, phone } = await phoneOwner(outbox, provider, tenant);
      const { id, channels } = begun(await resetBegin(owner, tenant.id));
      expect(channels.map(({ kind, error }) => [kind, error])).toEqual([['EMAIL', 'No mail server is configured'], ['SMS', null]]);
      begun(await resetSendCode(owner, id, 'SMS'));
      const folder = join(outbox.config.dataDir, 'outbox');
      const [file, ...more] = await readdir(folder);
      expect(more).toEqual([]);
      expect((await stat(join(folder, file!))).mode & 0o777).toBe(0o600);
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
      const text = await readFile(join(folder, file!), 'utf8');
      expect(text).toContain(`To: ${phone}`);
      const code = codeIn(text);
      expect(begun(await resetVerifyCode(owner, id, code, 'SMS')).state).toBe('VERIFIED');
      expect(quiet.filter((line) => new RegExp(`(?<!\\d)${code}(?!\\d)`).test(line))).toEqual([]);
    } finally {
      await outbox.stop();
    }
  });
});
