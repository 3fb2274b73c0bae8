import { AppError } from '#errors';
import { segmentsOf } from '../object-key.js';
import type { AppendResult, DirectParts, DirectUploads, IncompleteObject, ResumableObjects } from '../port.js';
import type { S3Bucket, StoredPart } from './s3-bucket.js';
import { ask, missing, s3Error } from './s3-error.js';
import { partBytesFor } from './s3-part-size.js';
import type { S3Removal } from './s3-removal.js';

/** A part is held in memory while it is filled. */
const leastPartBytes = 8 * 1024 * 1024;
const wishedDirectParts = 200;
/** No key of the store begins with a dot. */
const tailFolder = '.holdfast-tail/';

/** A multipart upload under the object's own key, and what is too small for a part in an object beside it. */
interface Progress {
  readonly uploadId: string | null;
  readonly parts: readonly StoredPart[];
  readonly tail: Buffer;
}

/**
 * Objects that arrive over many requests. The remainder of a request lies in an object that is named by the number of parts before it: whatever crash
 * leaves an older one, it does not fit and does not count.
 */
export class S3Resumable implements ResumableObjects, DirectUploads {
  constructor(
    private readonly bucket: S3Bucket,
    private readonly removal: S3Removal,
  ) {}

  async received(key: string): Promise<number> {
    segmentsOf(key);
    return ask('reading', key, async () => {
      const progress = await this.progress(key);
      return progress.uploadId === null ? ((await this.bucket.head(key))?.sizeBytes ?? 0) : sizeOf(progress);
    });
  }

  async append(key: string, offset: number, limitBytes: number, body: AsyncIterable<Buffer>): Promise<AppendResult> {
    segmentsOf(key);
    return ask('writing', key, async () => {
      const progress = await this.progress(key);
      const size = sizeOf(progress);
      if (size !== offset || (progress.uploadId === null && (await this.bucket.head(key)) !== null)) throw new AppError('UPLOAD_CONFLICT', `${size} bytes have arrived, not ${offset}`);
      const uploadId = progress.uploadId ?? (await this.beginAlone(key, true));
      return this.write(key, uploadId, { ...progress, uploadId }, limitBytes, body);
    });
  }

  async publish(key: string): Promise<void> {
    segmentsOf(key);
    await ask('writing', key, async () => {
      const { uploadId, parts, tail } = await this.progress(key);
      if (uploadId === null || (parts.length === 0 && tail.length === 0)) {
        if ((await this.bucket.head(key)) === null) throw missing(key);
        await this.dropTails(key);
        return;
      }
      const last = tail.length === 0 ? [] : [await this.bucket.putPart(key, uploadId, parts.length + 1, tail)];
      await this.bucket.complete(key, uploadId, [...parts, ...last]);
      await this.dropTails(key);
    });
  }

  async begin(key: string, sizeBytes: number, expiresInSeconds: number): Promise<DirectParts> {
    segmentsOf(key);
    return ask('writing', key, async () => {
      const partBytes = partBytesFor(sizeBytes, this.bucket.location.partBytes, wishedDirectParts);
      const uploadId = await this.beginAlone(key, false);
      const starts = Array.from({ length: Math.ceil(sizeBytes / partBytes) }, (_, index) => index * partBytes);
      const urls = starts.map((start, index) => this.bucket.signPart(key, uploadId, { number: index + 1, sizeBytes: Math.min(partBytes, sizeBytes - start) }, expiresInSeconds));
      return { partBytes, urls: await Promise.all(urls) };
    });
  }

  async dropTails(key: string): Promise<void> {
    for await (const tail of this.removal.keys(`${tailFolder}${key}/`)) await this.removal.remove(tail);
  }

  /** Keys with tails; each with the time of its tail. */
  async *tails(): AsyncGenerator<IncompleteObject, void, undefined> {
    for await (const { key, modifiedAt } of this.bucket.list(tailFolder)) yield { key: key.slice(tailFolder.length, key.lastIndexOf('/')), touchedAt: modifiedAt };
  }

  /** A request to begin whose answer was lost is sent again and begins twice: later requests could not tell which of the two has the parts. */
  private async beginAlone(key: string, summed: boolean): Promise<string> {
    const mine = await this.bucket.begin(key, { summed });
    for (const uploadId of await this.bucket.unfinished(key)) if (uploadId !== mine) await this.bucket.abort(key, uploadId);
    return mine;
  }

  private async progress(key: string): Promise<Progress> {
    const [uploadId] = await this.bucket.unfinished(key);
    if (uploadId === undefined) return { uploadId: null, parts: [], tail: Buffer.alloc(0) };
    const parts = await this.bucket.parts(key, uploadId);
    const name = tailKey(key, parts.length);
    const head = await this.bucket.head(name);
    return { uploadId, parts, tail: head === null || head.sizeBytes === 0 ? Buffer.alloc(0) : await this.bucket.getWhole(name, head.sizeBytes, head.etag) };
  }

  private async write(key: string, uploadId: string, { parts, tail }: Progress, limitBytes: number, body: AsyncIterable<Buffer>): Promise<AppendResult> {
    const partBytes = partBytesFor(limitBytes, leastPartBytes);
    let receivedBytes = sizeOf({ uploadId, parts, tail });
    let number = parts.length;
    let pending: Buffer[] = [tail];
    let pendingBytes = tail.length;
    const store = async (): Promise<void> => {
      const bytes = Buffer.concat(pending);
      for (let at = 0; at + partBytes <= bytes.length; at += partBytes) await this.bucket.putPart(key, uploadId, ++number, bytes.subarray(at, at + partBytes));
      const rest = bytes.subarray(Math.floor(bytes.length / partBytes) * partBytes);
      pending = [rest];
      pendingBytes = rest.length;
    };
    let brokenOff: unknown = null;
    try {
      for await (const chunk of body) {
        if (receivedBytes + chunk.length > limitBytes) {
          brokenOff = new AppError('ARCHIVE_TOO_LARGE', `More than the ${limitBytes} bytes that were announced are being sent`);
          break;
        }
        pending.push(Buffer.from(chunk));
        pendingBytes += chunk.length;
        receivedBytes += chunk.length;
        if (pendingBytes >= partBytes) await store().catch((error: unknown) => Promise.reject(s3Error(error, 'writing', key)));
      }
    } catch (error) {
      // Of the store itself: what it has not taken has not arrived. Of the sender: what arrived until then stays.
      if (error instanceof AppError && error.code.startsWith('STORAGE_')) throw error;
      brokenOff = error;
    }
    if (pendingBytes > 0 && !(number === parts.length && pendingBytes === tail.length)) await this.bucket.put(tailKey(key, number), Buffer.concat(pending));
    return { receivedBytes, brokenOff };
  }
}

function tailKey(key: string, after: number): string {
  return `${tailFolder}${key}/${after}`;
}

function sizeOf({ parts, tail }: Progress): number {
  return parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, tail.length);
}
