import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { AppError } from '#errors';
import { keptForMs } from '../backups/safety-backups.js';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { DatabaseClaims } from '../tenants/database-claims.js';
import { TenantPointer } from '../tenants/tenant-pointer.js';
import { RestoreMaintenance } from './restore-maintenance.js';
import { identityOf, lateWrites, type PointerJournal, pointerWarnings, RestoreRepoint } from './restore-repoint.js';

const expectedNamespace = z.strictObject({ name: z.string(), uuid: z.string().nullable() });

export const pointerUndoInput = z.strictObject({
  pointer: z.strictObject({ from: z.string(), to: z.string(), former: z.array(expectedNamespace) }),
  undo: z.strictObject({ operationId: z.uuid(), warning: z.string().nullable() }),
});
export type PointerUndoInput = z.output<typeof pointerUndoInput>;

export const pointerUndoPhases = ['MAINTENANCE_ON', 'SWAP', 'MAINTENANCE_OFF'] as const;

/** The way back from a REPOINT: the pointer moves to the former database, and the one it leaves is kept in its turn. No document is touched. */
@Injectable()
export class PointerUndo {
  constructor(
    private readonly repoint: RestoreRepoint,
    private readonly claims: DatabaseClaims,
    private readonly pointer: TenantPointer,
    private readonly maintenance: RestoreMaintenance,
  ) {}

  async run(context: OperationContext<PointerUndoInput>): Promise<JsonObject> {
    const { pointer: { from, to }, undo } = context.input;
    const changed = await this.look(context);
    const late = await this.maintenance.begin(context, 'A restore is being undone', lateWrites);
    await context.enter('SWAP');
    const journal: PointerJournal = { from, to, former: await this.repoint.namespaces(context, false) };
    await context.faultPoint('restore.planned');
    const warnings = [...(undo.warning === null ? [] : [undo.warning]), ...changed, ...late, ...pointerWarnings(journal)];
    await context.commit({ pointer: journal, warnings } as unknown as JsonObject, (manager) => this.pointer.move(context, { operationId: context.id, from, to, keptForMs }, 'KEPT', manager));
    await context.faultPoint('restore.committed');
    return this.finish(context);
  }

  /** The maintenance ends with the operation. */
  async recover(context: OperationContext<PointerUndoInput>): Promise<JsonObject> {
    if (context.committed) return this.finish(context);
    throw new AppError('WORKER_LOST', 'The process that did the undo stopped before the workspace had its former database back');
  }

  private async finish(context: OperationContext<PointerUndoInput>): Promise<JsonObject> {
    await this.maintenance.end(context);
    return { type: 'RestoreResult', dryRun: false, bytesRead: 0, database: context.input.pointer.to, collections: [], warnings: context.journal['warnings'] };
  }

  /** Nobody is sent back to a database that is gone. What products did there meanwhile is theirs, and is told of. */
  private async look(context: OperationContext<PointerUndoInput>): Promise<string[]> {
    const { pointer: { to, former }, undo } = context.input;
    const kept = await this.claims.findKept(context, undo.operationId);
    if (kept === null) throw new AppError('NOT_UNDOABLE', `The former database ${to} is no longer kept`);
    const session = await this.pointer.openKept(context, kept);
    try {
      const now = new Set((await session.namespaces()).map(identityOf));
      const missing = former.filter((one) => !now.has(identityOf(one))).map(({ name }) => name);
      if (former.length > 0 && missing.length === former.length) throw new AppError('NOT_UNDOABLE', `The former database ${to} holds nothing any more of what it held; restore a backup instead`);
      return missing.length === 0 ? [] : [`Dropped or replaced in the former database since the workspace left it: ${missing.slice(0, 10).join(', ')}`];
    } finally {
      await session.close();
    }
  }
}
