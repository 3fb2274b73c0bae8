import { Injectable } from '@nestjs/common';
import type { OnDocuments } from '#archive';
import type { Work } from '#engines';
import { AppError, asAppError } from '#errors';
import type { ArchiveStore } from '#storage';
import type { TenantScope } from '../access/access.service.js';
import { ArchiveFiles, mayLieElsewhere } from '../backups/archive-files.js';
import type { StoredArchive } from '../backups/stored-archive.js';
import type { ArchivedNamespace } from '../backups/archived-namespaces.js';
import { wasReadWhole } from '../backups/backup.entity.js';
import { BackupsService } from '../backups/backups.service.js';
import type { PlainStoredArchive } from '../backups/plain-archive.js';
import type { NamespaceShape } from './collection-diff.js';
import type { RestoreSource, SourceRef, VerifiedArchive } from './restore-source.js';

/** Opens what a plan or a restore reads from. */
@Injectable()
export class RestoreSources {
  constructor(
    private readonly files: ArchiveFiles,
    private readonly backups: BackupsService,
  ) {}

  /** @throws AppError ARCHIVE_*, KEY_*, STORAGE_UNAVAILABLE */
  open(scope: TenantScope, ref: SourceRef): Promise<RestoreSource> {
    return this.openAs(scope, ref, false);
  }

  /**
   * For whoever stages and checks all of it before it counts: of a backup whose very file was read whole and found right before, `verify` compares the
   * hash alone. Tags and the payload's hash are compared while it is staged, counts and sums with what is staged.
   *
   * @throws AppError ARCHIVE_*, KEY_*, STORAGE_UNAVAILABLE
   */
  async openForRestore(scope: TenantScope, ref: SourceRef): Promise<RestoreSource> {
    const backup = ref.kind === 'BACKUP' ? await this.backups.find(scope, ref.backupId) : null;
    return this.openAs(scope, ref, backup !== null && wasReadWhole(backup, ref.sha256));
  }

  private openAs(scope: TenantScope, ref: SourceRef, isProven: boolean): Promise<RestoreSource> {
    return FirstGoodSource.open(this.files.places(ref.storeKey), async (store) => new ArchiveSource(await this.files.openAnyIn(store, scope, ref), ref.sizeBytes, isProven));
  }
}

/** Of several copies of one file the first that can be opened and, until one was verified, the first that is good: nothing was staged of the others. */
class FirstGoodSource implements RestoreSource {
  private source: ArchiveSource | null = null;
  private isVerified = false;

  private constructor(
    private readonly places: AsyncIterator<ArchiveStore, void, undefined>,
    private readonly openIn: (store: ArchiveStore) => Promise<ArchiveSource>,
  ) {}

  static async open(places: AsyncIterator<ArchiveStore, void, undefined>, openIn: (store: ArchiveStore) => Promise<ArchiveSource>): Promise<RestoreSource> {
    const first = new FirstGoodSource(places, openIn);
    await first.advance([]);
    return first;
  }

  shapes(work: Work): Promise<readonly NamespaceShape[]> {
    return this.read(work, (source) => source.shapes(work));
  }

  get engineVersion(): string | null {
    return this.current.engineVersion;
  }

  get partOf(): readonly string[] | null {
    return this.current.partOf;
  }

  async verify(work: Work, collections: readonly string[] | null, onDocuments?: OnDocuments): Promise<VerifiedArchive> {
    const verified = await this.read(work, (source) => source.verify(work, collections, onDocuments));
    this.isVerified = true;
    return verified;
  }

  private async read<T>(work: Work, read: (source: ArchiveSource) => Promise<T>): Promise<T> {
    for (const failures: unknown[] = []; ; ) {
      try {
        return await read(this.current);
      } catch (error) {
        work.signal.throwIfAborted();
        // What was verified may be in use: there is no going over to another file any more.
        if (this.isVerified || !mayLieElsewhere(error)) throw error;
        failures.push(error);
        await this.close();
        await this.advance(failures);
        work.log(`The stored file is not good (${asAppError(error).message}): a copy is read in its place`);
      }
    }
  }

  async close(): Promise<void> {
    const { source } = this;
    this.source = null;
    await source?.close();
  }

  private get current(): ArchiveSource {
    if (this.source === null) throw new AppError('INTERNAL', 'The archive is closed');
    return this.source;
  }

  /** @throws what was wrong with the first, where there is no further copy */
  private async advance(failures: unknown[]): Promise<void> {
    for (;;) {
      const place = await this.places.next();
      if (place.done === true) throw failures[0];
      try {
        this.source = await this.openIn(place.value);
        return;
      } catch (error) {
        if (!mayLieElsewhere(error)) throw error;
        failures.push(error);
      }
    }
  }
}

/** An archive of ours tells from its ends what it holds; a plain one is read whole for it. */
class ArchiveSource implements RestoreSource {
  constructor(
    private readonly archive: StoredArchive | PlainStoredArchive,
    private readonly sizeBytes: number,
    /** A file with its hash was read whole and found right. */
    private readonly isProven: boolean,
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
    if (this.isProven && onDocuments === undefined) await this.archive.verifyHash(work);
    else await this.archive.verify(work, onDocuments);
    return { payload: this.archive.payload, bytesRead: this.sizeBytes };
  }

  close(): Promise<void> {
    return this.archive.close();
  }
}

function toShape({ name, kind, documents, bytes, options, indexes }: ArchivedNamespace): NamespaceShape {
  return { name, kind, documents, bytes, indexCount: indexes.length, options, indexes };
}
