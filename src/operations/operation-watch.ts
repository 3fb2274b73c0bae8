import type { NoticeStream } from '../platform/events/notice-stream.js';
import type { OperationSnapshots } from './operation-snapshots.js';
import { isFinal, type OperationEntity } from './operation.entity.js';
import { outlast } from './outlast.js';

/** At most four states a second of each operation; fewer where so many watch it that telling them would take the time of the work itself. */
const pauseMs = { least: 250, most: 750, perWatcher: 0.75 };

/**
 * One operation and all who watch it in this process: its changes are read and paced once, and given to each of them in the same moment. Its end is given at once, whatever the pace.
 */
export class OperationWatch {
  private readonly watchers = new Set<Watcher>();
  private latest: OperationEntity | null = null;
  /** What those were given who came last, and when it was read. */
  private first: { readonly operation: OperationEntity; readonly readAtMs: number } | null = null;
  private shownAtMs = -Infinity;
  private timer: NodeJS.Timeout | null = null;
  private closed = false;

  /** @param onClosed called once, when nobody watches any longer */
  constructor(
    private readonly id: string,
    private readonly notices: NoticeStream,
    private readonly snapshots: OperationSnapshots,
    private readonly onClosed: () => void,
  ) {
    void this.follow();
  }

  /** The current state, read now, then each newer one; ends after the final one. */
  join(): AsyncIterableIterator<OperationEntity> {
    const watcher = new Watcher((one) => this.leave(one));
    this.watchers.add(watcher);
    this.notices.readers = this.watchers.size;
    void this.begin(watcher);
    return watcher;
  }

  private async begin(watcher: Watcher): Promise<void> {
    try {
      const operation = await outlast(this.notices, () => this.snapshots.read(this.id));
      if (operation === null) return watcher.finish();
      if (this.shownAtMs === -Infinity) this.shownAtMs = performance.now();
      watcher.offer(this.sharedFirst(operation));
    } catch (error) {
      watcher.fail(error);
    }
  }

  /** One object for all who come together, so that it is answered once; nobody gets what hangs on it, such as its tenant, as it was long ago. */
  private sharedFirst(operation: OperationEntity): OperationEntity {
    const now = performance.now();
    if (this.first?.operation.revision !== operation.revision || now - this.first.readAtMs > pauseMs.least) this.first = { operation, readAtMs: now };
    return this.first.operation;
  }

  private async follow(): Promise<void> {
    try {
      for await (const event of this.notices) {
        const revision = event.kind === 'changed' ? event.revision : undefined;
        const operation = await outlast(this.notices, () => this.snapshots.read(this.id, revision));
        if (operation === null) break;
        this.latest = operation;
        if (isFinal(operation.state)) {
          this.show();
          break;
        }
        this.showInTime();
      }
      for (const watcher of this.watchers) watcher.finish();
    } catch (error) {
      for (const watcher of this.watchers) watcher.fail(error);
    }
    await this.close();
  }

  private showInTime(): void {
    if (this.timer !== null) return;
    const pause = Math.min(pauseMs.most, Math.max(pauseMs.least, this.watchers.size * pauseMs.perWatcher));
    const restMs = this.shownAtMs + pause - performance.now();
    if (restMs <= 0) this.show();
    else this.timer = setTimeout(() => this.show(), restMs);
  }

  private show(): void {
    this.stopTimer();
    this.shownAtMs = performance.now();
    if (this.latest !== null) for (const watcher of this.watchers) watcher.offer(this.latest);
  }

  private leave(watcher: Watcher): void {
    this.watchers.delete(watcher);
    this.notices.readers = this.watchers.size;
    if (this.watchers.size === 0) void this.close();
  }

  /** At once in its first half: nobody may join what is about to end. */
  private async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.stopTimer();
    this.onClosed();
    await this.notices.return();
  }

  private stopTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}

/** What one of them has not taken yet, which is the newest state alone. */
class Watcher implements AsyncIterableIterator<OperationEntity> {
  private waiting: OperationEntity | null = null;
  private takenRevision = 0;
  private ended = false;
  private failure: { readonly error: unknown } | null = null;
  private news = Promise.withResolvers<void>();

  constructor(private readonly onLeft: (watcher: Watcher) => void) {}

  offer(operation: OperationEntity): void {
    if (this.ended || operation.revision <= (this.waiting?.revision ?? this.takenRevision)) return;
    this.waiting = operation;
    this.wake();
  }

  /** After what it has been offered. */
  finish(): void {
    this.ended = true;
    this.onLeft(this);
    this.wake();
  }

  fail(error: unknown): void {
    if (this.ended) return;
    this.failure = { error };
    this.finish();
  }

  async next(): Promise<IteratorResult<OperationEntity, undefined>> {
    for (;;) {
      const operation = this.waiting;
      if (operation !== null) {
        this.waiting = null;
        this.takenRevision = operation.revision;
        if (isFinal(operation.state)) this.finish();
        return { done: false, value: operation };
      }
      if (this.ended) {
        const { failure } = this;
        this.failure = null;
        if (failure !== null) throw failure.error;
        return { done: true, value: undefined };
      }
      await this.news.promise;
    }
  }

  return(): Promise<IteratorResult<OperationEntity, undefined>> {
    this.waiting = null;
    this.failure = null;
    this.finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private wake(): void {
    this.news.resolve();
    this.news = Promise.withResolvers<void>();
  }
}
