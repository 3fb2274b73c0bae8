import { Injectable } from '@nestjs/common';
import type { OnDocuments } from '#archive';
import type { Work } from '#engines';
import { AppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import { ArchiveFiles, type StoredArchive } from '../backups/archive-files.js';
import type { ArchivedNamespace } from '../backups/archived-namespaces.js';
import type { PlainStoredArchive } from '../backups/plain-archive.js';
import type { NamespaceShape } from './collection-diff.js';
import type { RestoreSource, SourceRef, VerifiedArchive } from './restore-source.js';

/** Opens what a plan or a restore reads from. */
@Injectable()
export class RestoreSources {
  constructor(private readonly files: ArchiveFiles) {}

  /** @throws AppError ARCHIVE_*, KEY_*, STORAGE_UNAVAILABLE */
  async open(scope: TenantScope, ref: SourceRef): Promise<RestoreSource> {
    return new ArchiveSource(await this.files.openAny(scope, ref), ref.sizeBytes);
  }
}

/** An archive of ours tells from its ends what it holds; a plain one is read whole for it. */
class ArchiveSource implements RestoreSource {
  constructor(
    private readonly archive: StoredArchive | PlainStoredArchive,
    private readonly sizeBytes: number,
  ) {}

  async shapes(work: Work): Promise<readonly NamespaceShape[]> {
    return (await this.archive.definitions(work)).map(toShape);
  }

  get engineVersion(): string | null {
    return this.archive.provenance.engineVersion;
  }

  get partOf(): readonly string[] | null {
    return this.archive.partOf;
  }

  async verify(work: Work, collections: readonly string[] | null, onDocuments?: OnDocuments): Promise<VerifiedArchive> {
    if (collections !== null) {
      const names = new Set(collections);
      const bytesRead = await this.archive.verifySelection(names, work, onDocuments);
      return { payload: this.archive.select(names), bytesRead };
    }
    if (this.archive.partOf !== null) throw new AppError('ARCHIVE_UNSUPPORTED', 'The archive holds a part of a database and cannot take the place of a whole one');
    await this.archive.verify(work, onDocuments);
    return { payload: this.archive.payload, bytesRead: this.sizeBytes };
  }

  close(): Promise<void> {
    return this.archive.close();
  }
}

function toShape({ name, kind, documents, bytes, options, indexes }: ArchivedNamespace): NamespaceShape {
  return { name, kind, documents, bytes, indexCount: indexes.length, options, indexes };
}
