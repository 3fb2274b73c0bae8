import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ArchiveManifest, decodeManifest, encodeManifest, maxTrailerBytes } from '#archive';
import { AppError } from '#errors';
import { type ArchiveStore, deleteEach, type StoredObject } from '#storage';
import { copyObject, isSame, type ObjectFacts } from '../platform/storage/copy-object.js';

/** An archive in a store: one object, and where it is not encrypted its manifest in a second one beside it. The two are written, copied, compared and deleted as one. */
export interface ArchiveObjects extends ObjectFacts {
  /** Hex; null where there is no manifest beside it: the archive holds it, or it came from outside and has none. */
  readonly manifestSha256: string | null;
}

const manifestSuffix = '.manifest.json.gz';

export function manifestKeyOf(storeKey: string): string {
  return storeKey + manifestSuffix;
}

/** The archive that a manifest lies beside; null for what is no manifest's place. */
export function archiveKeyOf(key: string): string | null {
  return key.endsWith(manifestSuffix) ? key.slice(0, -manifestSuffix.length) : null;
}

/** Returns the SHA-256 of what was written, in hex. `beforeCommit` is awaited before it gets its name. @throws AppError STORAGE_* */
export async function writeManifest(store: ArchiveStore, storeKey: string, manifest: ArchiveManifest, signal: AbortSignal, beforeCommit: () => Promise<void>): Promise<string> {
  const bytes = await encodeManifest(manifest);
  const upload = await store.create(manifestKeyOf(storeKey));
  try {
    await pipeline(Readable.from([bytes], { objectMode: false }), upload.body, { signal, end: false });
    await beforeCommit();
    await upload.commit();
  } catch (error) {
    await upload.abort();
    throw error;
  }
  return createHash('sha256').update(bytes).digest('hex');
}

/** @throws AppError ARCHIVE_MISSING where there is none, ARCHIVE_REPLACED for another one than `sha256`, ARCHIVE_CORRUPT, STORAGE_UNAVAILABLE */
export async function readManifest(store: ArchiveStore, storeKey: string, sha256?: string): Promise<{ readonly manifest: ArchiveManifest; readonly sha256: string }> {
  const object = await store.open(manifestKeyOf(storeKey));
  try {
    if (object.sizeBytes > maxTrailerBytes) throw new AppError('ARCHIVE_TOO_LARGE', 'The manifest beside the archive is larger than 64 MiB');
    const bytes = await object.read(0, object.sizeBytes);
    const found = createHash('sha256').update(bytes).digest('hex');
    if (sha256 !== undefined && found !== sha256) throw new AppError('ARCHIVE_REPLACED', 'The manifest beside the stored file is not the one that was written');
    return { manifest: await decodeManifest(bytes), sha256: found };
  } finally {
    await object.close();
  }
}

/** Whether the very bytes lie there. @throws AppError STORAGE_UNAVAILABLE */
export async function isSameArchive(store: ArchiveStore, { manifestSha256, ...facts }: ArchiveObjects, signal: AbortSignal): Promise<boolean> {
  if (manifestSha256 !== null) {
    const storeKey = manifestKeyOf(facts.storeKey);
    const found = await store.stat(storeKey);
    if (found === null || !(await isSame(store, { storeKey, sizeBytes: found.sizeBytes, sha256: manifestSha256 }, signal))) return false;
  }
  return isSame(store, facts, signal);
}

/**
 * Writes the archive into another store under the same key, and reads it back there. The manifest comes first: an archive that is there has one.
 *
 * @param source the archive, open in `from`
 * @throws AppError ARCHIVE_* where the source is not what it should be, READ_BACK_FAILED, STORAGE_*
 */
export async function copyArchive(from: ArchiveStore, source: StoredObject, to: ArchiveStore, { manifestSha256, ...facts }: ArchiveObjects, signal: AbortSignal, moved?: (bytes: number) => void): Promise<void> {
  if (manifestSha256 !== null) {
    const storeKey = manifestKeyOf(facts.storeKey);
    const manifest = await from.open(storeKey);
    try {
      await copyObject(manifest, to, { storeKey, sizeBytes: manifest.sizeBytes, sha256: manifestSha256 }, signal);
    } finally {
      await manifest.close();
    }
  }
  await copyObject(source, to, facts, signal, moved);
}

/** Whether something of its size lies there, with a manifest where it has one; nothing is read. @throws AppError STORAGE_UNAVAILABLE */
export async function isThere(store: ArchiveStore, { storeKey, sizeBytes, manifestSha256 }: Omit<ArchiveObjects, 'sha256'>): Promise<boolean> {
  return (await store.stat(storeKey))?.sizeBytes === sizeBytes && (manifestSha256 === null || (await store.stat(manifestKeyOf(storeKey))) !== null);
}

/** For one that came otherwise than an archive is written. */
export async function protectArchive(store: ArchiveStore, { storeKey, manifestSha256 }: Pick<ArchiveObjects, 'storeKey' | 'manifestSha256'>): Promise<void> {
  await store.protect(storeKey);
  if (manifestSha256 !== null) await store.protect(manifestKeyOf(storeKey));
}

/** Finished or not. Idempotent. @throws AppError STORAGE_UNAVAILABLE; StorageLocked when all is gone that is not locked */
export async function removeArchive(store: ArchiveStore, storeKey: string): Promise<void> {
  const keys = [storeKey, manifestKeyOf(storeKey)];
  for (const key of keys) await store.discardIncomplete(key);
  await deleteEach(keys, (key) => store.delete(key));
}

/** @throws AppError STORAGE_UNAVAILABLE where the store says that it has deleted it, and still has it */
export async function requireRemoved(store: ArchiveStore, storeKey: string): Promise<void> {
  for (const key of [storeKey, manifestKeyOf(storeKey)]) {
    if ((await store.stat(key)) !== null) throw new AppError('STORAGE_UNAVAILABLE', `The store still has ${key} after it was deleted`);
  }
}
