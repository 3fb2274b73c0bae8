import { idOf, makePlan, restoreStart, restoreUndo } from '../support/backup-calls.ts';
import type { Database } from './model.ts';
import { clashesOf, type Clashes, type Conflict, isMergeable, merged, namesIn, type Picture, replaced } from './picture.ts';
import type { KnownBackup, KnownUndo, Plant, Tenant } from './plant.ts';
import type { Random } from './random.ts';

/** A restore of some kind: how it is started, and what the live data are after it. */
export interface Change {
  readonly description: string;
  /** What undo of it takes back; null: the whole database. */
  readonly only: readonly string[] | null;
  begin(input?: Readonly<Record<string, unknown>>): Promise<string>;
  apply(live: Database): Database;
  clashes(live: Database): Clashes;
}

const noClashes: Clashes = { possible: false, certain: false };

type Known = KnownBackup & { readonly picture: Picture };

export function knownBackups({ backups }: Tenant): Known[] {
  return backups.filter((backup): backup is Known => backup.picture !== null);
}

async function begin({ admin }: Plant, { id, name }: Tenant, backupId: string, input: object, start: object): Promise<string> {
  const plan = await makePlan(admin, id, backupId, { ...input });
  return idOf(await restoreStart(admin, plan.id, name, { ...start }));
}

export function wholeRestore(plant: Plant, tenant: Tenant, { id, number, picture }: Known): Change {
  return {
    description: `restore backup ${number}${picture.only === null ? '' : ' (partial)'}`,
    only: picture.only === null ? null : namesIn(picture),
    begin: (input = {}) => begin(plant, tenant, id, {}, input),
    apply: (live) => replaced(live, picture, null),
    clashes: () => noClashes,
  };
}

export function selectiveRestore(plant: Plant, tenant: Tenant, { id, number, picture }: Known, random: Random): Change | null {
  const names = namesIn(picture);
  if (names.length === 0) return null;
  const collections = random.some(names, 4);
  return {
    description: `restore ${JSON.stringify(collections)} of backup ${number}`,
    only: collections,
    begin: (input = {}) => begin(plant, tenant, id, { collections }, input),
    apply: (live) => replaced(live, picture, collections),
    clashes: () => noClashes,
  };
}

/** Null where nothing can be merged. */
export function merge(plant: Plant, tenant: Tenant, { id, number, picture }: Known, random: Random): Change | null {
  const live = tenant.product.model;
  const names = [...picture.database].filter(([name, archived]) => isMergeable(archived, name) && (!live.has(name) || isMergeable(live.get(name), name))).map(([name]) => name);
  if (names.length === 0) return null;
  const collections = random.some(names, 5);
  const conflict: Conflict = random.pick(['KEEP_LIVE', 'TAKE_ARCHIVE']);
  return {
    description: `merge ${JSON.stringify(collections)} of backup ${number}, ${conflict}`,
    only: collections,
    begin: (input = {}) => begin(plant, tenant, id, { mode: 'MERGE', collections, conflict }, input),
    apply: (now) => merged(now, picture, collections, conflict),
    clashes: (now) => clashesOf(now, picture, collections, conflict),
  };
}

export function undo({ admin }: Plant, { name }: Tenant, { operationId, number, picture }: KnownUndo): Change {
  return {
    description: `undo of restore ${number}`,
    only: picture.only === null ? null : namesIn(picture),
    begin: async () => idOf(await restoreUndo(admin, operationId, name)),
    apply: (live) => replaced(live, picture, null),
    clashes: () => noClashes,
  };
}
