import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { AppError } from '#errors';
import type { ObjectUpload } from '../port.js';
import type { S3Bucket, StoredPart } from './s3-bucket.js';
import { s3Error } from './s3-error.js';
import type { S3Lock } from './s3-lock.js';
import { mostParts } from './s3-part-size.js';

/** Parts that are under way; one more is being filled. */
const sideBySide = 2;

/** A multipart upload in bounded memory. Its length in the bucket is compared with what was written before it counts. */
export class S3Upload implements ObjectUpload {
  readonly body: Writable;
  private filling: Buffer[] = [];
  private fillingBytes = 0;
  private writtenBytes = 0;
  private number = 0;
  private readonly underWay = new Set<Promise<void>>();
  private readonly stored: StoredPart[] = [];
  private failure: AppError | null = null;
  private state: 'open' | 'committed' | 'gone' = 'open';

  constructor(
    private readonly bucket: S3Bucket,
    private readonly key: string,
    private readonly uploadId: string,
    private readonly lock: S3Lock,
  ) {
    this.body = new Writable({
      highWaterMark: 1024 * 1024,
      write: (chunk: Buffer, _encoding, done) => void this.append(chunk).then(() => done(), done),
      final: (done) => void this.flush().then(() => done(), done),
      decodeStrings: true,
    });
    // A failure is seen by whoever writes and by commit; nobody else has to listen.
    this.body.on('error', () => undefined);
  }

  async commit(): Promise<void> {
    if (this.state !== 'open') throw new Error(this.state === 'gone' ? 'The upload was aborted' : 'The upload is committed already');
    try {
      this.body.end();
      await finished(this.body);
      await this.settle();
      if (this.writtenBytes === 0) {
        // A multipart upload has a part of at least one byte.
        await this.bucket.put(this.key, Buffer.alloc(0), this.lock.retention());
        await this.bucket.abort(this.key, this.uploadId);
      } else await this.bucket.complete(this.key, this.uploadId, this.stored.toSorted((a, b) => a.number - b.number));
      const head = await this.bucket.head(this.key);
      if (head?.sizeBytes !== this.writtenBytes) throw new AppError('STORAGE_UNAVAILABLE', `The archive store kept ${head?.sizeBytes ?? 0} of ${this.writtenBytes} bytes of ${this.key}`);
      this.state = 'committed';
    } catch (error) {
      await this.abort().catch(() => undefined);
      throw s3Error(error, 'writing', this.key);
    }
  }

  async abort(): Promise<void> {
    if (this.state !== 'open') return;
    this.state = 'gone';
    const closed = finished(this.body).catch(() => undefined);
    this.body.destroy();
    await closed;
    // A part that arrives after the abort would stay.
    await Promise.all(this.underWay);
    this.filling = [];
    try {
      await this.bucket.abort(this.key, this.uploadId);
    } catch (error) {
      throw s3Error(error, 'removing the unfinished', this.key);
    }
  }

  private async append(chunk: Buffer): Promise<void> {
    const { partBytes } = this.bucket.location;
    for (let rest = chunk; rest.length > 0; ) {
      if (this.failure !== null) throw this.failure;
      const taken = rest.subarray(0, partBytes - this.fillingBytes);
      // The writer may use its buffer again once it is called back.
      this.filling.push(Buffer.from(taken));
      this.fillingBytes += taken.length;
      this.writtenBytes += taken.length;
      rest = rest.subarray(taken.length);
      if (this.fillingBytes === partBytes) await this.send();
    }
  }

  private async flush(): Promise<void> {
    if (this.fillingBytes > 0) await this.send();
    await this.settle();
  }

  /** Resolves when the next part may be filled. */
  private async send(): Promise<void> {
    while (this.underWay.size >= sideBySide) await Promise.race(this.underWay);
    if (this.failure !== null) throw this.failure;
    this.number += 1;
    if (this.number > mostParts) throw new AppError('STORAGE_FULL', `The archive has more than ${mostParts} parts of ${this.bucket.location.partBytes} bytes: set a larger partMiB in the address of the store`);
    const body = Buffer.concat(this.filling);
    this.filling = [];
    this.fillingBytes = 0;
    const sending = this.bucket
      .putPart(this.key, this.uploadId, this.number, body)
      .then(
        (part) => void this.stored.push(part),
        (error: unknown) => void (this.failure ??= s3Error(error, 'writing', this.key)),
      )
      .finally(() => this.underWay.delete(sending));
    this.underWay.add(sending);
  }

  private async settle(): Promise<void> {
    await Promise.all(this.underWay);
    if (this.failure !== null) throw this.failure;
  }
}
