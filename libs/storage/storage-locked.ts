import { AppError } from '#errors';

/** The store lets nobody delete the object before `until`; null: it does not say when, as under a legal hold. All that it does let go of is gone. */
export class StorageLocked extends AppError {
  constructor(
    what: string,
    readonly until: Date | null,
    options: ErrorOptions = {},
  ) {
    super('STORAGE_LOCKED', `The archive store keeps ${what} ${until === null ? 'under a hold that has no end yet' : `until ${until.toISOString()}`} (object lock)`, options);
  }
}

/** Null when it was deleted. */
export async function lockOf(deletion: Promise<unknown>): Promise<StorageLocked | null> {
  try {
    await deletion;
    return null;
  } catch (error) {
    if (error instanceof StorageLocked) return error;
    throw error;
  }
}

/**
 * Deletes one after the other; what a lock keeps holds up none of the others.
 *
 * @throws StorageLocked the last lock to end, when everything else is gone
 */
export async function deleteEach<T>(things: Iterable<T> | AsyncIterable<T>, deletion: (thing: T) => Promise<unknown>): Promise<void> {
  let last: StorageLocked | null = null;
  for await (const thing of things) {
    const lock = await lockOf(deletion(thing));
    if (lock !== null && (last === null || endOf(lock) > endOf(last))) last = lock;
  }
  if (last !== null) throw last;
}

function endOf({ until }: StorageLocked): number {
  return until?.getTime() ?? Infinity;
}
