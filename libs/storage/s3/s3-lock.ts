import { AppError } from '#errors';
import type { ObjectLock } from '../port.js';
import type { Retention, S3Bucket } from './s3-bucket.js';
import { isUnlockedBucket } from './s3-error.js';

const dayMs = 86_400_000;

/** The object lock that a store is to have, and the bucket's side of it. */
export class S3Lock {
  constructor(
    private readonly bucket: S3Bucket,
    readonly wanted: ObjectLock | null,
  ) {}

  /** For what is written now. */
  retention(): Retention | null {
    return this.wanted && { mode: this.wanted.mode, until: new Date(Date.now() + this.wanted.days * dayMs) };
  }

  /** @throws AppError OBJECT_LOCK_UNFIT */
  async requireBucket(): Promise<void> {
    if (this.wanted === null) return;
    const found = await this.bucket.lockConfiguration();
    if (!found.isEnabled) throw new AppError('OBJECT_LOCK_UNFIT', `The bucket ${this.bucket.location.bucket} has no object lock`);
    if (found.locksByItself) throw locksByItself(this.bucket.location.bucket);
  }

  /** A begin that is refused because the bucket cannot lock says so. */
  async begin(key: string): Promise<string> {
    try {
      return await this.bucket.begin(key, { retention: this.retention() });
    } catch (error) {
      if (this.wanted !== null && isUnlockedBucket(error)) await this.requireBucket();
      throw error;
    }
  }

  /** Never shortens a retention that is there, nor changes its mode. */
  async protect(key: string): Promise<void> {
    const wanted = this.retention();
    if (wanted === null) return;
    const head = await this.bucket.head(key);
    if (head === null) return;
    const found = await this.bucket.retention(key, head.versionId);
    if (found !== null && found.until >= wanted.until) return;
    await this.bucket.retain(key, head.versionId, { mode: found !== null && found.until > new Date() ? found.mode : wanted.mode, until: wanted.until });
  }
}

/** What Holdfast writes for a moment would stay as well, with every check of the store. */
export function locksByItself(bucket: string): AppError {
  return new AppError('OBJECT_LOCK_UNFIT', `The bucket ${bucket} locks by a rule of its own all that is put into it`);
}
