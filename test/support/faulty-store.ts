import { Writable } from 'node:stream';
import { AppError } from '../../libs/errors/index.ts';
import type { ArchiveStore, DirectUploads, IncompleteObject, ObjectInfo, ObjectLock, ObjectUpload, ResumableObjects, StoredObject, StoreMark } from '../../libs/storage/index.ts';

export interface StoreFaults {
  /** Each upload fails with STORAGE_FULL when it reaches this many bytes. */
  fullAtByte?: number;
  /** Each commit says it succeeded, but this many bytes at the end were not kept. */
  loseLastBytes?: number;
  /** This many reads fail (Infinity: all of them). */
  failingReads?: number;
  /** Finished objects cannot be deleted. */
  refusesDeletes?: boolean;
  /** Finished objects that it says it has deleted are still there. */
  keepsDeleted?: boolean;
  /** This byte of what is written is stored with one bit turned. */
  flipBitAtByte?: number;
}

/** Passes everything on to a real store, but for the faults that are set; they may be changed at any time. */
export class FaultyStore implements ArchiveStore {
  readonly faults: StoreFaults;

  constructor(
    private readonly inner: ArchiveStore,
    faults: StoreFaults = {},
  ) {
    this.faults = faults;
  }

  get location(): string {
    return this.inner.location;
  }

  get resumable(): ResumableObjects {
    return this.inner.resumable;
  }

  get direct(): DirectUploads | null {
    return this.inner.direct;
  }

  get lock(): ObjectLock | null {
    return this.inner.lock;
  }

  get mark(): StoreMark {
    return this.inner.mark;
  }

  protect(key: string): Promise<void> {
    return this.inner.protect(key);
  }

  requireLock(): Promise<void> {
    return this.inner.requireLock();
  }

  allKeys(prefix: string): AsyncIterable<string> {
    return this.inner.allKeys(prefix);
  }

  async create(key: string): Promise<ObjectUpload> {
    const upload = await this.inner.create(key);
    const { faults, inner } = this;
    let seen = 0;
    // Held back so that they can be lost: a short store is told apart only by reading it.
    let heldBack = Buffer.alloc(0);
    const forward = (bytes: Buffer) =>
      new Promise<void>((resolve, reject) => {
        if (bytes.length === 0) resolve();
        else upload.body.write(bytes, (error) => (error ? reject(error) : resolve()));
      });
    const body = new Writable({
      highWaterMark: upload.body.writableHighWaterMark,
      write(chunk: Buffer, _encoding, done) {
        const start = seen;
        seen += chunk.length;
        if (faults.fullAtByte !== undefined && seen > faults.fullAtByte) {
          done(new AppError('STORAGE_FULL', `The archive store is full; writing ${key} was given up`));
          return;
        }
        const bytes = Buffer.concat([heldBack, turned(chunk, start, faults.flipBitAtByte)]);
        const keep = Math.max(0, bytes.length - (faults.loseLastBytes ?? 0));
        heldBack = bytes.subarray(keep);
        forward(bytes.subarray(0, keep)).then(() => done(), done);
      },
    });
    body.on('error', () => undefined);
    return {
      body,
      commit: async () => {
        await new Promise<void>((resolve, reject) => {
          body.once('error', reject);
          if (body.errored) reject(body.errored);
          else body.end(() => resolve());
        });
        if (faults.loseLastBytes === undefined) await forward(heldBack);
        await upload.commit();
      },
      abort: async () => {
        body.destroy();
        await upload.abort();
        await inner.discardIncomplete(key);
      },
    };
  }

  async open(key: string): Promise<StoredObject> {
    const object = await this.inner.open(key);
    const mayFail = () => {
      if ((this.faults.failingReads ?? 0) <= 0) return;
      this.faults.failingReads = (this.faults.failingReads ?? 0) - 1;
      throw new AppError('STORAGE_UNAVAILABLE', `The archive store failed while reading ${key} (EIO)`);
    };
    return {
      sizeBytes: object.sizeBytes,
      read: (offset, length) => {
        mayFail();
        return object.read(offset, length);
      },
      async *stream(start, end) {
        for await (const chunk of object.stream(start, end)) {
          mayFail();
          yield chunk;
        }
      },
      close: () => object.close(),
    };
  }

  stat(key: string): Promise<ObjectInfo | null> {
    return this.inner.stat(key);
  }

  delete(key: string): Promise<boolean> {
    if (this.faults.refusesDeletes === true) return Promise.reject(new AppError('STORAGE_UNAVAILABLE', `The archive store failed while deleting ${key} (EIO)`));
    return this.faults.keepsDeleted === true ? Promise.resolve(true) : this.inner.delete(key);
  }

  list(prefix: string): AsyncIterable<ObjectInfo> {
    return this.inner.list(prefix);
  }

  incomplete(): AsyncIterable<IncompleteObject> {
    return this.inner.incomplete();
  }

  discardIncomplete(key: string): Promise<void> {
    return this.inner.discardIncomplete(key);
  }

  freeBytes(): Promise<number | null> {
    return this.inner.freeBytes();
  }

  check(): Promise<void> {
    return this.inner.check();
  }
}

function turned(chunk: Buffer, start: number, at: number | undefined): Buffer {
  if (at === undefined || at < start || at >= start + chunk.length) return chunk;
  const copy = Buffer.from(chunk);
  copy[at - start] = (copy[at - start] ?? 0) ^ 1;
  return copy;
}
