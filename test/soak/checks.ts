import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { storedFiles, storeFolder } from '../support/store-faults.ts';
import { differences, readDatabase } from './model.ts';
import { type Plant, type Tenant, uuidOf } from './plant.ts';
import { SoakFailure } from './soak-failure.ts';

interface BackupRow {
  readonly id: string;
  readonly tenant_id: string;
  readonly state: string;
  readonly store_key: string | null;
  readonly sha256: string | null;
  readonly is_deleting: boolean;
}

/** What must hold after every step, whatever it did. Throws SoakFailure. */
export async function checkEverything(plant: Plant): Promise<void> {
  const lines = [...(await Promise.all(plant.tenants.map(liveData))).flat(), ...(await controlPlane(plant))];
  if (lines.length > 0) throw new SoakFailure(lines);
}

/** Also finds what Holdfast left beside the live data. */
async function liveData({ slug, product }: Tenant): Promise<string[]> {
  return differences(product.model, await readDatabase(product.db)).map((line) => `live data of ${slug}: ${line}`);
}

async function controlPlane(plant: Plant): Promise<string[]> {
  const unfinished = await plant.sql<{ kind: string; state: string; phase: string }>(`select kind, state, phase from operation where state in ('QUEUED', 'RUNNING')`);
  const unsettled = await plant.sql<{ kind: string }>('select kind from operation where settled_at is null and finished_at is not null');
  const inMaintenance = await plant.sql<{ slug: string }>('select slug from tenant where maintenance_since is not null');
  const backups = await plant.sql<BackupRow>(
    `select id, tenant_id, state, store_key, sha256, deleted_at is not null as is_deleting from backup where state <> 'DELETED' order by created_at`,
  );
  const files = await storedFiles(plant.api);
  const stored = backups.filter(({ state }) => state !== 'FAILED' && state !== 'CANCELED');
  return [
    ...unfinished.map(({ kind, state, phase }) => `an operation has not ended: ${kind} ${state} ${phase}`),
    ...unsettled.map(({ kind }) => `an operation is not settled: ${kind}`),
    ...inMaintenance.map(({ slug }) => `${slug} is still in maintenance`),
    ...stored.filter(({ state, is_deleting }) => state !== 'COMPLETED' || is_deleting).map(({ id, state }) => `backup ${id} is ${state} although nothing runs`),
    ...stored.filter(({ store_key }) => !files.includes(store_key ?? '')).map(({ id, store_key }) => `backup ${id} has no file ${store_key}`),
    ...files.filter((file) => !stored.some(({ store_key }) => store_key === file)).map((file) => `${file} belongs to no backup`),
    ...stored.filter(({ store_key, tenant_id }) => store_key?.startsWith(`${tenant_id}/`) !== true).map(({ id }) => `backup ${id} lies in another tenant's folder`),
    ...plant.tenants.flatMap(({ slug, backups: known }) => known.filter(({ id }) => !stored.some((row) => row.id === uuidOf(id))).map(({ number }) => `backup ${number} of ${slug} is gone`)),
    ...(await brokenFiles(plant, stored)),
  ];
}

/** What is COMPLETED has just the bytes that were read back. */
async function brokenFiles(plant: Plant, rows: readonly BackupRow[]): Promise<string[]> {
  const checked = await Promise.all(
    rows.map(async ({ id, store_key, sha256 }) => {
      const bytes = await readFile(join(storeFolder(plant.api), store_key ?? '')).catch(() => null);
      return bytes === null || createHash('sha256').update(bytes).digest('hex') === sha256 ? [] : [`the file of backup ${id} is not the one that was read back`];
    }),
  );
  return checked.flat();
}
