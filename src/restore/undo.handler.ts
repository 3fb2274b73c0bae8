import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Permission } from '../access/permission.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { RestoreHandler, type RestoreInput } from './restore.handler.js';

/** A restore of the last state before another one. It takes a safety backup of its own, so it can be undone in its turn. */
@Injectable()
export class UndoHandler implements OperationHandler<RestoreInput>, OnModuleInit {
  readonly kind = 'UNDO';
  readonly exclusive = true;
  readonly permission: Permission;
  readonly deadlineMs: number;
  readonly input: OperationHandler<RestoreInput>['input'];
  readonly weights: Readonly<Record<string, number>>;

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly restore: RestoreHandler,
  ) {
    ({ permission: this.permission, deadlineMs: this.deadlineMs, input: this.input, weights: this.weights } = restore);
  }

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(input: RestoreInput): readonly string[] {
    return this.restore.phases(input);
  }

  run(context: OperationContext<RestoreInput>): Promise<JsonObject> {
    return this.restore.run(context);
  }

  recover(context: OperationContext<RestoreInput>): Promise<JsonObject> {
    return this.restore.recover(context);
  }

  settled(operation: SettledOperation<RestoreInput>, manager: EntityManager): Promise<void> {
    return this.restore.settled(operation, manager);
  }
}
