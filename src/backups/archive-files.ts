import { Inject, Injectable } from '@nestjs/common';
import { type FramedArchive, openArchive, openManifestedArchive } from '#archive';
import type { Work } from '#engines';
import { AppError, asAppError } from '#errors';
import { type ArchiveStore, deleteEach, type StoredObject } from '#storage';
import type { TenantScope } from '../access/access.service.js';
import { EncryptionService } from '../encryption/encryption.service.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import { type ArchiveObjects, copyArchive, isThere, readManifest, removeArchive, requireRemoved } from './archive-objects.js';
import { BackupCopies } from './backup-copies.js';
import type { BackupEntity } from './backup.entity.js';
import { ArchiveStores } from '../platform/storage/archive-stores.js';
import { isAway } from '../platform/storage/guarded-store.js';
import { PlainStoredArchive } from './plain-archive.js';
import { StoredArchive } from './stored-archive.js';

/** What binds a stored file to its row: a file that differs in any of it is not the one that was written. */
export interface ArchiveRef extends ArchiveObjects {
  /** Hex; null for an archive that is not encrypted. */
  readonly salt: string | null;
  /** As the archive's header names its backup; an imported one keeps the name of the backup that it was. */
  readonly archiveId: string;
  /** The tenant whose keys open it; null: the owner's. */
  readonly keyTenantId: string | null;
}

type SealedRef = ArchiveRef & { readonly salt: string };
type ManifestedRef = ArchiveRef & { readonly manifestSha256: string };

/** Of an archive that tells what it holds: one of ours. */
export type OwnRef = SealedRef | ManifestedRef;

function isSealed(ref: ArchiveRef): ref is SealedRef {
  return ref.salt !== null;
}

export function isOwn(ref: ArchiveRef): ref is OwnRef {
  return isSealed(ref) || ref.manifestSha256 !== null;
}

/** The stored archives of tenants: opened with the tenant's own key, where they are encrypted, in the main store or, where it is not good there, from a copy, and removed everywhere. */
@Injectable()
export class ArchiveFiles {
  constructor(
    private readonly encryption: EncryptionService,
    private readonly copies: BackupCopies,
    private readonly stores: ArchiveStores,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** Where the file may be read, the main store first; the others are looked up only when they are asked for. */
  async *places(storeKey: string): AsyncGenerator<ArchiveStore, void, undefined> {
    yield this.store;
    for (const name of await this.copies.goodOf(storeKey)) yield this.stores.get(name);
  }

  /**
   * Checks size, header, key and trailer, or the manifest beside it.
   *
   * @throws AppError ARCHIVE_*, KEY_*, STORAGE_UNAVAILABLE
   */
  open(scope: TenantScope, ref: OwnRef): Promise<StoredArchive> {
    return this.firstOf(ref.storeKey, (store) => this.openIn(store, scope, ref));
  }

  /** As `open`, for an archive that may be one of the public tools. */
  openAny(scope: TenantScope, ref: ArchiveRef): Promise<StoredArchive | PlainStoredArchive> {
    return this.firstOf(ref.storeKey, (store) => this.openAnyIn(store, scope, ref));
  }

  async openAnyIn(store: ArchiveStore, scope: TenantScope, ref: ArchiveRef): Promise<StoredArchive | PlainStoredArchive> {
    if (isOwn(ref)) return this.openIn(store, scope, ref);
    const object = await openSized(store, ref);
    try {
      return await PlainStoredArchive.open(object, ref.sha256);
    } catch (error) {
      await object.close();
      throw error;
    }
  }

  /** In the main store alone. */
  openFirst(scope: TenantScope, ref: ArchiveRef): Promise<StoredArchive | PlainStoredArchive> {
    return this.openAnyIn(this.store, scope, ref);
  }

  private async openIn(store: ArchiveStore, scope: TenantScope, ref: OwnRef): Promise<StoredArchive> {
    const object = await openSized(store, ref);
    try {
      if (!isSealed(ref)) return new StoredArchive(object, await this.openManifested(store, object, scope, ref), null, ref);
      const expected = { backupId: ref.archiveId, salt: ref.salt };
      const archive = await openArchive(object, { keys: this.encryption.keyRing, tenantId: ref.keyTenantId ?? scope.tenantId, expected });
      return new StoredArchive(object, archive, archive, ref);
    } catch (error) {
      await object.close();
      throw error;
    }
  }

  private async openManifested(store: ArchiveStore, object: StoredObject, scope: TenantScope, ref: ManifestedRef): Promise<FramedArchive> {
    const { manifest } = await readManifest(store, ref.storeKey, ref.manifestSha256);
    if (manifest.tenant.id !== scope.tenantId) throw new AppError('ARCHIVE_FOREIGN', 'The archive belongs to another workspace');
    if (manifest.backup.id !== ref.archiveId) throw new AppError('ARCHIVE_REPLACED', 'The file holds another backup');
    return openManifestedArchive(object, manifest);
  }

  /** The first that can be opened; where none can, what kept the main store's from it. */
  private async firstOf<T>(storeKey: string, open: (store: ArchiveStore) => Promise<T>): Promise<T> {
    const failures: unknown[] = [];
    for await (const store of this.places(storeKey)) {
      try {
        return await open(store);
      } catch (error) {
        if (!mayLieElsewhere(error)) throw error;
        failures.push(error);
      }
    }
    throw failures[0];
  }

  /**
   * Opens what was written a moment ago, reads every byte of it and lets `compare` look at the rest: only what the store gives back counts, nothing that the writer said.
   *
   * @throws AppError READ_BACK_FAILED, STORAGE_UNAVAILABLE
   */
  async readBack(work: TenantScope & Pick<Work, 'signal' | 'report'>, ref: OwnRef, compare: (archive: StoredArchive) => void): Promise<void> {
    try {
      const archive = await this.open(work, ref);
      try {
        await archive.verify(work);
        compare(archive);
      } finally {
        await archive.close();
      }
    } catch (error) {
      const cause = asAppError(error);
      if (!isArchiveFault(cause)) throw error;
      throw new AppError('READ_BACK_FAILED', `The stored file is not what was written: ${cause.message}`, { cause });
    }
  }

  /** The bytes as they are stored. @throws AppError ARCHIVE_MISSING, ARCHIVE_REPLACED, STORAGE_UNAVAILABLE */
  openObject(ref: Pick<ArchiveRef, 'storeKey' | 'sizeBytes'>): Promise<StoredObject> {
    return this.firstOf(ref.storeKey, (store) => openSized(store, ref));
  }

  /**
   * From wherever it is good into this store, and read back there.
   *
   * @throws AppError ARCHIVE_* where it is good nowhere, READ_BACK_FAILED, STORAGE_*
   */
  async copyTo(target: ArchiveStore, facts: ArchiveObjects, signal: AbortSignal, moved?: (bytes: number) => void): Promise<void> {
    await this.firstOf(facts.storeKey, async (store) => {
      if (store === target) throw new AppError('ARCHIVE_MISSING', 'There is no other copy of the file');
      const source = await openSized(store, facts);
      try {
        await copyArchive(store, source, target, facts, signal, moved);
      } finally {
        await source.close();
      }
    });
  }

  /** Writes the main store's file anew from a good copy; false where there is none. */
  async heal(facts: ArchiveObjects, signal: AbortSignal): Promise<boolean> {
    if ((await this.copies.goodOf(facts.storeKey)).length === 0) return false;
    try {
      await this.copyTo(this.store, facts, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (isArchiveFault(asAppError(error))) return false;
      throw error;
    }
  }

  /** The tenant as the trailer of its archive names it. @throws AppError ARCHIVE_*, KEY_* */
  async manifestTenant(object: StoredObject, tenantId: string): Promise<{ readonly slug: string; readonly name: string }> {
    return (await openArchive(object, { keys: this.encryption.keyRing, tenantId })).manifest.tenant;
  }

  /** Whether the file lies in the main store, or where a copy is, as far as its size tells. @throws AppError STORAGE_UNAVAILABLE */
  async isThere(ref: Pick<ArchiveRef, 'storeKey' | 'sizeBytes' | 'manifestSha256'>): Promise<boolean> {
    for await (const store of this.places(ref.storeKey)) {
      if (await isThere(store, ref)) return true;
    }
    return false;
  }

  freeBytes(): Promise<number | null> {
    return this.store.freeBytes();
  }

  /** For a file that came otherwise than an archive is written. */
  protect(storeKey: string): Promise<void> {
    return this.store.protect(storeKey);
  }

  /** Finished or not, and every copy of it. Idempotent. @throws AppError STORAGE_UNAVAILABLE; StorageLocked when all is gone that is not locked */
  async remove(storeKey: string): Promise<void> {
    await deleteEach([() => removeArchive(this.store, storeKey), () => this.copies.remove(storeKey)], (deletion) => deletion());
  }

  /** @throws AppError STORAGE_UNAVAILABLE where the store says that it has deleted it, and still has it */
  requireGone(storeKey: string): Promise<void> {
    return requireRemoved(this.store, storeKey);
  }
}

async function openSized(store: ArchiveStore, { storeKey, sizeBytes }: Pick<ArchiveRef, 'storeKey' | 'sizeBytes'>): Promise<StoredObject> {
  const object = await store.open(storeKey);
  if (object.sizeBytes === sizeBytes) return object;
  await object.close();
  throw object.sizeBytes < sizeBytes
    ? new AppError('ARCHIVE_TRUNCATED', `The stored file has ${object.sizeBytes} of ${sizeBytes} bytes`)
    : new AppError('ARCHIVE_REPLACED', `The stored file has ${object.sizeBytes} bytes; ${sizeBytes} were written`);
}

/** Whether another copy of the file may be good where this one is not. */
export function mayLieElsewhere(error: unknown): boolean {
  return asAppError(error).code.startsWith('ARCHIVE_') || isAway(error);
}

/** Of this one file or of its key, not of the store or of the program: other archives may be good. */
export function isArchiveFault({ code }: AppError): boolean {
  return code.startsWith('ARCHIVE_') || code.startsWith('KEY_');
}

/** @throws AppError BACKUP_NOT_USABLE for a backup that was never finished */
export function archiveRefOf(backup: BackupEntity): ArchiveRef & { readonly backupId: string } {
  const { id, storeKey, sizeBytes, sha256, salt, manifestSha256 } = backup;
  if (storeKey === null || sizeBytes === null || sha256 === null || (backup.encrypted && salt === null)) throw new AppError('BACKUP_NOT_USABLE', `The backup has no archive: its state is ${backup.state}`);
  return { backupId: id, storeKey, sizeBytes, sha256, manifestSha256, salt: salt?.toString('hex') ?? null, archiveId: backup.archiveId ?? id, keyTenantId: backup.keyTenantId };
}
