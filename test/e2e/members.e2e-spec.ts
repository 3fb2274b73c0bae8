import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestMember, createTestTenant, startTestApp, type TestApp } from '../support/app.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';

let app: TestApp;
let admin: GraphqlClient;
beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(() => app.stop());

interface Payload {
  readonly member: { id: string; role: string } | null;
  readonly userErrors: readonly { code: string }[];
}

const invite = async (client: GraphqlClient, input: Record<string, unknown>) =>
  (await client.run<{ memberInvite: Payload }>('mutation ($input: MemberInviteInput!) { memberInvite(input: $input) { member { id role } userErrors { code } } }', { input })).memberInvite;
const setRole = async (client: GraphqlClient, memberId: string | undefined, role: string) =>
  (await client.run<{ memberSetRole: Payload }>('mutation ($input: MemberSetRoleInput!) { memberSetRole(input: $input) { member { id role } userErrors { code } } }', { input: { memberId, role } })).memberSetRole;
const remove = async (client: GraphqlClient, memberId: string | undefined) =>
  (await client.run<{ memberRemove: Payload }>('mutation ($input: MemberRemoveInput!) { memberRemove(input: $input) { member { id role } userErrors { code } } }', { input: { memberId } })).memberRemove;

describe('members', () => {
  it('are invited once, whatever the case of the address', async () => {
    const { id: tenantId } = await createTestTenant(admin);
    expect((await invite(admin, { tenantId, email: 'ann@holdfast.test', role: 'VIEWER' })).member).toMatchObject({ role: 'VIEWER' });
    expect((await invite(admin, { tenantId, email: 'Ann@Holdfast.test', role: 'OWNER' })).userErrors).toEqual([{ code: 'MEMBER_EXISTS' }]);
  });

  it('keep at least one owner', async () => {
    const { id: tenantId } = await createTestTenant(admin);
    const first = await invite(admin, { tenantId, email: 'first@holdfast.test', role: 'OWNER' });
    expect((await remove(admin, first.member?.id)).userErrors).toEqual([{ code: 'LAST_OWNER' }]);
    expect((await setRole(admin, first.member?.id, 'ADMIN')).userErrors).toEqual([{ code: 'LAST_OWNER' }]);
    const second = await invite(admin, { tenantId, email: 'second@holdfast.test', role: 'OWNER' });
    const outcomes = await Promise.all([remove(admin, first.member?.id), remove(admin, second.member?.id)]);
    expect(outcomes.flatMap(({ userErrors }) => userErrors)).toEqual([{ code: 'LAST_OWNER' }]);
  });

  it('cannot rise or reach above their own role', async () => {
    const { id: tenantId } = await createTestTenant(admin);
    const owner = await invite(admin, { tenantId, email: 'owner@holdfast.test', role: 'OWNER' });
    const administrator = await createTestMember(app, admin, tenantId, 'ADMIN');
    await expect(invite(administrator, { tenantId, email: 'crony@holdfast.test', role: 'OWNER' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(remove(administrator, owner.member?.id)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(setRole(administrator, owner.member?.id, 'VIEWER')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect((await invite(administrator, { tenantId, email: 'peer@holdfast.test', role: 'ADMIN' })).userErrors).toEqual([]);
  });

  it("do not bring an account along whose password another tenant's members chose", async () => {
    const [mine, theirs] = [await createTestTenant(admin), await createTestTenant(admin)];
    const [myOwner, theirOwner] = [await createTestMember(app, admin, mine.id, 'OWNER'), await createTestMember(app, admin, theirs.id, 'OWNER')];
    await invite(myOwner, { tenantId: mine.id, email: 'eve@holdfast.test', role: 'VIEWER', password: 'chosen by an attacker' });
    expect((await invite(theirOwner, { tenantId: theirs.id, email: 'eve@holdfast.test', role: 'OWNER' })).userErrors).toEqual([{ code: 'ACCOUNT_ELSEWHERE' }]);
    expect((await invite(theirOwner, { tenantId: theirs.id, email: 'eve@holdfast.test', role: 'OWNER', password: 'a password of theirs' })).userErrors).toEqual([{ code: 'ACCOUNT_ELSEWHERE' }]);

    const eve = await app.login('eve@holdfast.test', 'chosen by an attacker');
    expect((await invite(admin, { tenantId: theirs.id, email: 'eve@holdfast.test', role: 'OWNER' })).userErrors).toEqual([{ code: 'ACCOUNT_ELSEWHERE' }]);
    expect((await invite(admin, { tenantId: theirs.id, email: 'eve@holdfast.test', role: 'OWNER', password: 'chosen by the provider' })).userErrors).toEqual([]);
    expect(await eve.codeOf('{ viewer { email } }')).toBe('UNAUTHENTICATED');
    await expect(app.login('eve@holdfast.test', 'chosen by an attacker')).rejects.toThrow();
    const realEve = await app.login('eve@holdfast.test', 'chosen by the provider');
    expect(JSON.stringify(await realEve.run('{ tenants { edges { node { id } } } }'))).toContain(theirs.id);

    await invite(theirOwner, { tenantId: theirs.id, email: 'dan@holdfast.test', role: 'OWNER' });
    await invite(myOwner, { tenantId: mine.id, email: 'dan@holdfast.test', role: 'VIEWER', password: 'chosen by an attacker' });
    const dan = await app.login('dan@holdfast.test', 'chosen by an attacker');
    expect(await dan.run('{ tenants { edges { node { id } } } }')).toEqual({ tenants: { edges: [{ node: { id: mine.id } }] } });
  });

  it('who have forgotten their password get another one from the provider alone', async () => {
    const { id: tenantId } = await createTestTenant(admin);
    const owner = await createTestMember(app, admin, tenantId, 'OWNER');
    const email = 'forgetful@holdfast.test';
    const { member } = await invite(owner, { tenantId, email, role: 'VIEWER', password: 'chosen by the owner' });
    const setPassword = async (client: GraphqlClient, memberId: string | undefined, password: string): Promise<readonly { code: string }[]> =>
      (await client.run<{ memberSetPassword: Payload }>('mutation ($input: MemberSetPasswordInput!) { memberSetPassword(input: $input) { member { id role } userErrors { code } } }', { input: { memberId, password } })).memberSetPassword.userErrors;
    const before = await app.login(email, 'chosen by the owner');
    await expect(setPassword(owner, member?.id, 'another of the owner')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await setPassword(admin, member?.id, 'short')).toEqual([{ code: 'PASSWORD_TOO_WEAK' }]);
    expect(await setPassword(admin, member?.id, 'chosen by the provider')).toEqual([]);
    expect(await before.codeOf('{ viewer { email } }')).toBe('UNAUTHENTICATED');
    await expect(app.login(email, 'chosen by the owner')).rejects.toThrow();
    expect(await (await app.login(email, 'chosen by the provider')).run('{ viewer { email } }')).toEqual({ viewer: { email } });

    const passwordless = await invite(admin, { tenantId, email: 'of-the-product@holdfast.test', role: 'VIEWER' });
    expect(await setPassword(admin, passwordless.member?.id, 'chosen by the provider')).toEqual([{ code: 'ACCOUNT_MISSING' }]);
    const { viewer } = await admin.run<{ viewer: { email: string } }>('{ viewer { email } }');
    const provider = await invite(admin, { tenantId, email: viewer.email, role: 'VIEWER' });
    await expect(setPassword(admin, provider.member?.id, 'chosen by the provider')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const { tenant: { auditEvents } } = await admin.run<{ tenant: { auditEvents: { edges: unknown[] } } }>('query ($id: ID) { tenant(id: $id) { auditEvents(filter: { action: "member.password-set" }) { edges { node { action } } } } }', { id: tenantId });
    expect(auditEvents.edges).toHaveLength(1);
  });

  it('get no account with a weak password', async () => {
    const { id: tenantId } = await createTestTenant(admin);
    for (const password of ['short', 'weak@holdfast.test', 'aaaaaaaaaaaaaaa']) {
      expect((await invite(admin, { tenantId, email: 'weak@holdfast.test', role: 'VIEWER', password })).userErrors).toEqual([{ code: 'PASSWORD_TOO_WEAK' }]);
    }
  });
});
