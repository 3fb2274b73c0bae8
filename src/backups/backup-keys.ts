import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { ArchiveWriter } from '#archive';
import type { Work } from '#engines';
import { AppError, asAppError } from '#errors';
import type { ArchiveStore } from '#storage';
import type { TenantScope } from '../access/access.service.js';
import { EncryptionService } from '../encryption/encryption.service.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import { ArchiveFiles, archiveRefOf, isOwn, type OwnRef } from './archive-files.js';
import type { StoredArchive } from './stored-archive.js';
import { type BackupEntity, isUsable } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';
import { DiscardedArchives } from './discarded-archives.js';

/** Numbers of archives. */
export interface BesidesOfTenant extends TenantScope {
  readonly keyed: number;
  /** Written here without encryption. */
  readonly plain: number;
  /** Imports of the public tools, which stay as they are. */
  readonly foreignPlain: number;
}

/** `isUsable` in SQL. */
const usable = `state = 'COMPLETED' and deleted_at is null`;
/** One whose file is not there may be found again, and is nothing without its key then. */
const needsItsKey = `state in ('COMPLETED', 'MISSING') and deleted_at is null`;

export interface KeyUse {
  readonly keyId: string;
  readonly archives: number;
  readonly bytes: number;
  readonly tenants: number;
}

/** What moving one archive to another key needs of its operation. */
export interface ResealWork extends Pick<Work, 'signal' | 'report'> {
  readonly id: string;
  readonly tenantId: string;
  fenced<T>(work: (manager: EntityManager) => Promise<T>): Promise<T>;
  faultPoint(name: string): Promise<void>;
}

/** RESEALED, or why not: it has the current key by now, is gone, or something reads it. */
export type ResealOutcome = 'RESEALED' | 'NOT_NEEDED' | 'IN_USE';

/** A file that was written under the current key, and is of no backup yet. */
interface Resealed {
  readonly storeKey: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly salt: string;
}

/** Which keys the stored archives need, and archives under the current one. */
@Injectable()
export class BackupKeys {
  constructor(
    private readonly dataSource: DataSource,
    private readonly backups: BackupsRepository,
    private readonly files: ArchiveFiles,
    private readonly discarded: DiscardedArchives,
    private readonly encryption: EncryptionService,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** Of every tenant. */
  async usage(): Promise<KeyUse[]> {
    const rows: { key_id: string; archives: string; bytes: string; tenants: string }[] = await this.dataSource.query(
      `select key_id, count(*) as archives, coalesce(sum(size_bytes), 0) as bytes, count(distinct tenant_id) as tenants
       from backup where key_id is not null and ${needsItsKey} group by key_id order by key_id`,
    );
    return rows.map(({ key_id, archives, bytes, tenants }) => ({ keyId: key_id, archives: Number(archives), bytes: Number(bytes), tenants: Number(tenants) }));
  }

  /** Tenants with archives under other keys than this one, or without encryption. */
  async tenantsBesides(keyId: string): Promise<BesidesOfTenant[]> {
    const rows: { tenant_id: string; keyed: string; own: string; foreign: string }[] = await this.dataSource.query(
      `select tenant_id, count(*) filter (where key_id <> $1) as keyed, count(*) filter (where not encrypted and manifest_sha256 is not null) as own, count(*) filter (where not encrypted and manifest_sha256 is null) as foreign
       from backup where (key_id <> $1 or not encrypted) and ${usable} group by tenant_id order by tenant_id`,
      [keyId],
    );
    return rows.map(({ tenant_id, keyed, own, foreign }) => ({ tenantId: tenant_id, keyed: Number(keyed), plain: Number(own), foreignPlain: Number(foreign) }));
  }

  /** Ids of the tenant's keys: those that its archives need. */
  async keysOf({ tenantId }: TenantScope): Promise<string[]> {
    const rows: { key_id: string }[] = await this.dataSource.query(
      `select distinct key_id from backup where tenant_id = $1 and key_id is not null and ${needsItsKey} order by key_id`,
      [tenantId],
    );
    return rows.map((row) => row.key_id);
  }

  /** Ids of the tenant's archives under other keys than this one, oldest first, and with `plain` of those of ours that are not encrypted. */
  async besides({ tenantId }: TenantScope, keyId: string, plain: boolean): Promise<string[]> {
    const rows: { id: string }[] = await this.dataSource.query(
      `select id from backup where tenant_id = $1 and (key_id <> $2 or ($3 and manifest_sha256 is not null)) and ${usable} order by created_at, id`,
      [tenantId, keyId, plain],
    );
    return rows.map((row) => row.id);
  }

  /** How many of the tenant's archives are not encrypted. */
  async plain({ tenantId }: TenantScope): Promise<number> {
    const [row]: { count: string }[] = await this.dataSource.query(`select count(*) as count from backup where tenant_id = $1 and not encrypted and ${usable}`, [tenantId]);
    return Number(row?.count ?? 0);
  }

  /**
   * Writes the archive anew under the current key, reads it back, and only then lets the backup point to it; the old file goes last.
   *
   * @throws AppError ARCHIVE_*, KEY_*, READ_BACK_FAILED, STORAGE_*; the backup is then as it was
   */
  async reseal(work: ResealWork, backupId: string): Promise<ResealOutcome> {
    const backup = await this.backups.find(work, backupId);
    const { keyId } = this.encryption.sealingKey(work.tenantId);
    if (backup === null || !isUsable(backup) || backup.keyId === keyId) return 'NOT_NEEDED';
    const ref = archiveRefOf(backup);
    if (!isOwn(ref)) return 'NOT_NEEDED';
    const storeKey = besideOf(ref.storeKey);
    await work.fenced((manager) => this.discarded.note(work, storeKey, manager));
    try {
      const written = await this.write(work, backup, ref, storeKey);
      await work.faultPoint('reencrypt.written');
      const switched = await this.switch(work, backup, { ...written, keyId });
      await work.faultPoint('reencrypt.switched');
      await this.discarded.remove(switched ? ref.storeKey : storeKey);
      return switched ? 'RESEALED' : 'IN_USE';
    } catch (error) {
      // Whoever has the lease now finds the note.
      if (asAppError(error).code !== 'LEASE_LOST') await this.discarded.remove(storeKey).catch(() => undefined);
      throw error;
    }
  }

  private async write(work: ResealWork, backup: BackupEntity, ref: OwnRef, storeKey: string): Promise<Resealed> {
    const old = await this.files.open(work, ref);
    try {
      const copied = await this.copy(work, old, ref.keyTenantId ?? backup.tenantId, storeKey);
      const written = { ...ref, ...copied, storeKey, manifestSha256: null };
      await this.files.readBack(work, written, ({ payloadSha256 }) => {
        if (payloadSha256 !== old.payloadSha256) throw new AppError('ARCHIVE_CORRUPT', 'The payload differs from that of the file that it was copied from');
      });
      return written;
    } finally {
      await old.close();
    }
  }

  private async copy(work: ResealWork, old: StoredArchive, keyTenantId: string, storeKey: string): Promise<Omit<Resealed, 'storeKey'>> {
    const { manifest, form } = old;
    const upload = await this.store.create(storeKey);
    const writer = new ArchiveWriter(upload.body, { ...this.encryption.sealingKey(keyTenantId), ...form });
    try {
      let bytesDone = 0;
      for await (const { namespaceIndex, payload } of old.frames()) {
        work.signal.throwIfAborted();
        await writer.writeFrame(namespaceIndex, payload);
        bytesDone += payload.length;
        work.report({ bytesDone, bytesTotal: manifest.payload.bytes, itemsDone: 0, itemsTotal: null, current: null });
        await work.faultPoint('reencrypt.writing');
      }
      const { sizeBytes, sha256, salt } = await writer.finish(manifest);
      await upload.commit();
      return { sizeBytes, sha256, salt };
    } catch (error) {
      writer.abort(error);
      await upload.abort();
      throw error;
    }
  }

  /** False where something reads the old file, or the backup has another one by now. */
  private switch(work: ResealWork, before: BackupEntity, { storeKey, sizeBytes, sha256, salt, keyId }: Resealed & { readonly keyId: string }): Promise<boolean> {
    return work.fenced(async (manager) => {
      const backup = await this.backups.lock(work, before.id, manager);
      if (backup === null || !isUsable(backup) || backup.storeKey !== before.storeKey || before.storeKey === null) return false;
      // The plan of an announced restore binds the very file, and nobody is there to make another one when it begins.
      if ((await this.backups.operationsOn(backup.id, manager)).length > 0 || (await this.backups.isAnnounced(work, backup.id, manager))) return false;
      // A file that people know by another name than its place's keeps that name.
      const kept = backup.encrypted || backup.fileName === null ? backup.fileName : `${backup.fileName}.enc`;
      const fileName = backup.fileName === nameIn(before.storeKey) ? nameIn(storeKey) : kept;
      await this.backups.update(work, backup.id, ['COMPLETED'], { storeKey, fileName, sizeBytes, sha256, manifestSha256: null, encrypted: true, salt: Buffer.from(salt, 'hex'), keyId }, manager);
      await this.discarded.takeOff(storeKey, manager);
      await this.discarded.note(work, before.storeKey, manager);
      return true;
    });
  }
}

function nameIn(storeKey: string): string | null {
  return storeKey.split('/').at(-1) ?? null;
}

/** A place of its own beside the old file: `<name>-k<4 hex digits>.gz.enc`. */
function besideOf(storeKey: string): string {
  const [, path = storeKey, suffixes = ''] = /^(.*?)(?:-k[0-9a-f]{4})?((?:\.(?:gz|zst|archive|enc))*)$/.exec(storeKey) ?? [];
  return `${path}-k${randomBytes(2).toString('hex')}${suffixes}${suffixes.endsWith('.enc') ? '' : '.enc'}`;
}
