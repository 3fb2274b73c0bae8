import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { Permission } from '../access/permission.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { AuditService } from '../audit/audit.service.js';
import { keptForMs } from '../backups/safety-backups.js';
import { DatabaseClaims } from '../tenants/database-claims.js';
import { PointerUndo, type PointerUndoInput, pointerUndoInput, pointerUndoPhases } from './pointer-undo.js';
import { RestoreSettlement } from './restore-settlement.js';
import { RestoreHandler, type RestoreInput } from './restore.handler.js';

export type UndoInput = RestoreInput | PointerUndoInput;

/** A restore of the last state before another one, or the way back to the database that a REPOINT left. It takes a safety backup of its own, so it can be undone in its turn. */
@Injectable()
export class UndoHandler implements OperationHandler<UndoInput>, OnModuleInit {
  readonly kind = 'UNDO';
  readonly exclusive = true;
  readonly permission: Permission;
  readonly deadlineMs: number;
  readonly input: OperationHandler<UndoInput>['input'];
  readonly weights: Readonly<Record<string, number>>;

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly restore: RestoreHandler,
    private readonly pointerUndo: PointerUndo,
    private readonly settlement: RestoreSettlement,
    private readonly claims: DatabaseClaims,
    private readonly audit: AuditService,
  ) {
    ({ permission: this.permission, deadlineMs: this.deadlineMs, weights: this.weights } = restore);
    this.input = z.union([restore.input, pointerUndoInput]);
  }

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(input: UndoInput): readonly string[] {
    return isPointer(input) ? pointerUndoPhases : this.restore.phases(input);
  }

  run(context: OperationContext<UndoInput>): Promise<JsonObject> {
    return ofPointer(context) ? this.pointerUndo.run(context) : this.restore.run(context as OperationContext<RestoreInput>);
  }

  recover(context: OperationContext<UndoInput>): Promise<JsonObject> {
    return ofPointer(context) ? this.pointerUndo.recover(context) : this.restore.recover(context as OperationContext<RestoreInput>);
  }

  async settled(operation: SettledOperation<UndoInput>, manager: EntityManager): Promise<void> {
    const { id, tenantId, input, state, failure } = operation;
    if (!isPointer(input)) return this.restore.settled({ ...operation, input }, manager);
    await this.settlement.settle({ id, tenantId, state, failure }, manager);
    const detail = { state, code: failure?.code ?? null, database: input.pointer.to };
    await this.audit.record({ action: 'restore.ended', outcome: state === 'COMPLETED' ? 'OK' : 'FAILED', tenantId, actor: null, subject: { type: 'Operation', id }, detail }, manager);
    if (state === 'COMPLETED') await this.claims.keepFor(id, keptForMs, manager);
  }
}

function isPointer(input: UndoInput): input is PointerUndoInput {
  return 'pointer' in input;
}

function ofPointer(context: OperationContext<UndoInput>): context is OperationContext<PointerUndoInput> {
  return isPointer(context.input);
}
