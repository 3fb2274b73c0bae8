import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError } from '#errors';
import type { ArchiveStore, ObjectLock } from '#storage';

/** The stores that the configuration names: the main one, which every archive is written to, and those that copies go to. */
export class ArchiveStores {
  private readonly apart = new Map<string, Promise<boolean>>();

  constructor(
    readonly main: ArchiveStore,
    private readonly others: ReadonlyMap<string, ArchiveStore>,
  ) {}

  /** Of the stores that copies go to. */
  get names(): readonly string[] {
    return [...this.others.keys()];
  }

  has(name: string): boolean {
    return this.others.has(name);
  }

  /** Null without one, and for a store that the configuration no longer names. */
  lockOf(name: string): ObjectLock | null {
    return this.others.get(name)?.lock ?? null;
  }

  /**
   * Whether a store is another place than the main one, whatever it is called: by an address of its own, a link or another endpoint. A copy in the same place is none, and removing it would remove
   * the archive. Each process finds it out once.
   *
   * @throws AppError STORAGE_FULL, STORAGE_UNAVAILABLE
   */
  async isApart(name: string): Promise<boolean> {
    const known = this.apart.get(name);
    if (known !== undefined) return known;
    const finding = this.looksApart(this.get(name));
    this.apart.set(name, finding);
    finding.catch(() => this.apart.delete(name));
    return finding;
  }

  /** What is written to the one must not be seen in the other. */
  private async looksApart(store: ArchiveStore): Promise<boolean> {
    const probe = `probe-${randomUUID()}`;
    try {
      // Not by `create`, which would lock it for days.
      await this.main.resumable.append(probe, 0, 1, Readable.from([Buffer.alloc(1)]));
      await this.main.resumable.publish(probe);
      return (await store.stat(probe)) === null;
    } finally {
      await this.main.delete(probe).catch(() => undefined);
    }
  }

  /** @throws AppError STORAGE_UNAVAILABLE for one that the configuration no longer names */
  get(name: string): ArchiveStore {
    const store = this.others.get(name);
    if (store === undefined) throw new AppError('STORAGE_UNAVAILABLE', `The store ${name} is not configured on this server`);
    return store;
  }
}
