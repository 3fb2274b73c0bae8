import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { openPlainArchive, type PlainArchive, scanPayload, type ScanResult } from '#archive';
import type { PayloadSource, Work } from '#engines';
import { AppError } from '#errors';
import type { ArchiveStore, StoredObject } from '#storage';
import type { TenantScope } from '../access/access.service.js';
import { type ArchivedNamespace, ArchiveFiles, definitionsOf, type StoredArchive } from '../backups/archive-files.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import type { NamespaceShape } from './collection-diff.js';
import type { RestoreSource, SourceRef, VerifiedArchive } from './restore-source.js';

/** Opens what a plan or a restore reads from. */
@Injectable()
export class RestoreSources {
  constructor(
    private readonly files: ArchiveFiles,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** @throws AppError ARCHIVE_*, KEY_*, STORAGE_UNAVAILABLE */
  async open(scope: TenantScope, ref: SourceRef): Promise<RestoreSource> {
    if (ref.kind === 'BACKUP') return new BackupSource(await this.files.open(scope, ref), ref.sizeBytes);
    const object = await this.store.open(ref.storeKey);
    try {
      return new PlainSource(object, await openPlainArchive(object), ref.sha256);
    } catch (error) {
      await object.close();
      throw error;
    }
  }
}

class BackupSource implements RestoreSource {
  constructor(
    private readonly archive: StoredArchive,
    private readonly sizeBytes: number,
  ) {}

  async shapes(): Promise<readonly NamespaceShape[]> {
    return (await this.archive.definitions()).map(toShape);
  }

  async verify(work: Work): Promise<VerifiedArchive> {
    await this.archive.verify(work);
    return { payload: this.archive.payload, bytesRead: this.sizeBytes };
  }

  close(): Promise<void> {
    return this.archive.close();
  }
}

/** A mongodump archive of the public tools: it has no trailer, so only reading it whole tells what it holds. */
class PlainSource implements RestoreSource {
  private scanned: ScanResult | null = null;

  constructor(
    private readonly object: StoredObject,
    private readonly archive: PlainArchive,
    private readonly sha256: string,
  ) {}

  async shapes(work: Work): Promise<readonly NamespaceShape[]> {
    const { collections, namespaces } = (this.scanned ??= await this.scan(work));
    return definitionsOf(collections, namespaces).map(toShape);
  }

  async verify(work: Work): Promise<VerifiedArchive> {
    const hash = createHash('sha256');
    for await (const chunk of this.object.stream()) {
      work.signal.throwIfAborted();
      hash.update(chunk);
    }
    if (hash.digest('hex') !== this.sha256) throw new AppError('ARCHIVE_REPLACED', 'The SHA-256 of the file is not that of the file that was given');
    const { namespaces } = (this.scanned ??= await this.scan(work));
    const payload: PayloadSource = { namespaces, payload: () => this.archive.payload() };
    return { payload, bytesRead: this.object.sizeBytes };
  }

  close(): Promise<void> {
    return this.archive.close();
  }

  private scan(work: Work): Promise<ScanResult> {
    return scanPayload(this.archive.payload(), ({ bytesDone }) => {
      work.signal.throwIfAborted();
      work.report({ bytesDone, bytesTotal: null, itemsDone: 0, itemsTotal: null, current: null });
    });
  }
}

function toShape({ name, kind, documents, bytes, options, indexes }: ArchivedNamespace): NamespaceShape {
  return { name, kind, documents, bytes, indexCount: indexes.length, options, indexes };
}
