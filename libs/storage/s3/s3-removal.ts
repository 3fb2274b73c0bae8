import { AppError } from '#errors';
import { deleteEach, StorageLocked } from '../storage-locked.js';
import type { S3Bucket, StoredVersion } from './s3-bucket.js';
import { isRefused, isUntold } from './s3-error.js';

/** Deletes for good: in a bucket that keeps versions a mere deletion would only hide the bytes. */
export class S3Removal {
  constructor(private readonly bucket: S3Bucket) {}

  /**
   * Every version of this very key. Idempotent; true when something was deleted.
   *
   * @throws StorageLocked for what the store holds, when all else is gone; AppError STORAGE_UNAVAILABLE
   */
  async remove(key: string): Promise<boolean> {
    const found = await this.versionsOf(key);
    if (found === null) return this.removeOnly(key);
    await deleteEach(found, ({ versionId }) => this.removeVersion(key, versionId));
    if (found.length > 0 && ((await this.versionsOf(key)) ?? []).length > 0) throw new AppError('STORAGE_UNAVAILABLE', `The archive store still has ${key} after it was deleted`);
    return found.some(({ isMarker }) => !isMarker);
  }

  /** Keys below the prefix under which something lies, seen or hidden. */
  async *keys(prefix: string): AsyncGenerator<string, void, undefined> {
    let last: string | null = null;
    try {
      for await (const { key } of this.bucket.versions(prefix)) {
        if (key !== last) yield key;
        last = key;
      }
    } catch (error) {
      if (!isUntold(error)) throw error;
      for await (const { key } of this.bucket.list(prefix)) yield key;
    }
  }

  /** Null where the store does not tell. */
  private async versionsOf(key: string): Promise<StoredVersion[] | null> {
    const found: StoredVersion[] = [];
    try {
      // The key itself comes first of all that begin with it.
      for await (const version of this.bucket.versions(key)) {
        if (version.key !== key) break;
        found.push(version);
      }
      return found;
    } catch (error) {
      if (isUntold(error)) return null;
      throw error;
    }
  }

  private async removeOnly(key: string): Promise<boolean> {
    const head = await this.bucket.head(key);
    if (head === null) return false;
    if (head.versionId !== null) throw new AppError('STORAGE_UNAVAILABLE', `The bucket keeps versions, and ${key} cannot be deleted for good: its user needs s3:ListBucketVersions and s3:DeleteObjectVersion`);
    await this.bucket.delete(key);
    return true;
  }

  private async removeVersion(key: string, versionId: string): Promise<void> {
    try {
      await this.bucket.delete(key, versionId);
    } catch (error) {
      if (!isRefused(error)) throw error;
      const retention = await this.bucket.retention(key, versionId);
      if (retention !== null && retention.until > new Date()) throw new StorageLocked(key, retention.until, { cause: error });
      if (await this.bucket.isOnLegalHold(key, versionId)) throw new StorageLocked(key, null, { cause: error });
      throw error;
    }
  }
}
