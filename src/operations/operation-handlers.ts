import { Injectable } from '@nestjs/common';
import type { JsonObject, OperationHandler, OperationKind } from './operation-handler.js';

/** Feature modules register their handlers in `onModuleInit`; the runtime itself knows no kind of work. */
@Injectable()
export class OperationHandlers {
  private readonly handlers = new Map<OperationKind, OperationHandler>();

  register<Input extends JsonObject>(handler: OperationHandler<Input>): void {
    if (this.handlers.has(handler.kind)) throw new Error(`Two handlers for ${handler.kind}`);
    // Accepted because methods are bivariant; sound because the runtime parses a row's input by the handler's own schema before the handler sees it.
    this.handlers.set(handler.kind, handler);
  }

  find(kind: OperationKind): OperationHandler | null {
    return this.handlers.get(kind) ?? null;
  }

  get kinds(): readonly OperationKind[] {
    return [...this.handlers.keys()];
  }
}
