import { randomBytes } from 'node:crypto';
import { AppError } from '#errors';
import { checkPrefix, segmentsOf } from '../object-key.js';
import { StorageLocked } from '../storage-locked.js';
import type { ArchiveStore, DirectUploads, IncompleteObject, ObjectInfo, ObjectLock, ObjectUpload, ResumableObjects, StoredObject } from '../port.js';
import { S3Bucket, type S3Credentials } from './s3-bucket.js';
import { ask, missing, s3Error } from './s3-error.js';
import type { S3Location } from './s3-location.js';
import { locksByItself, S3Lock } from './s3-lock.js';
import { S3Mark } from './s3-mark.js';
import { S3Object } from './s3-object.js';
import { S3Removal } from './s3-removal.js';
import { S3Resumable } from './s3-resumable.js';
import { S3Upload } from './s3-upload.js';

/** A bucket, or a part of one, of Amazon S3 or of a store that speaks as it does. */
export class S3ArchiveStore implements ArchiveStore {
  readonly location: string;
  readonly resumable: ResumableObjects;
  readonly direct: DirectUploads;
  readonly lock: ObjectLock | null;
  readonly mark: S3Mark;
  private readonly bucket: S3Bucket;
  private readonly bucketLock: S3Lock;
  private readonly removal: S3Removal;
  private readonly pieces: S3Resumable;

  /** @param credentials null: by the usual AWS variables, files and services */
  constructor(location: S3Location, credentials: S3Credentials | null = null) {
    this.bucket = new S3Bucket(location, credentials);
    this.location = `s3://${location.bucket}/${location.prefix}`;
    this.lock = location.lock;
    this.bucketLock = new S3Lock(this.bucket, location.lock);
    this.removal = new S3Removal(this.bucket);
    this.mark = new S3Mark(this.bucket);
    this.pieces = new S3Resumable(this.bucket, this.removal);
    this.resumable = this.pieces;
    this.direct = this.pieces;
  }

  async create(key: string): Promise<ObjectUpload> {
    segmentsOf(key);
    return new S3Upload(this.bucket, key, await ask('writing', key, () => this.bucketLock.begin(key)), this.bucketLock);
  }

  async open(key: string): Promise<StoredObject> {
    segmentsOf(key);
    const head = await ask('reading', key, () => this.bucket.head(key));
    if (head === null) throw missing(key);
    return new S3Object(this.bucket, key, head.sizeBytes, head.etag);
  }

  async stat(key: string): Promise<ObjectInfo | null> {
    segmentsOf(key);
    const head = await ask('reading', key, () => this.bucket.head(key));
    return head && { key, sizeBytes: head.sizeBytes, modifiedAt: head.modifiedAt };
  }

  async delete(key: string): Promise<boolean> {
    segmentsOf(key);
    return ask('deleting', key, () => this.removal.remove(key));
  }

  async protect(key: string): Promise<void> {
    segmentsOf(key);
    await ask('locking', key, () => this.bucketLock.protect(key));
  }

  async *allKeys(prefix: string): AsyncGenerator<string, void, undefined> {
    checkPrefix(prefix);
    try {
      for await (const key of this.removal.keys(prefix)) if (!key.startsWith('.')) yield key;
    } catch (error) {
      throw s3Error(error, 'listing', `${prefix}*`);
    }
  }

  async requireLock(): Promise<void> {
    await ask('checking', 'itself', () => this.bucketLock.requireBucket());
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
    checkPrefix(prefix);
    try {
      for await (const info of this.bucket.list(prefix)) if (!info.key.startsWith('.')) yield info;
    } catch (error) {
      throw s3Error(error, 'listing', `${prefix}*`);
    }
  }

  async discardIncomplete(key: string): Promise<void> {
    segmentsOf(key);
    await ask('removing the unfinished', key, async () => {
      for (const uploadId of await this.bucket.unfinished(key)) await this.bucket.abort(key, uploadId);
      await this.pieces.dropTails(key);
    });
  }

  async *incomplete(): AsyncGenerator<IncompleteObject, void, undefined> {
    try {
      for await (const { key, begunAt } of this.bucket.multiparts('')) yield { key, touchedAt: begunAt };
      yield* this.pieces.tails();
    } catch (error) {
      throw s3Error(error, 'listing', 'unfinished uploads');
    }
  }

  freeBytes(): Promise<null> {
    return Promise.resolve(null);
  }

  async check(): Promise<void> {
    const probe = `.holdfast-probe-${randomBytes(8).toString('hex')}`;
    const content = randomBytes(64);
    await ask('checking', 'itself', async () => {
      await this.bucketLock.requireBucket();
      await this.bucket.put(probe, content);
      const kept = await this.bucket.getWhole(probe, content.length, undefined);
      await this.removal.remove(probe).catch((error: unknown) => {
        throw error instanceof StorageLocked ? locksByItself(this.bucket.location.bucket) : error;
      });
      if (!kept.equals(content)) throw new AppError('STORAGE_UNAVAILABLE', 'The archive store gave back other bytes than were written');
    });
  }
}
