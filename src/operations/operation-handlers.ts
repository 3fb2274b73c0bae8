import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { JsonObject, OperationHandler, OperationKind, SettledOperation } from './operation-handler.js';

export interface EndedOperation extends SettledOperation<JsonObject> {
  readonly kind: OperationKind;
  readonly backupId: string | null;
}

/** Told of the end of every operation, of whatever kind, in the transaction that settles it. It may be told twice. */
export type EndWatcher = (operation: EndedOperation, manager: EntityManager) => Promise<void>;

/** Feature modules register their handlers in `onModuleInit`; the runtime itself knows no kind of work. */
@Injectable()
export class OperationHandlers {
  private readonly handlers = new Map<OperationKind, OperationHandler>();
  readonly endWatchers: EndWatcher[] = [];

  register<Input extends JsonObject>(handler: OperationHandler<Input>): void {
    if (this.handlers.has(handler.kind)) throw new Error(`Two handlers for ${handler.kind}`);
    // Accepted because methods are bivariant; sound because the runtime parses a row's input by the handler's own schema before the handler sees it.
    this.handlers.set(handler.kind, handler);
  }

  watchEnds(watcher: EndWatcher): void {
    this.endWatchers.push(watcher);
  }

  find(kind: OperationKind): OperationHandler | null {
    return this.handlers.get(kind) ?? null;
  }

  get kinds(): readonly OperationKind[] {
    return [...this.handlers.keys()];
  }
}
