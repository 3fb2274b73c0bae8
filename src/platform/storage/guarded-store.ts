import { AppError, asAppError } from '#errors';
import type { ArchiveStore, DirectUploads, IncompleteObject, ObjectInfo, ObjectLock, ObjectUpload, ResumableObjects, StoredObject, StoreMark } from '#storage';

/** `writes`: a store without an identity is given one. @throws AppError STORE_CHANGED where the store is not the one that it was */
export type RequireIdentity = (writes: boolean) => Promise<void>;

/** Nothing is known of what lies in a store: it does not answer, or is not the one that it was. */
export function isAway(error: unknown): boolean {
  const { code } = asAppError(error);
  return code === 'STORAGE_UNAVAILABLE' || code === 'STORE_CHANGED';
}

/**
 * A store that is asked for its identity before anything is written or deleted, and before anybody believes that something is not there. What it gives back needs no such question: archives
 * tell by themselves whether they are the right ones. Everything but `mark` may throw STORE_CHANGED.
 */
export class GuardedStore implements ArchiveStore {
  readonly resumable: ResumableObjects;
  readonly direct: DirectUploads | null;
  private readonly passedAtMs = { reading: -Infinity, writing: -Infinity };

  /** @param freshForMs for so long an identity that was right counts */
  constructor(
    private readonly inner: ArchiveStore,
    private readonly requireIdentity: RequireIdentity,
    private readonly freshForMs: number,
  ) {
    const { direct, resumable } = inner;
    this.direct = direct && {
      begin: async (key, sizeBytes, expiresInSeconds) => {
        await this.require(true);
        return direct.begin(key, sizeBytes, expiresInSeconds);
      },
    };
    this.resumable = {
      received: async (key) => {
        const bytes = await resumable.received(key);
        if (bytes === 0) await this.require();
        return bytes;
      },
      append: async (key, offset, limitBytes, body) => {
        await this.require(true);
        return resumable.append(key, offset, limitBytes, body);
      },
      publish: async (key) => {
        await this.require(true);
        await resumable.publish(key);
      },
    };
  }

  get location(): string {
    return this.inner.location;
  }

  get lock(): ObjectLock | null {
    return this.inner.lock;
  }

  get mark(): StoreMark {
    return this.inner.mark;
  }

  async create(key: string): Promise<ObjectUpload> {
    await this.require(true);
    return this.inner.create(key);
  }

  async protect(key: string): Promise<void> {
    await this.require();
    await this.inner.protect(key);
  }

  requireLock(): Promise<void> {
    return this.inner.requireLock();
  }

  async open(key: string): Promise<StoredObject> {
    try {
      return await this.inner.open(key);
    } catch (error) {
      if (error instanceof AppError && error.code === 'ARCHIVE_MISSING') await this.require();
      throw error;
    }
  }

  async stat(key: string): Promise<ObjectInfo | null> {
    const info = await this.inner.stat(key);
    if (info === null) await this.require();
    return info;
  }

  async delete(key: string): Promise<boolean> {
    await this.require();
    const wasThere = await this.inner.delete(key);
    if (!wasThere) await this.require();
    return wasThere;
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
    await this.require();
    yield* this.inner.list(prefix);
    await this.require();
  }

  async *allKeys(prefix: string): AsyncGenerator<string, void, undefined> {
    await this.require();
    yield* this.inner.allKeys(prefix);
    await this.require();
  }

  async discardIncomplete(key: string): Promise<void> {
    await this.require();
    await this.inner.discardIncomplete(key);
  }

  async *incomplete(): AsyncGenerator<IncompleteObject, void, undefined> {
    await this.require();
    yield* this.inner.incomplete();
  }

  async freeBytes(): Promise<number | null> {
    await this.require();
    return this.inner.freeBytes();
  }

  async check(): Promise<void> {
    await this.require();
    await this.inner.check();
  }

  private async require(writes = false): Promise<void> {
    const atMs = performance.now();
    if (atMs - (writes ? this.passedAtMs.writing : this.passedAtMs.reading) < this.freshForMs) return;
    await this.requireIdentity(writes);
    this.passedAtMs.reading = atMs;
    if (writes) this.passedAtMs.writing = atMs;
  }
}
