import { markPlace, mostMarkBytes } from '../mark-place.js';
import type { StoreMark } from '../port.js';
import type { S3Bucket } from './s3-bucket.js';
import { ask } from './s3-error.js';

const key = markPlace.join('/');

export class S3Mark implements StoreMark {
  constructor(private readonly bucket: S3Bucket) {}

  read(): Promise<string | null> {
    return ask('reading', key, async () => (await this.bucket.getStart(key, mostMarkBytes))?.toString('utf8') ?? null);
  }

  create(text: string): Promise<boolean> {
    return ask('writing', key, () => this.bucket.putNew(key, Buffer.from(text)));
  }
}
