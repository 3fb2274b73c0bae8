import { backupCreate, idOf, type OperationAnswer } from '../support/backup-calls.ts';
import type { Change } from './change.ts';
import { copyDatabase, type Database } from './model.ts';
import { pictureOf } from './picture.ts';
import type { Plant, Tenant } from './plant.ts';
import { SoakFailure } from './soak-failure.ts';
import type { Trouble } from './trouble.ts';

const said = ({ state, phase, failure }: OperationAnswer): string => `${state}${failure === null ? '' : ` in ${phase}: ${failure.code} ${failure.message}`}`;

/** A restore of some kind from its start to its end, and what the model makes of it. */
export async function runChange(plant: Plant, tenant: Tenant, change: Change, trouble: Trouble, input: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const what = [change.description, trouble.description].filter((text) => text !== '').join(', ');
  await trouble.prepare();
  let operation: OperationAnswer;
  try {
    const id = await change.begin(input).catch((error: unknown) => {
      throw new SoakFailure([`${what}: not started: ${String(error)}`]);
    });
    trouble.started(id);
    operation = await plant.finish(id);
  } finally {
    await trouble.over();
  }
  return concludeChange(plant, tenant, change, operation, trouble.complaint, what, input['dryRun'] === true);
}

export function concludeChange(plant: Plant, tenant: Tenant, change: Change, operation: OperationAnswer, complaint: Trouble['complaint'], what: string, isDryRun = false): string {
  const before = copyDatabase(tenant.product.model);
  const clashes = change.clashes(before);
  const answer = `${what} → ${said(operation)}`;
  const isClash = operation.state === 'FAILED' && operation.failure?.code === 'MERGE_CLASH';
  if (isClash && !clashes.possible) throw new SoakFailure([answer, 'no unique key clashes']);
  if (operation.state === 'COMPLETED' && clashes.certain && !isDryRun) throw new SoakFailure([answer, 'unique keys clash: it should be refused']);
  const wrong = isClash ? null : complaint(operation);
  if (wrong !== null) throw new SoakFailure([answer, wrong]);
  noteSafetyBackup(plant, tenant, operation, change, before);
  if (operation.state === 'COMPLETED' && !isDryRun) tenant.product.adopt(change.apply(before));
  return answer;
}

/** What a restore saved before it changed anything is a backup like any other, and the way back. */
function noteSafetyBackup(plant: Plant, tenant: Tenant, operation: OperationAnswer, change: Change, before: Database): void {
  const { safetyBackup, state } = operation;
  if (safetyBackup === null || !safetyBackup.usable) {
    if (state === 'COMPLETED' && operation.result?.dryRun !== true) throw new SoakFailure([`${change.description}: COMPLETED without a safety backup`]);
    return;
  }
  const number = plant.newNumber();
  const picture = pictureOf(before, change.only);
  // One of a restore that failed may be older than what the product wrote since.
  tenant.backups.push({ id: safetyBackup.id, number, isSafety: true, isWhole: change.only === null, picture: state === 'COMPLETED' ? picture : null });
  if (state === 'COMPLETED') tenant.undos.push({ operationId: operation.id, number, picture, safetyBackupId: safetyBackup.id });
}

export async function beginBackup(plant: Plant, tenant: Tenant, codec: string): Promise<string> {
  return idOf(await backupCreate(plant.admin, tenant.id, { codec }));
}

export async function runBackup(plant: Plant, tenant: Tenant, trouble: Trouble, codec: string): Promise<string> {
  const what = ['backup', trouble.description].filter((text) => text !== '').join(', ');
  await trouble.prepare();
  let operation: OperationAnswer;
  try {
    const id = await beginBackup(plant, tenant, codec);
    trouble.started(id);
    operation = await plant.finish(id);
  } finally {
    await trouble.over();
  }
  return concludeBackup(plant, tenant, operation, trouble.complaint, what);
}

export function concludeBackup(plant: Plant, tenant: Tenant, operation: OperationAnswer, complaint: Trouble['complaint'], what: string): string {
  const wrong = complaint(operation);
  const { backup, state } = operation;
  const answer = `${what} → ${said(operation)}`;
  if (wrong !== null) throw new SoakFailure([answer, wrong]);
  if (backup === null || backup.state !== state || backup.usable !== (state === 'COMPLETED')) throw new SoakFailure([answer, `its backup is ${JSON.stringify(backup)}`]);
  if (state !== 'COMPLETED') return answer;
  const number = plant.newNumber();
  tenant.backups.push({ id: backup.id, number, isSafety: false, isWhole: true, picture: pictureOf(tenant.product.model, null) });
  return `${answer}, backup ${number}`;
}
