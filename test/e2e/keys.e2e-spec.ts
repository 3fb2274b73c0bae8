import { setTimeout as delay } from 'node:timers/promises';
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { run as runArchive } from '../../libs/archive/cli/run.ts';
import { run as runAdmin } from '../../src/admin/run.ts';
import { AlertsService } from '../../src/alerts/alerts.service.ts';
import { DiscardedArchives } from '../../src/backups/discarded-archives.ts';
import { MissingKeys } from '../../src/keys/missing-keys.ts';
import { KeyAlert } from '../../src/notifications/key-alert.ts';
import { createTestTenant, startTestApp, type TestApp, type TestTenant } from '../support/app.ts';
import { type BackupAnswer, ended, idOf, makePlan, type OperationAnswer, restoreStart, seedShop, type Started, takeBackup, withDatabase } from '../support/backup-calls.ts';
import type { GraphqlClient } from '../support/graphql-client.ts';
import { runFolder, testDatabaseUrl } from '../support/servers.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';
import { WorkerProcess } from '../support/worker-process.ts';

const key = (fill: number): string => Buffer.alloc(32, fill).toString('base64');
const rotated = { BACKUP_ENCRYPTION_KEY: `new:${key(32)}`, BACKUP_ENCRYPTION_KEYS_OLD: `old:${key(31)}` };

interface Place {
  readonly databaseUrl: string;
  readonly dataDir: string;
  readonly tenant: TestTenant;
  readonly backup: BackupAnswer;
}

const open: TestApp[] = [];
afterAll(async () => {
  for (const app of open) await app.stop();
});

/** The installation as it is with other keys, or another role. */
async function start(place: Pick<Place, 'databaseUrl' | 'dataDir'>, env: Readonly<Record<string, string>> = rotated): Promise<{ readonly app: TestApp; readonly admin: GraphqlClient }> {
  const app = await startTestApp({ databaseUrl: place.databaseUrl, env: { HOLDFAST_DATA_DIR: place.dataDir, ...env } });
  open.push(app);
  return { app, admin: await app.loginAsAdmin() };
}

async function stop(app: TestApp): Promise<void> {
  open.splice(open.indexOf(app), 1);
  await app.stop();
}

/** A workspace with one backup under the key that is now an old one. */
async function makePlace(): Promise<Place> {
  const databaseUrl = await testDatabaseUrl();
  const app = await startTestApp({ databaseUrl, env: { BACKUP_ENCRYPTION_KEY: `old:${key(31)}` } });
  try {
    const admin = await app.loginAsAdmin();
    const tenant = await createTestTenant(admin);
    await withDatabase(tenant, (db) => seedShop(db, 300));
    return { databaseUrl, dataDir: app.config.dataDir, tenant, backup: await takeBackup(admin, tenant.id) };
  } finally {
    await app.stop();
  }
}

async function begin(admin: GraphqlClient, tenant: TestTenant): Promise<string> {
  const { keyReencrypt } = await admin.run<{ keyReencrypt: Started }>(
    'mutation ($input: KeyReencryptInput!) { keyReencrypt(input: $input) { operation { id } userErrors { code message field hint } } }',
    { input: { tenantId: tenant.id } },
  );
  return idOf(keyReencrypt);
}

const reencrypt = async (admin: GraphqlClient, tenant: TestTenant): Promise<OperationAnswer> => ended(admin, await begin(admin, tenant));

async function backupOf(admin: GraphqlClient, id: string): Promise<BackupAnswer> {
  return (await admin.run<{ backup: BackupAnswer }>('query ($id: ID!) { backup(id: $id) { id name label state usable size fileName keyId verification { ok code } } }', { id })).backup;
}

const keysOf = async (admin: GraphqlClient) =>
  (await admin.run<{ encryptionKeys: { keyId: string; isCurrent: boolean; isAvailable: boolean; archives: string; tenants: string }[] }>('{ encryptionKeys { keyId isCurrent isAvailable archives tenants } }')).encryptionKeys;

async function restores(admin: GraphqlClient, { tenant, backup }: Place): Promise<number> {
  await withDatabase(tenant, (db) => db.collection('orders').deleteMany({}));
  const plan = await makePlan(admin, tenant.id, backup.id);
  expect((await ended(admin, idOf(await restoreStart(admin, plan.id, tenant.name)))).state).toBe('COMPLETED');
  return withDatabase(tenant, (db) => db.collection('orders').countDocuments());
}

async function adminCommand(app: TestApp, ...args: string[]): Promise<{ readonly code: number; readonly lines: string }> {
  const lines: string[] = [];
  const code = await runAdmin(args, () => app.config, { print: (line) => lines.push(line), complain: (line) => lines.push(line) });
  return { code, lines: lines.join('\n') };
}

describe('the archives of a workspace', () => {
  it('are moved to the current key: then the old one may go, and everything is restored without it', async () => {
    const place = await makePlace();
    const { app, admin } = await start(place);
    expect(await keysOf(admin)).toEqual([
      { keyId: 'new', isCurrent: true, isAvailable: true, archives: '0', tenants: '0' },
      { keyId: 'old', isCurrent: false, isAvailable: true, archives: '1', tenants: '1' },
    ]);
    expect(await adminCommand(app, 'keys', '--drop', 'old')).toMatchObject({ code: 1, lines: expect.stringContaining('1 archives of 1 workspaces need it') });
    // A file that is not there may be found again.
    const setState = (state: string): Promise<unknown> => app.nest.get(DataSource).query('update backup set state = $1', [state]);
    await setState('MISSING');
    expect(await adminCommand(app, 'keys', '--drop', 'old')).toMatchObject({ code: 1, lines: expect.stringContaining('1 archives of 1 workspaces need it') });
    await setState('COMPLETED');
    const before = await storedFiles(app);
    expect(await reencrypt(admin, place.tenant)).toMatchObject({ kind: 'REENCRYPT', state: 'COMPLETED' });
    expect(await backupOf(admin, place.backup.id)).toMatchObject({ keyId: 'new', state: 'COMPLETED', usable: true, name: place.backup.name });
    const after = await storedFiles(app);
    expect([after.length, after.some((file) => before.includes(file))]).toEqual([1, false]);
    expect(await adminCommand(app, 'keys', '--drop', 'old')).toMatchObject({ code: 0 });
    expect(await adminCommand(app, 'keys', '--drop', 'new')).toMatchObject({ code: 1 });
    await stop(app);

    const without = await start(place, { BACKUP_ENCRYPTION_KEY: rotated.BACKUP_ENCRYPTION_KEY });
    expect(await restores(without.admin, place)).toBe(300);
    await stop(without.app);
  });

  it('stay as they are while something reads them, and while one is damaged', async () => {
    const place = await makePlace();
    const { app, admin } = await start(place);
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const off = app.at('restore.begun', () => (reached.resolve(), gate.promise));
    const plan = await makePlan(admin, place.tenant.id, place.backup.id);
    const restoring = idOf(await restoreStart(admin, plan.id, place.tenant.name));
    await reached.promise;
    expect((await reencrypt(admin, place.tenant)).state).toBe('COMPLETED');
    expect((await backupOf(admin, place.backup.id)).keyId).toBe('old');
    off();
    gate.resolve();
    expect((await ended(admin, restoring)).state).toBe('COMPLETED');

    const path = join(storeFolder(app), (await storedFiles(app)).find((file) => file.includes(place.backup.fileName ?? '')) ?? '');
    const bytes = await readFile(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(path, bytes);
    expect(await reencrypt(admin, place.tenant)).toMatchObject({ state: 'FAILED', failure: { code: 'ARCHIVE_CORRUPT', message: expect.stringMatching(/^1 of 1 archives/) } });
    expect(await backupOf(admin, place.backup.id)).toMatchObject({ keyId: 'old', state: 'COMPLETED' });
    // The safety backup of the restore has the new key from the start.
    expect((await storedFiles(app)).length).toBe(2);
    await stop(app);
  });

  async function killAt(point: string): Promise<void> {
    const place = await makePlace();
    const api = await start(place, { ...rotated, HOLDFAST_ROLE: 'api' });
    const operation = await begin(api.admin, place.tenant);
    const worker = WorkerProcess.start({ ...place, faultPoints: [`${point}=kill`], env: rotated });
    expect(await worker.exited()).toBe('SIGKILL');
    const rescuer = await start(place);
    expect((await ended(api.admin, operation)).state).toBe('COMPLETED');
    expect(await backupOf(api.admin, place.backup.id)).toMatchObject({ keyId: 'new', usable: true });
    await stop(rescuer.app);
    // What the dead worker had written is removed once its operation has ended: after the next start at the latest.
    const next = await start(place);
    await next.app.nest.get(DiscardedArchives, { strict: false }).tick();
    expect((await storedFiles(next.app)).length).toBe(1);
    expect(await restores(next.admin, place)).toBe(300);
    await stop(next.app);
    await stop(api.app);
  }

  it('are whole, and nothing is left over, after a kill -9 wherever it happens', async () => {
    // Each waits for a dead lease's end.
    await Promise.all(['reencrypt.writing', 'reencrypt.written', 'reencrypt.switched'].map(killAt));
  }, 180_000);
});

describe('holdfast-admin', () => {
  let place: Place;
  beforeAll(async () => {
    place = await makePlace();
  });

  it('makes a recovery kit that opens the archives of the one workspace without the installation', async () => {
    const { app } = await start(place);
    const folder = await mkdtemp(join(runFolder(), 'kit-'));
    const [out, passphraseFile] = [join(folder, 'kit.json'), join(folder, 'passphrase')];
    await writeFile(passphraseFile, 'correct horse battery staple\n');
    const args = ['recovery-kit', '--tenant', place.tenant.slug, '--passphrase-file', passphraseFile, '--out', out];
    expect(await adminCommand(app, ...args)).toMatchObject({ code: 0 });
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    expect(await adminCommand(app, ...args)).toMatchObject({ code: 1, lines: expect.stringContaining('EEXIST') });
    expect(await readFile(out, 'utf8')).not.toContain(key(31));
    const file = join(storeFolder(app), (await storedFiles(app))[0] ?? '');
    const verify = (env: Record<string, string>, ...options: string[]) =>
      runArchive(['verify', file, ...options], { env, stdin: Readable.from([]), stdout: new PassThrough().resume(), stderr: new PassThrough().resume() });
    expect(await verify({}, '--tenant-key', out, '--passphrase-file', passphraseFile)).toBe(0);
    expect(await verify({ HOLDFAST_RECOVERY_PASSPHRASE: 'not the passphrase' }, '--tenant-key', out)).toBe(3);
    expect((await adminCommand(app, 'recovery-kit', '--tenant', 'nobody', '--passphrase-file', passphraseFile, '--out', join(folder, 'other'))).code).toBe(2);
    await stop(app);
  });

  it('lets the workers move every archive, and waits for them', async () => {
    const { app, admin } = await start(place);
    expect(await adminCommand(app, 'reencrypt', '--tenant', place.tenant.slug, '--wait')).toMatchObject({ code: 0, lines: expect.stringContaining('COMPLETED') });
    expect((await backupOf(admin, place.backup.id)).keyId).toBe('new');
    expect(await adminCommand(app, 'reencrypt')).toMatchObject({ code: 0, lines: 'Every archive has the current key' });
    await stop(app);
  });
});

describe('a key that archives need', () => {
  it('is missed aloud when it was taken away, and no longer when it is back', async () => {
    const place = await makePlace();
    const { app, admin } = await start(place, { BACKUP_ENCRYPTION_KEY: rotated.BACKUP_ENCRYPTION_KEY });
    expect((await keysOf(admin)).find(({ keyId }) => keyId === 'old')).toMatchObject({ isAvailable: false, archives: '1' });
    expect(await (await fetch(`${app.url}/readyz`)).json()).toMatchObject({ checks: { 'archive-keys': { state: 'warning', message: expect.stringContaining('need the key old') } } });
    expect(await adminCommand(app, 'keys')).toMatchObject({ code: 1, lines: expect.stringContaining('MISSING') });
    const alerts = async (client: GraphqlClient) =>
      (await client.run<{ alerts: { edges: { node: { event: string; text: string; resolvedAt: string | null } }[] } }>('{ alerts { edges { node { event text resolvedAt } } } }')).alerts.edges.map(({ node }) => node).filter(({ event }) => event === 'KEY_MISSING');
    // Told once the process works, not before it answers.
    while ((await alerts(admin)).length === 0) await delay(20);
    expect(await alerts(admin)).toEqual([{ event: 'KEY_MISSING', text: expect.stringContaining('key old'), resolvedAt: null }]);
    await stop(app);
    const again = await start(place);
    while ((await alerts(again.admin)).some(({ resolvedAt }) => resolvedAt === null)) await delay(20);
    expect(await alerts(again.admin)).toEqual([{ event: 'KEY_MISSING', text: expect.any(String), resolvedAt: expect.any(String) }]);
    await stop(again.app);
  });

  it('is no longer missed when it is back, or no archive needs it, while a worker runs that has it', async () => {
    const place = await makePlace();
    const { app } = await start(place);
    const unresolved = () => app.nest.get(AlertsService, { strict: false }).unresolved({ tenantId: null, event: 'KEY_MISSING' });
    /** Another worker that lacks a key, and is gone again. */
    const missed = async (env: Readonly<Record<string, string>>, subject: string) => {
      const other = await start(place, env);
      while (!(await unresolved()).includes(subject)) await delay(20);
      await stop(other.app);
    };
    await missed({ BACKUP_ENCRYPTION_KEY: rotated.BACKUP_ENCRYPTION_KEY }, 'key old');
    await app.nest.get(MissingKeys, { strict: false }).tick();
    expect(await unresolved()).toEqual([]);

    await missed({ BACKUP_ENCRYPTION_KEY: '' }, 'key');
    await app.nest.get(KeyAlert, { strict: false }).tick();
    expect(await unresolved()).toEqual([]);

    await stop(app);
    const lacking = await start(place, { BACKUP_ENCRYPTION_KEY: rotated.BACKUP_ENCRYPTION_KEY });
    const alerts = lacking.app.nest.get(AlertsService, { strict: false });
    while ((await alerts.unresolved({ tenantId: null, event: 'KEY_MISSING' })).length === 0) await delay(20);
    const missing = lacking.app.nest.get(MissingKeys, { strict: false });
    await missing.tick();
    expect(await alerts.unresolved({ tenantId: null, event: 'KEY_MISSING' })).toEqual(['key old']);
    await lacking.app.nest.get(DataSource).query(`update backup set state = 'DELETED', deleted_at = now()`);
    await missing.tick();
    expect(await alerts.unresolved({ tenantId: null, event: 'KEY_MISSING' })).toEqual([]);
    expect(await (await fetch(`${lacking.app.url}/readyz`)).json()).toMatchObject({ checks: { 'archive-keys': { state: 'ok' } } });
    await stop(lacking.app);
  }, 60_000);
});
