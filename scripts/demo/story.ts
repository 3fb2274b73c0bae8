import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { MongoClient, type Db } from 'mongodb';

import { differences, fingerprint } from './fingerprint.ts';
import { ProgressView } from './progress-view.ts';
import { StoryApi, type OperationSnapshot, type UserError } from './story-api.ts';

export interface StorySetting {
  readonly url: string;
  readonly email: string;
  readonly password: string;
  readonly tenantSlug: string;
  readonly mongoUri: string;
  readonly database: string;
  /** A folder for the downloaded archive. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

interface Started {
  readonly operation: { readonly id: string } | null;
  readonly userErrors: readonly UserError[];
}

/**
 * The main job, played through the public API against a real database: back up, download, damage, be refused with the
 * wrong name, restore with the right one. Throws unless data, indexes and options are the same as before.
 */
export async function playStory(setting: StorySetting): Promise<void> {
  const say = (line: string) => setting.say(line);
  const api = await StoryApi.login(setting.url, setting.email, setting.password);
  const { tenant } = await api.request<{ tenant: { id: string; name: string } }>('query ($slug: String) { tenant(slug: $slug) { id name } }', {
    slug: setting.tenantSlug,
  });
  const client = await MongoClient.connect(setting.mongoUri);
  try {
    const db = client.db(setting.database);
    const before = await fingerprint(db);
    say(`The workspace "${tenant.name}" has ${before.size} collections and views:`);
    for (const line of await counts(db)) say(`  ${line}`);

    say('\nBackup Now');
    const { backupCreate } = await api.request<{ backupCreate: Started & { backup: { id: string } | null } }>(
      `mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { backup { id } operation { id } userErrors { code message hint } } }`,
      { input: { tenantId: tenant.id, name: 'Before the worst day' } },
    );
    await follow(api, 'Backup', backupCreate);
    const backupId = backupCreate.backup?.id ?? '';
    await download(api, backupId, setting);

    say('\nThe worst day of the year');
    for (const line of await damage(db)) say(`  ${line}`);
    const lost = differences(before, await fingerprint(db));
    if (lost.length === 0) throw new Error('The demo damaged nothing');
    say(`  No longer as they were: ${lost.join(', ')}`);

    say('\nPlanning the restore');
    const plan = await makePlan(api, tenant.id, backupId);
    for (const change of plan.changes.filter((entry) => entry.change !== 'SAME')) {
      say(`  ${change.name.padEnd(20)} ${change.change.padEnd(8)} ${change.live?.documents ?? '-'} documents now, ${change.archive?.documents ?? '-'} in the archive`);
    }

    say('\nRestoring with the wrong name');
    const refused = await restore(api, plan.id, 'Acme Tradign');
    if (refused.operation !== null || refused.userErrors[0]?.code !== 'CONFIRM_NAME_MISMATCH') throw new Error('A wrong name was not refused');
    say(`  Refused: ${refused.userErrors[0].message}. ${refused.userErrors[0].hint ?? ''}`);

    say(`\nRestoring as "${plan.confirmName}"`);
    await follow(api, 'Restore', await restore(api, plan.id, plan.confirmName));
    for (const line of await counts(db)) say(`  ${line}`);
    const left = differences(before, await fingerprint(db));
    if (left.length > 0) throw new Error(`Not the same as before: ${left.join(', ')}`);
    say('\nEvery document, index and option is as it was.');
  } finally {
    await client.close();
  }
}

async function counts(db: Db): Promise<string[]> {
  const collections = await db.listCollections({}, { nameOnly: true }).toArray();
  const own = collections.filter(({ name }) => !name.startsWith('system.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  return Promise.all(own.map(async ({ name }) => `${name.padEnd(20)} ${await db.collection(name).countDocuments()}`));
}

async function damage(db: Db): Promise<string[]> {
  const deleted = await db.collection('orders').deleteMany({});
  await db.collection('customers').drop();
  await db.collection('customers').insertOne({ name: 'A half-finished import' });
  const spoiled = await db.collection('invoices').updateMany({}, [{ $set: { total: 0, paid: true } }]);
  await db.collection('invoices').createIndex({ total: -1 }, { name: 'made_in_a_hurry' });
  return [
    `${deleted.deletedCount} orders deleted by a bulk action`,
    'customers replaced by a half-finished import',
    `${spoiled.modifiedCount} invoices overwritten, an index made in a hurry`,
  ];
}

async function follow(api: StoryApi, title: string, started: Started): Promise<void> {
  if (started.operation === null) throw new Error(started.userErrors.map((error) => `${error.code}: ${error.message}`).join('; '));
  const view = new ProgressView(title);
  let last: OperationSnapshot | undefined;
  try {
    for await (last of api.watch(started.operation.id)) view.show(last);
  } finally {
    view.stop();
  }
  if (last?.state !== 'COMPLETED') throw new Error(`${title} ended ${last?.state ?? 'unknown'}: ${last?.failure?.message ?? 'no reason given'}`);
}

async function download(api: StoryApi, backupId: string, setting: StorySetting): Promise<void> {
  const { backup } = await api.request<{ backup: { fileName: string; size: string } }>('query ($id: ID!) { backup(id: $id) { fileName size } }', { id: backupId });
  const { downloadCreate } = await api.request<{ downloadCreate: { url: string | null } }>(
    'mutation ($input: DownloadCreateInput!) { downloadCreate(input: $input) { url userErrors { code message } } }',
    { input: { backupId, variant: 'ARCHIVE' } },
  );
  const response = await fetch(downloadCreate.url ?? '');
  if (!response.ok || response.body === null) throw new Error(`The download answered ${response.status}`);
  const path = join(setting.folder, backup.fileName);
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(Readable.fromWeb(response.body), hashing, createWriteStream(path));
  const { size } = await stat(path);
  const file = await open(path);
  const magic = (await file.read(Buffer.alloc(4), 0, 4, 0)).buffer.toString('latin1');
  await file.close();
  if (size !== Number(backup.size) || magic !== 'DBK1') throw new Error('The downloaded archive is not the stored one');
  setting.say(`  Downloaded ${backup.fileName}, ${size} bytes, SHA-256 ${hash.digest('hex').slice(0, 16)}…`);
}

interface Plan {
  readonly id: string;
  readonly confirmName: string;
  readonly changes: readonly { name: string; change: string; live: { documents: string } | null; archive: { documents: string } | null }[];
}

async function makePlan(api: StoryApi, tenantId: string, backupId: string): Promise<Plan> {
  const { restorePlanCreate } = await api.request<{ restorePlanCreate: { plan: Plan | null; userErrors: readonly UserError[] } }>(
    `mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) {
       plan { id confirmName changes { name change live { documents } archive { documents } } } userErrors { code message hint } } }`,
    { input: { tenantId, source: { backupId } } },
  );
  if (restorePlanCreate.plan === null) throw new Error(restorePlanCreate.userErrors.map((error) => error.message).join('; '));
  return restorePlanCreate.plan;
}

async function restore(api: StoryApi, planId: string, confirmName: string): Promise<Started> {
  const { restoreStart } = await api.request<{ restoreStart: Started }>(
    'mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } userErrors { code message hint } } }',
    { input: { planId, confirmName } },
  );
  return restoreStart;
}
