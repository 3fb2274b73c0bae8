import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, type CompletedPart, CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, GetObjectLegalHoldCommand, GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, ListObjectVersionsCommand, ListPartsCommand, PutObjectCommand, PutObjectRetentionCommand, S3Client, UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { ObjectInfo, ObjectLock } from '../port.js';
import { isConflict, isMissing, isNoSuchUpload, isUnknownRequest, isUnlockedBucket, isUntold } from './s3-error.js';
import type { S3Location } from './s3-location.js';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface StoredPart {
  readonly number: number;
  readonly sizeBytes: number;
  readonly completed: CompletedPart;
}

export interface MultipartInfo {
  readonly key: string;
  readonly uploadId: string;
  readonly begunAt: Date;
}

export interface HeadInfo {
  readonly sizeBytes: number;
  readonly etag: string | undefined;
  readonly modifiedAt: Date;
  /** Null in a bucket without versions. */
  readonly versionId: string | null;
}

/** Bytes under a key, or a mark that hides those before it. */
export interface StoredVersion {
  readonly key: string;
  readonly versionId: string;
  readonly isMarker: boolean;
}

export interface Retention {
  readonly mode: ObjectLock['mode'];
  readonly until: Date;
}

/** Each with the pauses of the SDK's standard mode between. */
const tries = 5;
const connectMs = 10_000;
const silenceMs = 60_000;

/** The requests that the store is made of; keys are the store's own, without the prefix of the bucket. Errors are the SDK's. */
export class S3Bucket {
  private readonly client: S3Client;
  private readonly signer: S3Client;
  private readonly unsummed: S3Client;

  constructor(
    readonly location: S3Location,
    credentials: S3Credentials | null,
  ) {
    this.client = clientOf(location, location.endpoint, credentials, 'WHEN_SUPPORTED');
    // Whoever is given an address of a part sends no checksum with it.
    this.signer = clientOf(location, location.publicEndpoint ?? location.endpoint, credentials, 'WHEN_REQUIRED');
    this.unsummed = clientOf(location, location.endpoint, credentials, 'WHEN_REQUIRED');
  }

  async head(key: string): Promise<HeadInfo | null> {
    try {
      const { ContentLength, ETag, LastModified, VersionId } = await this.client.send(new HeadObjectCommand(this.named(key)));
      return { sizeBytes: ContentLength ?? 0, etag: ETag, modifiedAt: LastModified ?? new Date(0), versionId: VersionId === undefined || VersionId === 'null' ? null : VersionId };
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.requireBucket();
      return null;
    }
  }

  /** The answer to HEAD has no words: that the bucket is not there sounds as if the object were not. Archives would be taken for lost, or for deleted. */
  private async requireBucket(): Promise<void> {
    await this.client.send(new ListObjectsV2Command({ Bucket: this.location.bucket, Prefix: this.location.prefix, MaxKeys: 1 }));
  }

  /** Bytes `start` up to, not including, `end`, as they arrive; a connection that breaks ends the iteration with an error. */
  async get(key: string, start: number, end: number, etag: string | undefined): Promise<AsyncIterable<Uint8Array>> {
    const { Body } = await this.client.send(new GetObjectCommand({ ...this.named(key), Range: `bytes=${start}-${end - 1}`, ...(etag === undefined ? {} : { IfMatch: etag }) }));
    if (Body === undefined) throw new Error('The answer has no body');
    return Body as unknown as AsyncIterable<Uint8Array>;
  }

  /** A small object. */
  async getWhole(key: string, sizeBytes: number, etag: string | undefined): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await this.get(key, 0, sizeBytes, etag)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** At most so many bytes of a small object; null where there is none. */
  async getStart(key: string, mostBytes: number): Promise<Buffer | null> {
    try {
      const { Body } = await this.client.send(new GetObjectCommand(this.named(key)));
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of (Body ?? []) as AsyncIterable<Uint8Array>) {
        chunks.push(chunk);
        if ((length += chunk.length) >= mostBytes) break;
      }
      return Buffer.concat(chunks).subarray(0, mostBytes);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.requireBucket();
      return null;
    }
  }

  /** False where there is one. A store that knows no conditions is asked before instead. */
  async putNew(key: string, body: Buffer): Promise<boolean> {
    try {
      await this.client.send(new PutObjectCommand({ ...this.named(key), Body: body, ContentLength: body.length, IfNoneMatch: '*' }));
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      if (!isUnknownRequest(error)) throw error;
      if ((await this.head(key)) !== null) return false;
      await this.put(key, body);
      return true;
    }
  }

  async put(key: string, body: Buffer, retention: Retention | null = null): Promise<void> {
    await this.client.send(new PutObjectCommand({ ...this.named(key), Body: body, ContentLength: body.length, ...lockOf(retention) }));
  }

  /** Without a version: in a bucket that keeps them it is hidden, no more. */
  async delete(key: string, versionId: string | null = null): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ ...this.named(key), ...versionOf(versionId) }));
  }

  /** Everything below the prefix, hidden or not, in the order of the keys; in a bucket without versions each object once. */
  async *versions(prefix: string): AsyncGenerator<StoredVersion, void, undefined> {
    for (let markers: { KeyMarker?: string; VersionIdMarker?: string } = {}; ; ) {
      const page = await this.client.send(new ListObjectVersionsCommand({ Bucket: this.location.bucket, Prefix: this.location.prefix + prefix, ...markers }));
      const found = [...(page.Versions ?? []).map((version) => ({ ...version, isMarker: false })), ...(page.DeleteMarkers ?? []).map((marker) => ({ ...marker, isMarker: true }))];
      for (const { Key = '', VersionId = 'null', isMarker } of found.sort((a, b) => Buffer.compare(Buffer.from(a.Key ?? ''), Buffer.from(b.Key ?? '')))) {
        yield { key: Key.slice(this.location.prefix.length), versionId: VersionId, isMarker };
      }
      if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
      markers = { KeyMarker: page.NextKeyMarker, ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }) };
    }
  }

  /** Null where there is none, or where the store does not tell. */
  async retention(key: string, versionId: string | null): Promise<Retention | null> {
    try {
      const { Retention: found } = await this.client.send(new GetObjectRetentionCommand({ ...this.named(key), ...versionOf(versionId) }));
      return found?.Mode === undefined || found.RetainUntilDate === undefined ? null : { mode: found.Mode, until: found.RetainUntilDate };
    } catch (error) {
      if (isMissing(error) || isUnlockedBucket(error) || isUntold(error)) return null;
      throw error;
    }
  }

  async retain(key: string, versionId: string | null, { mode, until }: Retention): Promise<void> {
    await this.client.send(new PutObjectRetentionCommand({ ...this.named(key), ...versionOf(versionId), Retention: { Mode: mode, RetainUntilDate: until } }));
  }

  async isOnLegalHold(key: string, versionId: string | null): Promise<boolean> {
    try {
      return (await this.client.send(new GetObjectLegalHoldCommand({ ...this.named(key), ...versionOf(versionId) }))).LegalHold?.Status === 'ON';
    } catch (error) {
      if (isMissing(error) || isUnlockedBucket(error) || isUntold(error)) return false;
      throw error;
    }
  }

  async lockConfiguration(): Promise<{ readonly isEnabled: boolean; readonly locksByItself: boolean }> {
    try {
      const { ObjectLockConfiguration: found } = await this.client.send(new GetObjectLockConfigurationCommand({ Bucket: this.location.bucket }));
      return { isEnabled: found?.ObjectLockEnabled === 'Enabled', locksByItself: found?.Rule?.DefaultRetention !== undefined };
    } catch (error) {
      if (isUnlockedBucket(error)) return { isEnabled: false, locksByItself: false };
      throw error;
    }
  }

  /** Everything below the prefix, in the order of the keys, what the store keeps for itself included. */
  async *list(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
    for (let token: string | undefined; ; ) {
      const page = await this.client.send(new ListObjectsV2Command({ Bucket: this.location.bucket, Prefix: this.location.prefix + prefix, ...(token === undefined ? {} : { ContinuationToken: token }) }));
      for (const { Key = '', Size = 0, LastModified = new Date(0) } of page.Contents ?? []) yield { key: Key.slice(this.location.prefix.length), sizeBytes: Size, modifiedAt: LastModified };
      if (page.IsTruncated !== true) return;
      token = page.NextContinuationToken;
    }
  }

  /** @param options.summed whether each part comes with a checksum, as ours do */
  async begin(key: string, { summed = true, retention = null }: { readonly summed?: boolean; readonly retention?: Retention | null } = {}): Promise<string> {
    const { UploadId } = await (summed ? this.client : this.unsummed).send(new CreateMultipartUploadCommand({ ...this.named(key), ContentType: 'application/octet-stream', ...(summed ? { ChecksumAlgorithm: 'CRC32' } : {}), ...lockOf(retention) }));
    if (UploadId === undefined) throw new Error('The answer names no upload');
    return UploadId;
  }

  /** The same bytes are sent again where a try fails. */
  async putPart(key: string, uploadId: string, number: number, body: Buffer): Promise<StoredPart> {
    const { ETag, ChecksumCRC32 } = await this.client.send(new UploadPartCommand({ ...this.named(key), UploadId: uploadId, PartNumber: number, Body: body, ContentLength: body.length, ChecksumAlgorithm: 'CRC32' }));
    return partOf(number, body.length, ETag, ChecksumCRC32);
  }

  async parts(key: string, uploadId: string): Promise<StoredPart[]> {
    const found: StoredPart[] = [];
    for (let marker: string | undefined; ; ) {
      const page = await this.client.send(new ListPartsCommand({ ...this.named(key), UploadId: uploadId, ...(marker === undefined ? {} : { PartNumberMarker: marker }) }));
      for (const { PartNumber = 0, Size = 0, ETag, ChecksumCRC32 } of page.Parts ?? []) found.push(partOf(PartNumber, Size, ETag, ChecksumCRC32));
      if (page.IsTruncated !== true || page.NextPartNumberMarker === undefined) return found.sort((a, b) => a.number - b.number);
      marker = page.NextPartNumberMarker;
    }
  }

  async complete(key: string, uploadId: string, parts: readonly StoredPart[]): Promise<void> {
    await this.client.send(new CompleteMultipartUploadCommand({ ...this.named(key), UploadId: uploadId, MultipartUpload: { Parts: parts.map(({ completed }) => completed) } }));
  }

  /** Idempotent. */
  async abort(key: string, uploadId: string): Promise<void> {
    try {
      await this.client.send(new AbortMultipartUploadCommand({ ...this.named(key), UploadId: uploadId }));
    } catch (error) {
      if (!isNoSuchUpload(error) && !isMissing(error)) throw error;
    }
  }

  /** Ids of the unfinished uploads of this very key, the latest first. */
  async unfinished(key: string): Promise<string[]> {
    const found: MultipartInfo[] = [];
    for await (const upload of this.multiparts(key)) if (upload.key === key) found.push(upload);
    return found.sort((a, b) => b.begunAt.getTime() - a.begunAt.getTime()).map(({ uploadId }) => uploadId);
  }

  /** Every unfinished upload below the prefix. */
  async *multiparts(prefix: string): AsyncGenerator<MultipartInfo, void, undefined> {
    for (let markers: { KeyMarker?: string; UploadIdMarker?: string } = {}; ; ) {
      const page = await this.client.send(new ListMultipartUploadsCommand({ Bucket: this.location.bucket, Prefix: this.location.prefix + prefix, ...markers }));
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key !== undefined && UploadId !== undefined) yield { key: Key.slice(this.location.prefix.length), uploadId: UploadId, begunAt: Initiated ?? new Date() };
      }
      if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
      markers = { KeyMarker: page.NextKeyMarker, ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }) };
    }
  }

  /** An address that takes this part by PUT, without credentials, and a body of no other length. */
  signPart(key: string, uploadId: string, { number, sizeBytes }: Pick<StoredPart, 'number' | 'sizeBytes'>, expiresInSeconds: number): Promise<string> {
    const part = new UploadPartCommand({ ...this.named(key), UploadId: uploadId, PartNumber: number, ContentLength: sizeBytes });
    return getSignedUrl(this.signer, part, { expiresIn: expiresInSeconds, signableHeaders: new Set(['content-length', 'host']) });
  }

  private named(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.location.bucket, Key: this.location.prefix + key };
  }
}

function clientOf({ region }: S3Location, endpoint: string | null, credentials: S3Credentials | null, requestChecksumCalculation: 'WHEN_SUPPORTED' | 'WHEN_REQUIRED'): S3Client {
  return new S3Client({
    region,
    maxAttempts: tries,
    requestChecksumCalculation,
    requestHandler: { connectionTimeout: connectMs, requestTimeout: silenceMs },
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    ...(credentials === null ? {} : { credentials }),
  });
}

function partOf(number: number, sizeBytes: number, etag: string | undefined, crc32: string | undefined): StoredPart {
  return { number, sizeBytes, completed: { PartNumber: number, ...(etag === undefined ? {} : { ETag: etag }), ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32 }) } };
}

function versionOf(versionId: string | null): { readonly VersionId?: string } {
  return versionId === null ? {} : { VersionId: versionId };
}

function lockOf(retention: Retention | null) {
  return retention === null ? {} : { ObjectLockMode: retention.mode, ObjectLockRetainUntilDate: retention.until };
}
