import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { parseMongodump } from '../../libs/archive/index.ts';
import { run as runAdmin } from '../../src/admin/run.ts';
import { CopyTicks } from '../../src/destinations/copy-ticks.ts';
import { parseGlobalId } from '../../src/platform/graphql/global-id.ts';
import { createTestMember, createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import {
  type BackupAnswer, backupCreate, compare, ended, idOf, makePlan, type OperationAnswer, planCreate, readBackup, restore, restoreStart, restoreUndo, seedShop, takeBackup, type UserErrorAnswer, withDatabase,
} from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { hashes } from '../support/restore-fixture.ts';
import { runFolder, testDatabaseUrl } from '../support/servers.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';

let app: TestApp;
let admin: GraphqlClient;

beforeAll(async () => {
  app = await startTestApp();
  admin = await app.loginAsAdmin();
});
afterAll(async () => {
  await app?.stop();
});

interface PolicyAnswer {
  readonly warnings: readonly string[] | null;
  readonly userErrors: readonly UserErrorAnswer[];
}

async function setEncryption(tenantId: string, encryption: string, client = admin): Promise<PolicyAnswer> {
  const { tenantPolicyUpdate } = await client.run<{ tenantPolicyUpdate: PolicyAnswer }>(
    'mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { warnings userErrors { code message field hint } } }',
    { input: { tenantId, encryption } },
  );
  return tenantPolicyUpdate;
}

async function shop(encryption = 'OFF', client = admin): Promise<TestTenant> {
  const tenant = await createTestTenant(client);
  await withDatabase(tenant, (db) => seedShop(db, 300));
  expect((await setEncryption(tenant.id, encryption, client)).userErrors).toEqual([]);
  return tenant;
}

const encryptionOf = async (client: GraphqlClient, id: string) =>
  (await client.run<{ tenant: { encryption: { state: string; banner: string | null; keyId: string | null } } }>('query ($id: ID!) { tenant(id: $id) { encryption { state banner keyId } } }', { id })).tenant.encryption;

const pathsOf = async ({ id }: BackupAnswer, of = app): Promise<string[]> => {
  const short = (parseGlobalId(id)?.uuid ?? '?').slice(0, 8);
  return (await storedFiles(of)).filter((path) => path.includes(short)).map((path) => join(storeFolder(of), path));
};

async function spoil(path: string): Promise<() => Promise<void>> {
  const whole = await readFile(path);
  const damaged = Buffer.from(whole);
  damaged[damaged.length >> 1]! ^= 1;
  await writeFile(path, damaged);
  return () => writeFile(path, whole);
}

async function mutate(field: string, input: object, of = admin): Promise<OperationAnswer> {
  const answer = await of.run<Record<string, { operation: { id: string } | null; userErrors: UserErrorAnswer[] }>>(
    `mutation ($input: ${field.charAt(0).toUpperCase()}${field.slice(1)}Input!) { ${field}(input: $input) { operation { id } userErrors { code message } } }`,
    { input },
  );
  return ended(of, idOf({ ...answer[field]!, operation: answer[field]!.operation }));
}

async function download(backupId: string, variant: string): Promise<Response> {
  const { downloadCreate } = await admin.run<{ downloadCreate: { url: string } }>('mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url } }', { input: { backupId, variant } });
  return fetch(`${app.url}${new URL(downloadCreate.url).pathname}`);
}

const restoreWith = async (tenant: TestTenant, backupId: string, input: object): Promise<OperationAnswer> => {
  const plan = await makePlan(admin, tenant.id, backupId, { ...input });
  return ended(admin, idOf(await restoreStart(admin, plan.id, plan.confirmName)));
};

describe('with encryption OFF', () => {
  it('a backup is a mongodump archive and nothing else, in each codec, and says that it is not encrypted', async () => {
    const tenant = await shop();
    expect(await encryptionOf(admin, tenant.id)).toEqual({ state: 'OFF', banner: null, keyId: null });
    const backup = await takeBackup(admin, tenant.id);
    expect(backup).toMatchObject({ encrypted: false, keyId: null, consistency: expect.any(String), verification: { ok: true } });
    expect(backup.fileName).toMatch(/\.gz$/);
    const [path, manifest, ...others] = await pathsOf(backup);
    expect([path, manifest, others]).toEqual([expect.stringMatching(/\.gz$/), `${path}.manifest.json.gz`, []]);
    const file = await readFile(path!);
    const found = new Map<string, number>();
    for await (const event of parseMongodump([gunzipSync(file)] as unknown as AsyncIterable<Buffer>)) if (event.type === 'end') found.set(event.namespace.meta.collection, event.documents);
    expect([...found].sort()).toEqual(backup.contents.map(({ name, documents }) => [name, Number(documents)]).sort());
    for (const variant of ['ARCHIVE', 'DECRYPTED']) {
      const answer = await download(backup.id, variant);
      expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="${backup.fileName}"`);
      expect(Buffer.from(await answer.arrayBuffer()).equals(file)).toBe(true);
    }
    for (const [codec, suffix] of [['ZSTD', '.zst'], ['NONE', '.archive']]) {
      const other = await takeBackup(admin, tenant.id, { codec });
      expect(other).toMatchObject({ encrypted: false, codec, documents: backup.documents });
      expect(other.fileName?.endsWith(suffix!)).toBe(true);
      expect((await compare(admin, backup.id, other.id, { collection: 'orders' })).collections.map(({ change }) => change)).toEqual(backup.contents.map(() => 'SAME'));
    }
  }, 120_000);

  it('is restored by mongorestore', async () => {
    const folders = [process.env['MONGO_TOOLS_DIR'] ?? '', ...(process.env['PATH'] ?? '').split(delimiter)].filter((folder) => folder !== '');
    const mongorestore = folders.map((folder) => join(folder, 'mongorestore')).find((path) => existsSync(path));
    if (mongorestore === undefined) {
      process.stdout.write('skipped: mongorestore was not found on PATH or in MONGO_TOOLS_DIR\n');
      return;
    }
    const [tenant, target] = [await shop(), await createTestTenant(admin)];
    const [path] = await pathsOf(await takeBackup(admin, tenant.id));
    await promisify(execFile)(mongorestore, ['--uri', target.uri, `--archive=${path}`, '--gzip', '--quiet', `--nsFrom=${tenant.database}.*`, `--nsTo=${target.database}.*`], { cwd: runFolder() });
    expect(await withDatabase(target, hashes)).toEqual(await withDatabase(tenant, hashes));
  });

  it('is restored whole, in part and by a merge, drilled and undone', async () => {
    const tenant = await shop();
    const before = await withDatabase(tenant, hashes);
    const backup = await takeBackup(admin, tenant.id);
    await withDatabase(tenant, async (db) => {
      await db.collection('orders').deleteMany({});
      await db.collection('customers').drop();
    });
    const spoiled = await withDatabase(tenant, hashes);

    const whole = await restore(admin, tenant.id, backup.id);
    expect(whole).toMatchObject({ state: 'COMPLETED', safetyBackup: { encrypted: false, fileName: expect.stringMatching(/^safety_.*\.zst$/) } });
    expect(await withDatabase(tenant, hashes)).toEqual(before);
    expect(await ended(admin, idOf(await restoreUndo(admin, whole.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(tenant, hashes)).toEqual(spoiled);

    const part = await restoreWith(tenant, backup.id, { collections: ['customers'] });
    expect(part).toMatchObject({ state: 'COMPLETED', result: { bytesRead: backup.size } });
    expect(await withDatabase(tenant, hashes)).toEqual({ ...spoiled, customers: before['customers'] });
    // Its safety backup is of a part, and takes the place of that part alone.
    expect(await ended(admin, idOf(await restoreUndo(admin, part.id, tenant.name)))).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(tenant, hashes)).toEqual(spoiled);

    expect(await restoreWith(tenant, backup.id, { mode: 'MERGE', collections: ['orders', 'customers'] })).toMatchObject({ state: 'COMPLETED' });
    expect(await withDatabase(tenant, hashes)).toEqual(before);
    expect(await mutate('drillRun', { tenantId: tenant.id, backupId: backup.id })).toMatchObject({ state: 'COMPLETED' });
  }, 180_000);

  it('is refused when it or its manifest is damaged, wherever it is read', async () => {
    const tenant = await shop();
    const before = await withDatabase(tenant, hashes);
    const backup = await takeBackup(admin, tenant.id);
    const plan = await makePlan(admin, tenant.id, backup.id);
    const part = await makePlan(admin, tenant.id, backup.id, { collections: ['log'] });
    const verify = () => mutate('backupVerify', { backupId: backup.id });
    expect(await verify()).toMatchObject({ result: { ok: true } });
    for (const path of await pathsOf(backup)) {
      const mend = await spoil(path);
      const checks = (await makePlan(admin, tenant.id, backup.id, { fullRead: true })).checks;
      expect(checks.find(({ key }) => key === 'integrity')).toMatchObject({ ok: false, blocking: true });
      expect(await verify()).toMatchObject({ state: 'COMPLETED', result: { ok: false, code: expect.stringMatching(/^ARCHIVE_/) } });
      await mend();
    }
    const mend = await spoil((await pathsOf(backup))[0]!);
    for (const { id, confirmName } of [plan, part]) {
      expect(await ended(admin, idOf(await restoreStart(admin, id, confirmName)))).toMatchObject({ state: 'FAILED', phase: 'VERIFY', failure: { code: expect.stringMatching(/^ARCHIVE_/) } });
    }
    expect(await mutate('drillRun', { tenantId: tenant.id, backupId: backup.id })).toMatchObject({ state: 'FAILED', failure: { code: expect.stringMatching(/^ARCHIVE_/) } });
    await mend();
    expect(await verify()).toMatchObject({ result: { ok: true } });
    expect(await withDatabase(tenant, hashes)).toEqual(before);
  }, 180_000);

  it('is deleted with its manifest, and encrypted with the current key when the policy wants that and it is asked for', async () => {
    const tenant = await shop();
    const [first, second] = [await takeBackup(admin, tenant.id), await takeBackup(admin, tenant.id)];
    expect((await pathsOf(first)).length).toBe(2);
    await admin.run('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId: first.id } });
    expect([await pathsOf(first), await readBackup(admin, first.id)]).toEqual([[], expect.objectContaining({ state: 'DELETED' })]);

    const before = await withDatabase(tenant, hashes);
    const reencrypted = async () => {
      const { id } = await mutate('keyReencrypt', { tenantId: tenant.id });
      return (await admin.run<{ operation: { result: object } }>('query ($id: ID!) { operation(id: $id) { result { ... on ReencryptResult { reencrypted inUse plain } } } }', { id })).operation.result;
    };
    expect(await reencrypted()).toEqual({ reencrypted: 0, inUse: 0, plain: 1 });
    expect((await setEncryption(tenant.id, 'REQUIRED')).userErrors).toEqual([]);
    expect(await readBackup(admin, second.id)).toMatchObject({ encrypted: false, state: 'COMPLETED' });
    expect(await reencrypted()).toEqual({ reencrypted: 1, inUse: 0, plain: 0 });
    expect(await readBackup(admin, second.id)).toMatchObject({ encrypted: true, keyId: expect.any(String), fileName: expect.stringMatching(/\.gz\.enc$/) });
    expect(await pathsOf(second)).toEqual([expect.stringMatching(/\.gz\.enc$/)]);
    await withDatabase(tenant, (db) => db.collection('orders').deleteMany({}));
    expect(await restore(admin, tenant.id, second.id)).toMatchObject({ state: 'COMPLETED', safetyBackup: { encrypted: true } });
    expect(await withDatabase(tenant, hashes)).toEqual(before);
  }, 120_000);

  it('alone in a workspace is encrypted by the command for all of them where the policy wants it, and else counted', async () => {
    const app = await startTestApp();
    try {
      const client = await app.loginAsAdmin();
      const tenant = await shop('OFF', client);
      const backup = await takeBackup(client, tenant.id);
      const reencrypt = async (): Promise<string[]> => {
        const lines: string[] = [];
        expect(await runAdmin(['reencrypt', '--wait'], () => app.config, { print: (line) => lines.push(line), complain: (line) => lines.push(line) })).toBe(0);
        return lines;
      };
      expect(await reencrypt()).toEqual([expect.stringMatching(/^1 archives are not encrypted and stay so/), 'Every other archive has the current key']);
      await client.run('mutation ($input: TenantPolicyUpdateInput!) { tenantPolicyUpdate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, encryption: 'REQUIRED' } });
      expect(await reencrypt()).toEqual([expect.stringMatching(/^Started /), expect.stringMatching(/: COMPLETED$/)]);
      expect(await readBackup(client, backup.id)).toMatchObject({ encrypted: true, keyId: expect.any(String) });
      expect(await reencrypt()).toEqual(['Every archive has the current key']);
    } finally {
      await app.stop();
    }
  }, 60_000);

  it('is found again from the store alone, and both of its files are one to reconcile', async () => {
    const databaseUrl = await testDatabaseUrl();
    const first = await startTestApp({ databaseUrl });
    const dataDir = first.config.dataDir;
    const client = await first.loginAsAdmin();
    const tenant = await shop('OFF', client);
    const backup = await takeBackup(client, tenant.id, { codec: 'ZSTD', scope: 'MASTER' });
    const whole = await takeBackup(client, tenant.id);
    const command = async (of: TestApp, ...args: string[]) => {
      const lines: string[] = [];
      await runAdmin(args, () => of.config, { print: (line) => lines.push(line), complain: (line) => lines.push(line) });
      return lines;
    };
    const agreed = ['The store and the catalogue agree'];
    expect(await command(first, 'reconcile')).toEqual(agreed);
    const [path, manifest] = await pathsOf(whole, first);
    const bytes = await readFile(manifest!);
    await rm(manifest!);
    expect((await command(first, 'reconcile', '--repair'))[0]).toMatch(/^MISSING /);
    expect(await readBackup(client, whole.id)).toMatchObject({ state: 'MISSING' });
    await writeFile(manifest!, bytes);
    expect((await command(first, 'reconcile', '--repair'))[0]).toMatch(/^FOUND /);
    const archive = await readFile(path!);
    await rm(path!);
    await first.nest.get(DataSource).query('delete from backup where file_name = $1', [whole.fileName]);
    expect((await command(first, 'reconcile'))[0]).toMatch(/^UNKNOWN .*manifest/);
    await writeFile(path!, archive);
    await first.stop();

    const second = await startTestApp({ databaseUrl: await testDatabaseUrl(), env: { HOLDFAST_DATA_DIR: dataDir } });
    try {
      const owner = await second.loginAsAdmin();
      expect((await command(second, 'rebuild')).at(-1)).toBe(agreed[0]);
      for (const known of [backup, whole]) {
        const facts = ({ label, trigger, state, size, documents, encrypted, codec, consistency, contents, fileName }: BackupAnswer) => ({ label, trigger, state, size, documents, encrypted, codec, consistency, contents, fileName });
        expect(facts(await readBackup(owner, known.id))).toEqual(facts(known));
      }
      expect(await command(second, 'reconcile')).toEqual(agreed);
      expect((await owner.run<{ tenant: { name: string } }>('query ($slug: String!) { tenant(slug: $slug) { name } }', { slug: tenant.slug })).tenant.name).toBe(tenant.name);
    } finally {
      await second.stop();
    }
  }, 120_000);
});

describe('a copy of an archive without encryption', () => {
  it('takes the manifest along, heals either file, is not made of a damaged archive, and goes with the backup', async () => {
    const folder = join(runFolder(), `plain-copies-${randomBytes(4).toString('hex')}`);
    const other = await startTestApp({ env: { HOLDFAST_STORES: JSON.stringify({ second: { url: pathToFileURL(folder).href } }) } });
    try {
      const client = await other.loginAsAdmin();
      const tenant = await shop('OFF', client);
      const [good, bad] = [await takeBackup(client, tenant.id), await takeBackup(client, tenant.id)];
      await spoil((await pathsOf(bad, other))[0]!);
      await client.run('mutation ($input: DestinationCreateInput!) { destinationCreate(input: $input) { userErrors { code } } }', { input: { tenantId: tenant.id, store: 'second' } });
      await other.nest.get(CopyTicks, { strict: false }).tick();
      const { tenant: shown } = await client.run<{ tenant: { operations: { edges: { node: { id: string } }[] } } }>('query ($id: ID!) { tenant(id: $id) { operations(first: 1, filter: { kinds: [COPY] }) { edges { node { id } } } } }', { id: tenant.id });
      await ended(client, shown.operations.edges[0]?.node.id ?? '');
      const copiesOf = async ({ id }: BackupAnswer) => (await client.run<{ backup: { copies: object[] } }>('query ($id: ID!) { backup(id: $id) { copies { state failure { code } } } }', { id })).backup.copies;
      expect(await copiesOf(good)).toEqual([{ state: 'GOOD', failure: null }]);
      expect(await copiesOf(bad)).toEqual([{ state: 'FAILED', failure: { code: 'ARCHIVE_REPLACED' } }]);

      const files = await pathsOf(good, other);
      const copied = (path: string): string => join(folder, path.slice(storeFolder(other).length + 1));
      for (const path of files) {
        const whole = await readFile(path);
        expect((await readFile(copied(path))).equals(whole)).toBe(true);
        await spoil(path);
        expect(await mutate('backupVerify', { backupId: good.id }, client)).toMatchObject({ state: 'COMPLETED', result: { ok: true } });
        expect((await readFile(path)).equals(whole)).toBe(true);
      }
      await spoil(copied(files[1]!));
      await mutate('backupVerify', { backupId: good.id }, client);
      expect(await copiesOf(good)).toEqual([{ state: 'MISSING', failure: null }]);
      await client.run('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId: good.id } });
      expect(await readBackup(client, good.id)).toMatchObject({ state: 'DELETED' });
      expect(files.map(copied).filter((path) => existsSync(path))).toEqual([]);
    } finally {
      await other.stop();
    }
  }, 120_000);
});

describe('without a key', () => {
  it('REQUIRED starts nothing, OPTIONAL writes plaintext and says so, OFF needs none; with the key OPTIONAL encrypts', async () => {
    const databaseUrl = await testDatabaseUrl();
    const bare = await startTestApp({ databaseUrl, env: { BACKUP_ENCRYPTION_KEY: '' } });
    const dataDir = bare.config.dataDir;
    let optional: TestTenant;
    let before: Record<string, string>;
    const readiness = async (): Promise<unknown> => ((await (await fetch(`${bare.url}/readyz`)).json()) as { checks: Record<string, unknown> }).checks['encryption'];
    try {
      const client = await bare.loginAsAdmin();
      const off = await shop('OFF', client);
      expect(await readiness()).toEqual({ state: 'ok' });
      expect(await takeBackup(client, off.id)).toMatchObject({ encrypted: false });
      const required = await shop('REQUIRED', client);
      expect(await readiness()).toMatchObject({ state: 'warning' });
      expect(await backupCreate(client, required.id)).toMatchObject({ operation: null, userErrors: [{ code: 'ENCRYPTION_KEY_MISSING' }] });
      expect(await encryptionOf(client, required.id)).toMatchObject({ state: 'KEY_MISSING', banner: expect.stringMatching(/BACKUP_ENCRYPTION_KEY/) });
      optional = await shop('OPTIONAL', client);
      before = await withDatabase(optional, hashes);
      expect(await encryptionOf(client, optional.id)).toEqual({ state: 'KEY_MISSING', banner: expect.stringMatching(/without encryption/), keyId: null });
      const backup = await takeBackup(client, optional.id);
      expect(backup).toMatchObject({ encrypted: false });
      expect(backup.actions.find(({ permission }) => permission === 'RESTORE_RUN')).toMatchObject({ allowed: true });
      await withDatabase(optional, (db) => db.collection('orders').drop());
      expect(await restore(client, optional.id, backup.id)).toMatchObject({ state: 'COMPLETED', safetyBackup: { encrypted: false } });
      expect(await withDatabase(optional, hashes)).toEqual(before);
    } finally {
      await bare.stop();
    }
    const keyed = await startTestApp({ databaseUrl, env: { HOLDFAST_DATA_DIR: dataDir } });
    try {
      const client = await keyed.loginAsAdmin();
      expect(await encryptionOf(client, optional.id)).toMatchObject({ state: 'READY', banner: null, keyId: expect.any(String) });
      expect(await takeBackup(client, optional.id)).toMatchObject({ encrypted: true, keyId: expect.any(String), fileName: expect.stringMatching(/\.gz\.enc$/) });
    } finally {
      await keyed.stop();
    }
  }, 180_000);
});

describe('the switch', () => {
  it("is the provider's, warns, is told in the audit log, and changes no backup that is there", async () => {
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => seedShop(db, 20));
    const owner = await createTestMember(app, admin, tenant.id, 'OWNER');
    const sealed = await takeBackup(owner, tenant.id);
    for (const encryption of ['OFF', 'OPTIONAL']) expect((await setEncryption(tenant.id, encryption, owner)).userErrors.map(({ code }) => code)).toEqual(['POLICY_PROVIDER_ONLY']);
    expect(await setEncryption(tenant.id, 'OFF')).toEqual({ userErrors: [], warnings: [expect.stringMatching(/not encrypted/)] });
    const events: { detail: unknown }[] = await app.nest.get(DataSource).query(`select detail from audit_event where action = 'tenant.policy-changed' and tenant_id = $1`, [parseGlobalId(tenant.id)?.uuid]);
    expect(events.map(({ detail }) => detail)).toEqual([{ fields: 'encryption', encryption: 'REQUIRED to OFF' }]);
    expect(await readBackup(owner, sealed.id)).toMatchObject({ encrypted: true, state: 'COMPLETED' });
    expect(await takeBackup(owner, tenant.id)).toMatchObject({ encrypted: false });
    expect((await planCreate(owner, tenant.id, sealed.id)).userErrors).toEqual([]);
    expect(await restore(owner, tenant.id, sealed.id)).toMatchObject({ state: 'COMPLETED', safetyBackup: { encrypted: false } });
  }, 120_000);

  it('holds also for what was asked for before: nothing is written that would have to be encrypted by now', async () => {
    const databaseUrl = await testDatabaseUrl();
    const api = await startTestApp({ databaseUrl, env: { HOLDFAST_ROLE: 'api' } });
    try {
      const client = await api.loginAsAdmin();
      const tenant = await shop('OFF', client);
      const waiting = idOf(await backupCreate(client, tenant.id));
      await setEncryption(tenant.id, 'REQUIRED', client);
      const worker = await startTestApp({ databaseUrl, env: { HOLDFAST_DATA_DIR: api.config.dataDir, HOLDFAST_ROLE: 'worker' } });
      try {
        expect(await ended(client, waiting)).toMatchObject({ state: 'FAILED', failure: { code: 'POLICY_FORBIDS' } });
      } finally {
        await worker.stop();
      }
      expect(await storedFiles(api)).toEqual([]);
    } finally {
      await api.stop();
    }
  }, 120_000);
});
