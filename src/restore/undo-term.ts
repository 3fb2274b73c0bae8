import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { type BackupEntity, isUsable } from '../backups/backup.entity.js';
import { keptForMs, SafetyBackups } from '../backups/safety-backups.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { DatabaseClaims, type KeptDatabase } from '../tenants/database-claims.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { isAbandoned } from './restore-settlement.js';

/** Until when, and from what, an operation can be taken back: by the database's clock. */
@Injectable()
export class UndoTerm {
  constructor(
    private readonly safety: SafetyBackups,
    private readonly operations: OperationsService,
    private readonly claims: DatabaseClaims,
    private readonly tenants: TenantsService,
  ) {}

  /**
   * The safety backup that undo of the operation restores.
   *
   * @throws AppError NOT_UNDOABLE, UNDO_EXPIRED
   */
  async require(operation: OperationEntity, manager?: EntityManager): Promise<BackupEntity> {
    const refusal = whyNever(operation);
    if (refusal !== null) throw new AppError('NOT_UNDOABLE', refusal);
    const backup = await this.find(operation, manager);
    if (backup !== null && (await this.safety.isExpired(operation, backup.id, manager))) throw new AppError('UNDO_EXPIRED', 'The 7 days within which this could be undone are over');
    if (backup === null || !isUsable(backup)) throw new AppError('NOT_UNDOABLE', 'The safety backup that undo needs was deleted');
    return backup;
  }

  /**
   * The former database that undo of a REPOINT goes back to.
   *
   * @throws AppError NOT_UNDOABLE, UNDO_EXPIRED
   */
  async requireKept(operation: OperationEntity, manager?: EntityManager): Promise<KeptDatabase> {
    const refusal = whyNever(operation);
    if (refusal !== null) throw new AppError('NOT_UNDOABLE', refusal);
    const kept = await this.claims.findKept(operation, operation.id, manager);
    if (kept?.isExpired ?? (await this.isOver(operation, manager))) throw new AppError('UNDO_EXPIRED', 'The 7 days within which this could be undone are over');
    if (kept?.purpose !== 'KEPT') throw new AppError('NOT_UNDOABLE', 'The former database that undo needs is not kept any more: it was given up, or the workspace has it back');
    return kept;
  }

  /** Null when it cannot be undone, or no longer. */
  async until(operation: OperationEntity): Promise<Date | null> {
    if (whyNever(operation) !== null) return null;
    if (hasMovedPointer(operation)) {
      const kept = await this.claims.findKept(operation, operation.id);
      return kept?.purpose === 'KEPT' && !kept.isExpired ? kept.expiresAt : null;
    }
    const id = safetyIdOf(operation);
    return id === null ? null : this.safety.lastsUntil(operation, id);
  }

  /** What else undo would take back, as a sentence for people; null where nothing has happened since. */
  async warning(operation: OperationEntity, manager?: EntityManager): Promise<string | null> {
    const { tenantId, finishedAt } = operation;
    if (finishedAt === null) return null;
    const later = await this.operations.completedSince({ tenantId }, ['RESTORE', 'UNDO', 'RESET'], finishedAt, manager);
    const count = later.filter((other) => other.id !== operation.id && other.result?.['dryRun'] !== true && other.inputOutline['copy'] === undefined).length;
    if (count === 0) return null;
    const since = count === 1 ? 'A newer restore, undo or reset has' : `${count} newer restores, undos or resets have`;
    return `${since} replaced the data since; undo goes back to before this one and takes ${count === 1 ? 'that one' : 'those'} back as well`;
  }

  private async find(operation: OperationEntity, manager?: EntityManager): Promise<BackupEntity | null> {
    const id = safetyIdOf(operation);
    return id === null ? null : this.safety.find(operation, id, manager);
  }

  private async isOver({ finishedAt }: OperationEntity, manager?: EntityManager): Promise<boolean> {
    return (finishedAt?.getTime() ?? 0) + keptForMs <= (await this.tenants.now(manager)).getTime();
  }
}

function safetyIdOf({ journalOutline }: OperationEntity): string | null {
  const id = journalOutline['finalSafetyId'];
  return typeof id === 'string' ? id : null;
}

/** Of a REPOINT, or the undo of one. */
export function hasMovedPointer({ journalOutline }: OperationEntity): boolean {
  return journalOutline['pointer'] !== undefined;
}

function whyNever(operation: OperationEntity): string | null {
  const { kind, state, result, inputOutline } = operation;
  if (kind !== 'RESTORE' && kind !== 'UNDO' && kind !== 'RESET') return `A ${kind.toLowerCase()} cannot be undone`;
  if (isAbandoned(operation)) return `The ${kind.toLowerCase()} was abandoned half done: restore its safety backup instead`;
  if (state !== 'COMPLETED') return `The ${kind.toLowerCase()} is ${state}: it has changed nothing that could be undone`;
  if (inputOutline['keepOld'] === true && inputOutline['repoint'] === undefined) return 'It took no safety backup; what was live is kept in the database instead';
  if (inputOutline['copy'] !== undefined) return 'It put the archive into a new database and replaced nothing';
  return result?.['dryRun'] === true ? 'A dry run changes nothing that could be undone' : null;
}
