import type { BusEvent, Notice } from './notice.js';

/** More distinct rows than this waiting for one reader, and it is told to read everything again. */
const maxWaiting = 256;

/**
 * What one subscriber has not read yet: the newest notice of each row, so that a slow reader costs bounded memory and
 * sees the newest state alone. Ends when the reader returns, or when the bus closes.
 */
export class NoticeStream implements AsyncIterableIterator<BusEvent> {
  /** How many are told what is read here. */
  readers = 1;
  private readonly newest = new Map<string, Notice>();
  private mustResync = false;
  private ended = false;
  private news = Promise.withResolvers<void>();

  constructor(private readonly onEnd: (stream: NoticeStream) => void) {}

  get hasEnded(): boolean {
    return this.ended;
  }

  push(notice: Notice): void {
    if (this.ended || this.mustResync) return;
    const waiting = this.newest.get(notice.id);
    if (waiting !== undefined && waiting.revision > notice.revision) return;
    this.newest.set(notice.id, notice);
    if (this.newest.size > maxWaiting) this.resync();
    else this.wakeReader();
  }

  resync(): void {
    if (this.ended) return;
    this.mustResync = true;
    this.newest.clear();
    this.wakeReader();
  }

  async next(): Promise<IteratorResult<BusEvent, undefined>> {
    for (;;) {
      if (this.ended) return { done: true, value: undefined };
      if (this.mustResync) {
        this.mustResync = false;
        return { done: false, value: { kind: 'resync' } };
      }
      const [first] = this.newest.values();
      if (first !== undefined) {
        this.newest.delete(first.id);
        return { done: false, value: { kind: 'changed', ...first } };
      }
      await this.news.promise;
    }
  }

  return(): Promise<IteratorResult<BusEvent, undefined>> {
    if (!this.ended) {
      this.ended = true;
      this.newest.clear();
      this.onEnd(this);
      this.wakeReader();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  private wakeReader(): void {
    this.news.resolve();
    this.news = Promise.withResolvers<void>();
  }
}
