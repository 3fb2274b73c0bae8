import { createHash } from 'node:crypto';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from '#errors';
import { type ArchiveStore, lockOf, type StoredObject } from '#storage';
import { sha256Of } from './object-hash.js';

export interface ObjectFacts {
  readonly storeKey: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

/**
 * Writes the object into another store under the same key, and reads it back: only what that store gives back counts.
 *
 * @throws AppError ARCHIVE_REPLACED where the source is not what it should be, READ_BACK_FAILED, STORAGE_*
 */
export async function copyObject(source: StoredObject, target: ArchiveStore, { storeKey, sizeBytes, sha256 }: ObjectFacts, signal: AbortSignal, moved: (bytes: number) => void = () => undefined): Promise<void> {
  await target.discardIncomplete(storeKey);
  const upload = await target.create(storeKey);
  const hash = createHash('sha256');
  let bytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      moved((bytes += chunk.length));
      done(null, chunk);
    },
  });
  try {
    await pipeline(Readable.from(source.stream()), meter, upload.body, { signal, end: false });
    if (bytes !== sizeBytes || hash.digest('hex') !== sha256) throw new AppError('ARCHIVE_REPLACED', 'The file is not the one that was written');
    await upload.commit();
  } catch (error) {
    await upload.abort();
    signal.throwIfAborted();
    throw error;
  }
  if (await isSame(target, { storeKey, sizeBytes, sha256 }, signal)) return;
  // What is locked stays beneath what is written over it the next time, and goes with that.
  await lockOf(target.delete(storeKey));
  throw new AppError('READ_BACK_FAILED', 'The copy is not what was written');
}

/** Whether the very bytes lie there. @throws AppError STORAGE_UNAVAILABLE */
export async function isSame(store: ArchiveStore, { storeKey, sizeBytes, sha256 }: ObjectFacts, signal: AbortSignal): Promise<boolean> {
  if ((await store.stat(storeKey))?.sizeBytes !== sizeBytes) return false;
  const object = await store.open(storeKey);
  try {
    return (await sha256Of(object, () => signal.throwIfAborted())) === sha256;
  } finally {
    await object.close();
  }
}
