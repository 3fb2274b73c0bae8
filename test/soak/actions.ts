import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { idOf, type OperationAnswer, planCreate, restoreStart, type Started } from '../support/backup-calls.ts';
import { storedFiles, storeFolder } from '../support/store-faults.ts';
import { type Change, knownBackups, merge, selectiveRestore, undo, wholeRestore } from './change.ts';
import { killDuring } from './kill.ts';
import { type Database, differences, readDatabase } from './model.ts';
import { pictureOf } from './picture.ts';
import type { KnownBackup, Plant, Tenant } from './plant.ts';
import type { Random } from './random.ts';
import { beginBackup, concludeBackup, concludeChange, runBackup, runChange } from './run-operation.ts';
import { SoakFailure } from './soak-failure.ts';
import { anyTrouble, noTrouble } from './trouble.ts';
import { Writer } from './writer.ts';

const mostBackups = 10;
const codecs = ['GZIP', 'ZSTD', 'NONE'] as const;

const weights = {
  write: 26, define: 14, backup: 7, busyBackup: 2.5, restore: 7, selective: 5, merge: 6, undo: 6, dryRun: 1, copy: 1, verify: 1.5, delete: 2, rot: 1, side: 1, kill: 1.2,
} as const;

/** One step: something that a product, its people or a bad day may do to one workspace. What was done, and how it ended. */
export async function takeStep(plant: Plant, random: Random): Promise<string> {
  const tenant = random.pick(plant.tenants);
  const act = tenant.backups.length > mostBackups ? 'delete' : random.weighted(weights);
  return `${tenant.slug}: ${await steps[act](plant, tenant, random)}`;
}

type Step = (plant: Plant, tenant: Tenant, random: Random) => Promise<string>;

const steps: Readonly<Record<keyof typeof weights, Step>> = {
  write: (_, { product }, random) => product.write(random),
  define: (_, { product }, random) => product.define(random),
  backup: (plant, tenant, random) => runBackup(plant, tenant, anyTrouble('backup', plant, tenant, random), random.pick(codecs)),
  busyBackup,
  restore: (plant, tenant, random) => troubled(plant, tenant, random, (from) => wholeRestore(plant, tenant, from)),
  selective: (plant, tenant, random) => troubled(plant, tenant, random, (from) => selectiveRestore(plant, tenant, from, random)),
  merge: (plant, tenant, random) => troubled(plant, tenant, random, (from) => merge(plant, tenant, from, random)),
  undo: undoOne,
  dryRun: async (plant, tenant, random) => {
    const from = random.find(knownBackups(tenant));
    const change = from === undefined ? null : random.pick([wholeRestore, selectiveRestore, merge])(plant, tenant, from, random);
    return change === null ? backUp(plant, tenant, random) : runChange(plant, tenant, { ...change, description: `dry run: ${change.description}` }, noTrouble(), { dryRun: true });
  },
  copy: async (plant, tenant, random) => {
    const from = random.find(knownBackups(tenant).filter(({ picture }) => picture.only === null));
    if (from === undefined) return backUp(plant, tenant, random);
    await compareCopy(plant, tenant, from, [from.picture.database]);
    return `copy of backup ${from.number} beside the live data`;
  },
  verify: async (plant, tenant, random) => {
    const backup = random.find(tenant.backups);
    if (backup === undefined) return backUp(plant, tenant, random);
    await expectVerified(plant, backup, true);
    return `verify backup ${backup.number}`;
  },
  delete: deleteOne,
  rot,
  side: sideBySide,
  kill: async (plant, tenant, random) => {
    const change = anyChange(plant, tenant, random);
    const other = random.pick(plant.tenants.filter(({ id }) => id !== tenant.id));
    return killDuring(plant, tenant, random.chance(0.25) ? null : change, random.chance(0.5) ? other : null, random);
  },
};

const backUp: Step = (plant, tenant, random) => runBackup(plant, tenant, noTrouble(), random.pick(codecs));

function anyChange(plant: Plant, tenant: Tenant, random: Random): Change | null {
  const from = random.find(knownBackups(tenant));
  if (from === undefined) return null;
  const undone = newestUndos(tenant, random);
  switch (random.weighted({ whole: 3, selective: 2, merge: 2, undo: undone === undefined ? 0 : 2 })) {
    case 'whole':
      return wholeRestore(plant, tenant, from);
    case 'selective':
      return selectiveRestore(plant, tenant, from, random);
    case 'merge':
      return merge(plant, tenant, from, random);
    case 'undo':
      return undone === undefined ? null : undo(plant, tenant, undone);
  }
}

async function troubled(plant: Plant, tenant: Tenant, random: Random, changeOf: (from: ReturnType<typeof knownBackups>[number]) => Change | null): Promise<string> {
  const from = random.find(knownBackups(tenant));
  const change = from === undefined ? null : changeOf(from);
  return change === null ? backUp(plant, tenant, random) : runChange(plant, tenant, change, anyTrouble('restore', plant, tenant, random));
}

/** The newest one as a rule, any other one now and then. */
function newestUndos({ undos }: Tenant, random: Random): Tenant['undos'][number] | undefined {
  return random.chance(0.6) ? undos.at(-1) : random.find(undos);
}

function undoOne(plant: Plant, tenant: Tenant, random: Random): Promise<string> {
  const undone = newestUndos(tenant, random);
  return undone === undefined ? backUp(plant, tenant, random) : runChange(plant, tenant, undo(plant, tenant, undone), anyTrouble('restore', plant, tenant, random));
}

/** A backup of a product at work is the model at one moment between its start and its end. */
async function busyBackup(plant: Plant, tenant: Tenant, random: Random): Promise<string> {
  const writer = new Writer(tenant.product, random);
  let operation: OperationAnswer;
  let atStart: number;
  try {
    atStart = writer.acknowledged;
    operation = await plant.finish(await beginBackup(plant, tenant, random.pick(codecs)));
  } finally {
    await writer.stop();
  }
  const answer = concludeBackup(plant, tenant, operation, ({ state }) => (state === 'COMPLETED' ? null : 'it should be COMPLETED'), `backup beside ${writer.acknowledged} writes`);
  const backup = tenant.backups.pop();
  if (backup === undefined) throw new Error('The backup was not noted');
  const state = await compareCopy(plant, tenant, backup, writer.states.slice(atStart));
  tenant.backups.push({ ...backup, picture: pictureOf(state, null) });
  return answer;
}

/** Restores the backup beside the live data; the one of the databases that it holds. */
async function compareCopy(plant: Plant, tenant: Tenant, backup: KnownBackup, candidates: readonly Database[]): Promise<Database> {
  const name = `${tenant.database}_copy_${plant.newNumber()}`;
  const { plan, userErrors } = await planCreate(plant.admin, tenant.id, backup.id, { target: { newDatabase: { name } } });
  if (plan === null) throw new SoakFailure([`no plan for a copy of backup ${backup.number}: ${JSON.stringify(userErrors)}`]);
  const operation = await plant.finish(idOf(await restoreStart(plant.admin, plan.id, tenant.name)));
  if (operation.state !== 'COMPLETED') throw new SoakFailure([`the copy of backup ${backup.number} is ${operation.state}: ${JSON.stringify(operation.failure)}`]);
  const db = tenant.product.db.client.db(name);
  const copy = await readDatabase(db);
  await db.dropDatabase();
  const found = candidates.find((candidate) => differences(candidate, copy).length === 0);
  if (found !== undefined) return found;
  const nearest = candidates.map((candidate) => differences(candidate, copy)).reduce((best, lines) => (lines.length < best.length ? lines : best));
  throw new SoakFailure([`the copy of backup ${backup.number} is none of the ${candidates.length} states that the database had; from the nearest it differs in:`, ...nearest]);
}

async function expectVerified(plant: Plant, { id, number }: KnownBackup, ok: boolean): Promise<void> {
  const { backupVerify } = await plant.admin.run<{ backupVerify: Started }>('mutation ($input: BackupVerifyInput!) { backupVerify(input: $input) { operation { id } userErrors { code message field hint } } }', { input: { backupId: id } });
  const { state, result, failure } = await plant.finish(idOf(backupVerify));
  if (state !== 'COMPLETED' || result?.ok !== ok) throw new SoakFailure([`backup ${number} should be found ${ok ? 'good' : 'damaged'}: ${state} ${JSON.stringify(result ?? failure)}`]);
}

async function deleteOne(plant: Plant, tenant: Tenant, random: Random): Promise<string> {
  const backup = random.find(tenant.backups);
  if (backup === undefined) return backUp(plant, tenant, random);
  const undone = tenant.undos.find(({ safetyBackupId }) => safetyBackupId === backup.id);
  const remove = async (giveUpUndo: boolean): Promise<string | null> => {
    const { backupDelete } = await plant.admin.run<{ backupDelete: { userErrors: { code: string }[] } }>('mutation ($input: BackupDeleteInput!) { backupDelete(input: $input) { userErrors { code } } }', { input: { backupId: backup.id, giveUpUndo } });
    return backupDelete.userErrors[0]?.code ?? null;
  };
  const what = `delete backup ${backup.number}`;
  const isProtected = lastGood(tenant) === backup;
  let code = await remove(isProtected);
  if (isProtected !== (code === 'BACKUP_PROTECTED')) throw new SoakFailure([`${what}: it is ${isProtected ? '' : 'not '}the last good one, and the answer is ${code}`]);
  if (isProtected) return `${what}: refused, it is the last good one`;
  if (undone !== undefined) {
    if (code !== 'UNDO_WOULD_BE_LOST') throw new SoakFailure([`${what}: an undo needs it, and the answer is ${code}`]);
    code = await remove(true);
    tenant.undos.splice(tenant.undos.indexOf(undone), 1);
  }
  if (code !== null) throw new SoakFailure([`${what}: refused with ${code}`]);
  tenant.backups.splice(tenant.backups.indexOf(backup), 1);
  return what;
}

function lastGood({ backups }: Tenant): KnownBackup | undefined {
  const whole = backups.filter(({ isWhole }) => isWhole);
  return whole.filter(({ isSafety }) => !isSafety).at(-1) ?? whole.at(-1);
}

/** A bit of a stored file turns: the backup is told to be damaged, and nothing of it reaches live data. Then the bit turns back. */
async function rot(plant: Plant, tenant: Tenant, random: Random): Promise<string> {
  const backup = random.find(knownBackups(tenant));
  if (backup === undefined) return backUp(plant, tenant, random);
  const path = await pathOf(plant, backup);
  const whole = await readFile(path);
  const at = random.int(0, whole.length - 1);
  const damaged = Buffer.from(whole);
  damaged[at] = (whole[at] ?? 0) ^ (1 << random.int(0, 7));
  await writeFile(path, damaged);
  try {
    await expectVerified(plant, backup, false);
    const { plan } = await planCreate(plant.admin, tenant.id, backup.id);
    const started = plan === null ? null : await restoreStart(plant.admin, plan.id, tenant.name);
    if (started !== null && started.operation !== null) {
      const { state, failure } = await plant.finish(started.operation.id);
      if (state !== 'FAILED' || failure?.code.startsWith('ARCHIVE_') !== true) throw new SoakFailure([`a restore of backup ${backup.number} with a turned bit at ${at} is ${state}: ${JSON.stringify(failure)}`]);
    }
  } finally {
    await writeFile(path, whole);
  }
  await expectVerified(plant, backup, true);
  return `a bit of backup ${backup.number} turned at ${at} of ${whole.length}`;
}

async function pathOf(plant: Plant, { id }: KnownBackup): Promise<string> {
  const { backup } = await plant.admin.run<{ backup: { fileName: string } }>('query ($id: ID!) { backup(id: $id) { fileName } }', { id });
  const file = (await storedFiles(plant.api)).find((path) => path.endsWith(backup.fileName));
  if (file === undefined) throw new SoakFailure([`backup ${id} has no file`]);
  return join(storeFolder(plant.api), file);
}

/** All workspaces work at once: what one of them reads or writes is never another one's. */
async function sideBySide(plant: Plant, _: Tenant, random: Random): Promise<string> {
  const begun: { tenant: Tenant; change: Change | null; id: string }[] = [];
  for (const tenant of plant.tenants) {
    const change = anyChange(plant, tenant, random);
    begun.push({ tenant, change, id: await (change === null ? beginBackup(plant, tenant, random.pick(codecs)) : change.begin()) });
  }
  const operations = await Promise.all(begun.map(({ id }) => plant.finish(id)));
  const complaint = ({ state }: OperationAnswer): string | null => (state === 'COMPLETED' ? null : 'it should be COMPLETED');
  const answers = begun.map(({ tenant, change }, index) => {
    const operation = operations[index];
    if (operation === undefined) throw new Error('An operation has no end');
    return `${tenant.slug} ${change === null ? concludeBackup(plant, tenant, operation, complaint, 'backup') : concludeChange(plant, tenant, change, operation, complaint, change.description)}`;
  });
  return `side by side: ${answers.join('; ')}`;
}
