import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import type { AppendResult, ArchiveStore } from '#storage';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { notFound } from '../platform/graphql/global-id.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import { requireNotSuspended, TenantsService } from '../tenants/tenants.service.js';
import { hashOfToken } from '../platform/secrets/link-token.js';
import type { UploadEntity } from './upload.entity.js';
import { UploadsRepository } from './uploads.repository.js';

const leaseMs = 15_000;
const renewEveryMs = 4_000;
/** A sender that is silent for longer has gone, and the request with which it comes back, perhaps to another process, must not wait for long. */
const silenceMs = 7_000;

/** Takes the bytes of uploads, for whoever has the token. */
@Injectable()
export class UploadReception {
  /** Requests of this process that are receiving; a newer one of the same upload ends the older one, whose connection is dead. */
  private readonly receiving = new Map<string, { readonly stop: AbortController; readonly ended: Promise<unknown> }>();

  constructor(
    private readonly access: AccessService,
    private readonly uploads: UploadsRepository,
    private readonly tenants: TenantsService,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** @throws AppError NOT_FOUND, UPLOAD_EXPIRED, ADDRESS_REFUSED, TENANT_SUSPENDED */
  async find(token: string, address: string): Promise<UploadEntity> {
    const hash = hashOfToken(token);
    const found = hash === null ? null : await this.uploads.findByToken(hash);
    if (found === null || found.upload.protocol !== 'TUS') throw notFound('Upload');
    if (found.isExpired || found.upload.state === 'REFUSED') throw new AppError('UPLOAD_EXPIRED', found.isExpired ? 'The upload has expired' : 'The upload was refused');
    await this.access.requireAddress(found.upload, address, Permission.RESTORE_RUN);
    requireNotSuspended(await this.tenants.get(found.upload));
    return found.upload;
  }

  received(upload: UploadEntity): Promise<number> {
    return upload.state === 'OPEN' ? this.store.resumable.received(upload.storeKey) : Promise.resolve(upload.sizeBytes);
  }

  /**
   * Appends what `body` brings until it ends or breaks off; what has arrived stays.
   *
   * @throws AppError UPLOAD_CONFLICT, UPLOAD_BUSY, ARCHIVE_TOO_LARGE, STORAGE_FULL, STORAGE_UNAVAILABLE
   */
  async receive(upload: UploadEntity, offset: number, body: AsyncIterable<Buffer>): Promise<AppendResult> {
    if (upload.state !== 'OPEN') throw new AppError('UPLOAD_CONFLICT', 'The upload is complete already');
    const earlier = this.receiving.get(upload.id);
    earlier?.stop.abort(new AppError('UPLOAD_BUSY', 'The upload goes on in another request'));
    await earlier?.ended;
    const stop = new AbortController();
    const work = this.append(upload, offset, body, stop.signal);
    const entry = { stop, ended: work.catch(() => undefined) };
    this.receiving.set(upload.id, entry);
    try {
      return await work;
    } finally {
      if (this.receiving.get(upload.id) === entry) this.receiving.delete(upload.id);
    }
  }

  /** Removes the bytes and the row at the sender's own wish. */
  async discard(upload: UploadEntity): Promise<void> {
    if (upload.state !== 'OPEN') throw new AppError('UPLOAD_CONFLICT', 'The upload is complete already');
    await this.leased(upload, async () => {
      await this.store.discardIncomplete(upload.storeKey);
      await this.store.delete(upload.storeKey);
      await this.uploads.delete(upload, upload.id);
    });
  }

  private append(upload: UploadEntity, offset: number, body: AsyncIterable<Buffer>, signal: AbortSignal): Promise<AppendResult> {
    return this.leased(upload, (renew) => this.store.resumable.append(upload.storeKey, offset, upload.sizeBytes, attended(body, signal, renew)));
  }

  /** `work` is given a function that keeps the lease, to be called as long as bytes move. */
  async leased<T>(upload: UploadEntity, work: (renew: () => Promise<void>, writer: string) => Promise<T>): Promise<T> {
    const writer = randomUUID();
    const renew = async (): Promise<void> => {
      if (!(await this.uploads.takeLease(upload.id, writer, leaseMs))) throw new AppError('UPLOAD_BUSY', 'The upload is being written or checked by another request');
    };
    await renew();
    let renewedAt = performance.now();
    try {
      return await work(async () => {
        if (performance.now() - renewedAt < renewEveryMs) return;
        await renew();
        renewedAt = performance.now();
      }, writer);
    } finally {
      await this.uploads.endLease(upload.id, writer);
    }
  }
}

/** Passes `body` on while it moves: a silent sender would keep the lease from the request with which it comes back. */
async function* attended(body: AsyncIterable<Buffer>, signal: AbortSignal, renew: () => Promise<void>): AsyncGenerator<Buffer, void, undefined> {
  const chunks = body[Symbol.asyncIterator]();
  for (;;) {
    const next = await inTime(chunks.next(), signal);
    if (next.done === true) return;
    await renew();
    yield next.value;
  }
}

function inTime<T>(next: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('Stopped'));
    const timer = setTimeout(() => reject(new AppError('UPLOAD_BUSY', 'The sender was silent for too long')), silenceMs);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    next.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    });
  });
}
