import { AppError } from '#errors';
import type { ArchiveStore } from '#storage';

/** The stores that the configuration names: the main one, which every archive is written to, and those that copies go to. */
export class ArchiveStores {
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

  /** @throws AppError STORAGE_UNAVAILABLE for one that the configuration no longer names */
  get(name: string): ArchiveStore {
    const store = this.others.get(name);
    if (store === undefined) throw new AppError('STORAGE_UNAVAILABLE', `The store ${name} is not configured on this server`);
    return store;
  }
}
