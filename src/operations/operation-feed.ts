import { setTimeout as delay } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { EventBus } from '../platform/events/event-bus.js';
import type { NoticeStream } from '../platform/events/notice-stream.js';
import { OperationSnapshots } from './operation-snapshots.js';
import { OperationWatch } from './operation-watch.js';
import { OperationsRepository } from './operations.repository.js';
import { isFinal, type OperationEntity } from './operation.entity.js';
import { outlast } from './outlast.js';

/** At most four states a second of each operation. */
const leastPauseMs = 250;

interface Sent {
  readonly revision: number;
  readonly atMs: number;
}

const mostEnded = 100;

/** What subscribers see: whole rows with growing revisions, the current one at once, the final one always. */
@Injectable()
export class OperationFeed {
  private readonly watches = new Map<string, OperationWatch>();

  constructor(
    private readonly bus: EventBus,
    private readonly snapshots: OperationSnapshots,
    private readonly repository: OperationsRepository,
  ) {}

  /** Ends after the final state. */
  watch(id: string): AsyncIterableIterator<OperationEntity> {
    const watch = this.watches.get(id) ?? new OperationWatch(id, this.bus.subscribe('operation', { id }), this.snapshots, () => this.watches.delete(id));
    this.watches.set(id, watch);
    return watch.join();
  }

  /** The unfinished operations of a tenant, or its newest, then every change of any; never ends by itself. */
  watchTenant(tenantId: string): AsyncIterableIterator<OperationEntity> {
    const notices = this.bus.subscribe('operation', { tenantId });
    return stoppable(notices, this.activityOf(tenantId, notices));
  }

  private async *activityOf(tenantId: string, notices: NoticeStream): AsyncGenerator<OperationEntity, void, undefined> {
    const unfinished = new Map<string, Sent>();
    // More than one notice may come of an end, which is shown once.
    const ended = new Map<string, number>();
    const isNews = (operation: OperationEntity): boolean => {
      const isNewer = operation.revision > (unfinished.get(operation.id)?.revision ?? ended.get(operation.id) ?? 0);
      if (isFinal(operation.state)) {
        unfinished.delete(operation.id);
        ended.set(operation.id, operation.revision);
        const [oldest] = ended.keys();
        if (ended.size > mostEnded && oldest !== undefined) ended.delete(oldest);
      } else unfinished.set(operation.id, { revision: operation.revision, atMs: performance.now() });
      return isNewer;
    };
    try {
      for (const operation of await outlast(notices, () => this.repository.current(tenantId))) if (isNews(operation)) yield operation;
      for (;;) {
        const event = await notices.next();
        if (event.done) return;
        if (event.value.kind === 'changed') {
          const { id, revision } = event.value;
          await pauseSince(unfinished.get(id));
          const operation = await outlast(notices, () => this.snapshots.read(id, revision));
          if (operation !== null && isNews(operation)) yield operation;
          continue;
        }
        const running = await outlast(notices, () => this.repository.current(tenantId));
        for (const id of unfinished.keys()) {
          const ended = running.some((operation) => operation.id === id) ? null : await outlast(notices, () => this.snapshots.read(id));
          if (ended !== null) running.push(ended);
        }
        for (const operation of running) if (isNews(operation)) yield operation;
      }
    } finally {
      await notices.return();
    }
  }
}

/** A generator that waits for a notice would keep `return` waiting, too; ending the notices first lets a client leave at once. */
function stoppable<T>(notices: NoticeStream, states: AsyncGenerator<T, void, undefined>): AsyncIterableIterator<T> {
  return {
    next: () => states.next(),
    return: async () => {
      await notices.return();
      return states.return();
    },
    throw: async (error: unknown) => {
      await notices.return();
      return states.throw(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function pauseSince(sent: Sent | undefined): Promise<void> {
  const restMs = (sent?.atMs ?? -Infinity) + leastPauseMs - performance.now();
  if (restMs > 0) await delay(restMs);
}
