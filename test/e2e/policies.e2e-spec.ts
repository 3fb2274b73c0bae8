import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { backupCreate, ended, idOf, planCreate, seedShop, takeBackup, type UserErrorAnswer, withDatabase } from '../support/backup-calls.ts';
import { smallPayload } from '../support/archives.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { storedFiles } from '../support/store-faults.ts';
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

async function workspace(): Promise<{ readonly tenant: TestTenant; readonly owner: GraphqlClient & { readonly email: string } }> {
  const tenant = await createTestTenant(admin);
  await withDatabase(tenant, (db) => seedShop(db, 20));
  return { tenant, owner: await createTestMember(app, admin, tenant.id, 'OWNER') };
}

async function update(client: GraphqlClient, tenantId: string, input: object): Promise<readonly UserErrorAnswer[]> {
  const { tenantPolicyUpdate } = await client.run<{ tenantPolicyUpdate: { userErrors: UserErrorAnswer[] } }>(
    'mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { tenant { id } userErrors { code message field hint } } }',
    { input: { tenantId, ...input } },
  );
  return tenantPolicyUpdate.userErrors;
}

const codes = (errors: readonly UserErrorAnswer[]): string[] => errors.map(({ code }) => code);

async function userErrors(client: GraphqlClient, field: string, input: object): Promise<string[]> {
  const answer = await client.run<Record<string, { userErrors: UserErrorAnswer[] }>>(
    `mutation ($input: ${field.charAt(0).toUpperCase()}${field.slice(1)}Input!) { ${field}(input: $input) { userErrors { code message field hint } } }`,
    { input },
  );
  return codes(answer[field]?.userErrors ?? []);
}

interface Policy {
  readonly preset: string | null;
  readonly encryption: string;
  readonly allowDownload: boolean;
  readonly pageSize: number;
  readonly retention: { readonly mode: string; readonly days: number | null };
}

async function read(client: GraphqlClient, id: string): Promise<Policy> {
  return (await client.run<{ tenant: { policy: Policy } }>('query ($id: ID!) { tenant(id: $id) { policy { preset encryption allowDownload pageSize retention { mode days } } } }', { id })).tenant.policy;
}

interface Change {
  readonly key: string;
  readonly oldValue: string;
  readonly newValue: string;
  readonly by: { readonly email: string };
}

async function changes(client: GraphqlClient, id: string): Promise<Change[]> {
  const answer = await client.run<{ tenant: { policyChanges: { edges: { node: Change }[] } } }>(
    'query ($id: ID!) { tenant(id: $id) { policyChanges(first: 100) { edges { node { key oldValue newValue by { email } } } } } }',
    { id },
  );
  return answer.tenant.policyChanges.edges.map(({ node }) => node);
}

describe('a policy', () => {
  it('allows everything until somebody changes it', async () => {
    const { tenant, owner } = await workspace();
    expect(await read(owner, tenant.id)).toEqual({ preset: null, encryption: 'REQUIRED', allowDownload: true, pageSize: 50, retention: { mode: 'BY_FREQUENCY', days: null } });
  });

  it('takes a preset, and tells who changed what', async () => {
    const { tenant, owner } = await workspace();
    expect(await update(admin, tenant.id, { preset: 'ASSET' })).toEqual([]);
    expect(await read(owner, tenant.id)).toEqual({ preset: 'ASSET', encryption: 'OFF', allowDownload: true, pageSize: 10, retention: { mode: 'AGE', days: 30 } });
    expect(await update(owner, tenant.id, { retention: { mode: 'AGE', days: 60 } })).toEqual([]);
    const [last, ...earlier] = await changes(owner, tenant.id);
    expect(last).toMatchObject({ key: 'retention', by: { email: owner.email } });
    expect([JSON.parse(last?.oldValue ?? ''), JSON.parse(last?.newValue ?? '')]).toMatchObject([{ mode: 'AGE', days: 30 }, { mode: 'AGE', days: 60 }]);
    expect(earlier.map(({ key }) => key)).toEqual(expect.arrayContaining(['preset', 'encryption']));
    expect(await update(admin, tenant.id, { preset: null })).toEqual([]);
    expect(await read(owner, tenant.id)).toMatchObject({ encryption: 'REQUIRED', retention: { mode: 'BY_FREQUENCY', days: null } });
  });

  it('says what the files of backups are called', async () => {
    const { tenant, owner } = await workspace();
    expect(await update(admin, tenant.id, { preset: 'ASSET' })).toEqual([]);
    const backup = await takeBackup(owner, tenant.id);
    expect(backup.fileName).toMatch(new RegExp(`^backup_${tenant.database}_\\d{8}_\\d{6}\\.gz$`));
    const { downloadCreate } = await owner.run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId: backup.id } });
    const file = await fetch(`${app.url}${new URL(downloadCreate.url).pathname}`);
    expect(file.headers.get('content-disposition')).toBe(`attachment; filename="${backup.fileName}"`);
    await file.arrayBuffer();
    const stem = backup.fileName!.replace('.gz', '');
    expect((await storedFiles(app)).filter((path) => path.includes(`/db-backups/${stem}_`))).toEqual([expect.stringMatching(/_[0-9a-f]{8}\.gz$/), expect.stringMatching(/_[0-9a-f]{8}\.gz\.manifest\.json\.gz$/)]);

    expect(await update(admin, tenant.id, { fileNameTemplate: '{workspace}-{label}-{yyyyMMdd_HHmmss}' })).toEqual([]);
    expect((await takeBackup(owner, tenant.id)).fileName).toMatch(new RegExp(`^${tenant.slug}-manual-\\d{8}_\\d{6}\\.gz$`));
    expect(codes(await update(owner, tenant.id, { fileNameTemplate: '{yyyyMMdd_HHmmss}' }))).toEqual(['POLICY_PROVIDER_ONLY']);
    for (const template of ['../{yyyyMMdd_HHmmss}', '{label}', '{secret}_{yyyyMMdd_HHmmss}']) await expect(update(admin, tenant.id, { fileNameTemplate: template })).rejects.toThrow(/fileNameTemplate/);
  });

  it('refuses what it cannot keep or what is not the tenant\'s to set, and changes nothing then', async () => {
    const { tenant, owner } = await workspace();
    expect(codes(await update(owner, tenant.id, { pageSize: 20, allowDownload: false }))).toEqual(['POLICY_PROVIDER_ONLY']);
    expect(codes(await update(owner, tenant.id, { preset: 'SCHOOL' }))).toEqual(['POLICY_PROVIDER_ONLY']);
    expect(codes(await update(owner, tenant.id, { encryption: 'OFF' }))).toEqual(['POLICY_PROVIDER_ONLY']);
    await expect(update(owner, tenant.id, { retention: { mode: 'AGE', days: 366 } })).rejects.toThrow(/days/);
    await expect(update(owner, tenant.id, { retention: { mode: 'COUNT' } })).rejects.toThrow(/count/);
    expect(await changes(owner, tenant.id)).toEqual([]);
    expect((await read(owner, tenant.id)).pageSize).toBe(50);
  });
});

describe('what a policy switches off', () => {
  it('is refused to members, greyed out for them, and left to the provider', async () => {
    const { tenant, owner } = await workspace();
    const backup = await takeBackup(owner, tenant.id);
    const other = await takeBackup(owner, tenant.id);
    expect(await update(admin, tenant.id, { allowDownload: false, selfServiceDelete: false, partialBackups: false, partialRestores: false })).toEqual([]);

    expect(await userErrors(owner, 'downloadCreate', { backupId: backup.id, variant: 'ARCHIVE' })).toEqual(['POLICY_FORBIDS']);
    expect(await userErrors(owner, 'backupDelete', { backupId: backup.id })).toEqual(['POLICY_FORBIDS']);
    expect(codes((await backupCreate(owner, tenant.id, { scope: 'MASTER' })).userErrors)).toEqual(['POLICY_FORBIDS']);
    expect(codes((await planCreate(owner, tenant.id, backup.id, { collections: ['orders'] })).userErrors)).toEqual(['POLICY_FORBIDS']);
    expect((await planCreate(owner, tenant.id, backup.id)).userErrors).toEqual([]);

    const actions = 'actions { permission allowed reason }';
    const shown = async (client: GraphqlClient) => {
      type Actions = { actions: { permission: string; allowed: boolean }[] };
      const answer = await client.run<{ backup: Actions; tenant: Actions }>(`query ($id: ID!, $tenant: ID!) { backup(id: $id) { ${actions} } tenant(id: $tenant) { ${actions} } }`, { id: backup.id, tenant: tenant.id });
      return [answer.backup, answer.tenant].map((one) => one.actions.filter(({ permission }) => ['BACKUP_DOWNLOAD', 'BACKUP_DELETE'].includes(permission)).map(({ allowed }) => allowed));
    };
    expect(await shown(owner)).toEqual([[false, false], [false, false]]);
    expect(await shown(admin)).toEqual([[true, true], [true, true]]);

    expect(await userErrors(admin, 'downloadCreate', { backupId: other.id, variant: 'ARCHIVE' })).toEqual([]);
    expect(await userErrors(admin, 'backupDelete', { backupId: backup.id })).toEqual([]);
    expect((await ended(owner, idOf(await backupCreate(owner, tenant.id)))).state).toBe('COMPLETED');
  });

  it('keeps files of other kinds out by their bytes, whatever their names say', async () => {
    const { tenant, owner } = await workspace();
    const dump = gzipSync(smallPayload().payload);
    expect(await update(admin, tenant.id, { uploadFormats: ['HOLDFAST'] })).toEqual([]);
    expect(codes((await uploadFile(owner, tenant.id, 'shop.gz.enc', dump)).userErrors)).toEqual(['POLICY_FORBIDS']);
    expect(await update(admin, tenant.id, { uploadFormats: ['COMPRESSED_DUMP'] })).toEqual([]);
    expect((await uploadFile(owner, tenant.id, 'shop.gz.enc', dump)).userErrors).toEqual([]);
  });
});
