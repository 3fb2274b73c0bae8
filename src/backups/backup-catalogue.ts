import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { type ArchiveContext, readArchiveHeader, sniffArchive } from '#archive';
import type { Work } from '#engines';
import { asAppError } from '#errors';
import type { ArchiveStore, ObjectInfo, StoredObject } from '#storage';
import type { TenantScope } from '../access/access.service.js';
import { sha256Of } from '../platform/storage/object-hash.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import { ArchiveFiles, type ArchiveRef, archiveRefOf } from './archive-files.js';
import { factsOf } from './archive-facts.js';
import { archiveKeyOf, manifestKeyOf, readManifest } from './archive-objects.js';
import { defaultBackupName } from './backup-naming.js';
import { type BackupEntity, BackupTrigger, type Codec, readWhole } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';

/** A place in the store that the control plane knows. */
export interface KnownObject {
  readonly key: string;
  /** Null where something other than a finished backup has it: an upload, a backup under way, a file that is about to be removed. */
  readonly backup: { readonly id: string; readonly tenantId: string; readonly state: 'COMPLETED' | 'MISSING'; readonly sizeBytes: number; readonly hasManifest: boolean } | null;
}

/** Whose an archive says that it is. */
export interface ArchiveOwner extends TenantScope {
  /** Of the tenant as it was then; null where the archive could not be opened. */
  readonly name: string | null;
  readonly slug: string | null;
}

/** What an archive says of itself before it is opened. */
interface Identity {
  readonly context: ArchiveContext;
  readonly codec: Codec;
  readonly keyId: string | null;
  readonly salt: string | null;
  readonly manifestSha256: string | null;
  /** Of a manifest beside it; an encrypted one tells it only when it is opened. */
  readonly tenant: { readonly slug: string; readonly name: string } | null;
}

const codecs = { none: 'NONE', gzip: 'GZIP', zstd: 'ZSTD' } as const satisfies Record<string, Codec>;
const atOnce = 1_000;
/** So many that a store which holds none of them is another one. */
const lookedFor = 100;
const placePattern = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/db-backups\/([^/]+)$/;
const unhurried: Work = { signal: new AbortController().signal, report: () => undefined, log: () => undefined };

/** The rows of archives, compared with the store and made from it: for the operator's commands, across all tenants. */
@Injectable()
export class BackupCatalogue {
  constructor(
    private readonly dataSource: DataSource,
    private readonly backups: BackupsRepository,
    private readonly files: ArchiveFiles,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** In the order of the keys, as the store lists them. */
  async *known(): AsyncGenerator<KnownObject, void, undefined> {
    for (let after = ''; ; ) {
      const rows: { key: string; id: string | null; tenant_id: string | null; state: 'COMPLETED' | 'MISSING' | null; size_bytes: string | null; has_manifest: boolean | null }[] = await this.dataSource.query(
        `select key collate "C" as key, id, tenant_id, state, size_bytes, has_manifest from (
           select store_key as key, case when done then id end as id, tenant_id, case when done then state end as state, size_bytes, manifest_sha256 is not null as has_manifest
             from (select *, state in ('COMPLETED', 'MISSING') and deleted_at is null as done from backup where store_key is not null and state <> 'DELETED') b
           union all select store_key || '${manifestKeyOf('')}', null, null, null, null, null from backup where not encrypted and store_key is not null and state <> 'DELETED'
           union all select store_key, null, null, null, null, null from upload where state <> 'COMPLETED' or purpose <> 'IMPORT'
           union all select store_key, null, null, null, null, null from discarded_archive
           union all select store_key || '${manifestKeyOf('')}', null, null, null, null, null from discarded_archive) places
         where key collate "C" > $1 order by key collate "C" limit ${atOnce}`,
        [after],
      );
      for (const { key, id, tenant_id, state, size_bytes, has_manifest } of rows) {
        yield { key, backup: id === null || tenant_id === null || state === null ? null : { id, tenantId: tenant_id, state, sizeBytes: Number(size_bytes), hasManifest: has_manifest === true } };
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < atOnce) return;
      after = last.key;
    }
  }

  /** Keys of the newest archives that should lie in a store; null: the main one. */
  async newestIn(store: string | null, manager: EntityManager): Promise<string[]> {
    const rows: { store_key: string }[] = await (store === null
      ? manager.query(`select store_key from backup where state in ('COMPLETED', 'MISSING') and deleted_at is null and store_key is not null order by created_at desc limit ${lookedFor}`)
      : manager.query(`select c.store_key from backup_copy c join backup b on b.id = c.backup_id where c.store = $1 and c.state = 'GOOD' and b.deleted_at is null order by b.created_at desc limit ${lookedFor}`, [store]));
    return rows.map(({ store_key }) => store_key);
  }

  stored(): AsyncIterable<ObjectInfo> {
    return this.store.list('');
  }

  /**
   * Whether the backup's file, or the manifest beside it, is not there now. Store and rows are listed at different moments: a backup may have been finished, moved to another key or deleted between the two.
   */
  async isGone(scope: TenantScope, id: string, key: string): Promise<boolean> {
    const backup = await this.backups.find(scope, id);
    return backup !== null && liesAt(backup, key) && ((await this.store.stat(key)) === null || (backup.manifestSha256 !== null && !(await this.hasManifest(key))));
  }

  /** Whether anything has the place now. */
  async isKnown(key: string): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `select 1 from backup where store_key = $1 and state <> 'DELETED' union all select 1 from upload where store_key = $1 union all select 1 from discarded_archive where store_key = $1`,
      [archiveKeyOf(key) ?? key],
    );
    return rows.length > 0;
  }

  async hasManifest(key: string): Promise<boolean> {
    return (await this.store.stat(manifestKeyOf(key))) !== null;
  }

  /** Whether it is the manifest of an archive that lies beside it. */
  async belongsToArchive({ key }: ObjectInfo): Promise<boolean> {
    const archiveKey = archiveKeyOf(key);
    return archiveKey !== null && (await this.store.stat(archiveKey)) !== null;
  }

  /** Nothing where the backup has changed meanwhile. */
  async markMissing(scope: TenantScope, id: string, key: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const backup = await this.backups.lock(scope, id, manager);
      if (backup !== null && liesAt(backup, key)) await this.backups.update(scope, id, ['COMPLETED'], { state: 'MISSING' }, manager);
    });
  }

  /** Writes the file anew from a good copy; false where there is none. */
  async heal(scope: TenantScope, id: string): Promise<boolean> {
    const backup = await this.backups.find(scope, id);
    return backup !== null && this.files.heal(archiveRefOf(backup), unhurried.signal);
  }

  async markFound(scope: TenantScope, id: string): Promise<void> {
    await this.backups.update(scope, id, ['MISSING'], { state: 'COMPLETED' });
  }

  async markDamaged(scope: TenantScope, id: string, message: string): Promise<void> {
    await this.backups.update(scope, id, ['COMPLETED'], { verification: { at: new Date().toISOString(), ok: false, code: 'ARCHIVE_REPLACED', message } });
  }

  /** The tenant that an archive lies in the folder of, and what the archive itself says of it; null for what is no archive of a tenant's. */
  async ownerOf(info: ObjectInfo): Promise<ArchiveOwner | null> {
    const [, tenantId] = placePattern.exec(info.key) ?? [];
    if (tenantId === undefined || archiveKeyOf(info.key) !== null) return null;
    const object = await this.store.open(info.key);
    try {
      const identity = await this.identityOf(info.key, object);
      if (identity === null || identity.context.tenant !== tenantId) return { tenantId, name: null, slug: null };
      const tenant = identity.tenant ?? (await this.files.manifestTenant(object, tenantId).catch(() => null));
      return { tenantId, name: tenant?.name ?? null, slug: tenant?.slug ?? null };
    } finally {
      await object.close();
    }
  }

  /**
   * Makes the row of an archive that has none. Without its key the row is unverified: it cannot be restored until the key is there.
   *
   * @throws AppError ARCHIVE_* for a file that is no whole archive
   */
  async register({ key, sizeBytes, modifiedAt }: ObjectInfo, scope: TenantScope, timeZone: string): Promise<{ readonly id: string; readonly verified: boolean }> {
    const fileName = placePattern.exec(key)?.[2] ?? key;
    const object = await this.store.open(key);
    let identity: Identity | null;
    let codec: Codec;
    let sha256: string;
    try {
      identity = await this.identityOf(key, object);
      codec = identity?.codec ?? (await codecOf(object));
      sha256 = await sha256Of(object);
    } finally {
      await object.close();
    }
    const isOwn = identity !== null && identity.context.tenant === scope.tenantId;
    const isFree = isOwn && identity !== null && isUuid(identity.context.backup) && (await this.backups.findAnywhere(identity.context.backup)) === null;
    const id = isFree && identity !== null ? identity.context.backup : randomUUID();
    const salt = identity?.salt ?? null;
    const manifestSha256 = identity?.manifestSha256 ?? null;
    const ref: ArchiveRef = { storeKey: key, sizeBytes, sha256, manifestSha256, salt, archiveId: identity?.context.backup ?? id, keyTenantId: identity === null || isOwn ? null : identity.context.tenant };
    const found = await this.read(scope, ref);
    const takenAt = dateOf(identity?.context.createdAt) ?? modifiedAt;
    const label = isOwn && identity !== null ? identity.context.label : 'imported';
    const trigger = isOwn ? (BackupTrigger[found.origin?.trigger as BackupTrigger] ?? 'MANUAL') : 'IMPORT';
    await this.backups.insert({
      id, tenantId: scope.tenantId, operationId: null, name: defaultBackupName(label, takenAt, timeZone), description: 'Registered from the archive store', label, trigger,
      scope: found.origin?.scope === 'MASTER' || found.origin?.scope === 'TRANSACTIONS' ? found.origin.scope : 'ALL', codec,
      state: 'COMPLETED', storeKey: key, fileName, encrypted: salt !== null, keyId: identity?.keyId ?? null, salt: salt === null ? null : Buffer.from(salt, 'hex'), sha256, manifestSha256, sizeBytes,
      archiveId: ref.archiveId === id ? null : ref.archiveId, keyTenantId: ref.keyTenantId, takenAt, pinned: false, held: false, createdBy: null, createdAt: takenAt, finishedAt: modifiedAt,
      // Undo of its restore is lost with the operations; the data are kept for as long as undo would have lasted.
      expiresAt: trigger === 'SAFETY' ? () => `clock_timestamp() + interval '7 days'` : null,
      ...found.facts,
    });
    return { id, verified: found.facts.verification.ok };
  }

  /** By its header, or by the manifest beside it; null for a file of the public tools. */
  private async identityOf(key: string, object: StoredObject): Promise<Identity | null> {
    if (sniffArchive(await object.read(0, Math.min(object.sizeBytes, 8))) === 'dbk1') {
      const { context, keyId, salt, codec } = await readArchiveHeader(object);
      return { context, codec: codecs[codec], keyId, salt, manifestSha256: null, tenant: null };
    }
    if (!(await this.hasManifest(key))) return null;
    const { manifest: { tenant, backup }, sha256 } = await readManifest(this.store, key);
    const context = { tenant: tenant.id, backup: backup.id, label: backup.label, createdAt: backup.createdAt };
    return { context, codec: await codecOf(object), keyId: null, salt: null, manifestSha256: sha256, tenant };
  }

  private async read(scope: TenantScope, ref: ArchiveRef) {
    const at = new Date().toISOString();
    try {
      const archive = await this.files.openAny(scope, ref);
      try {
        await archive.verify(unhurried);
        return { origin: archive.origin, facts: { ...(await factsOf(archive, unhurried)), verification: readWhole(ref.sha256, 'Read whole when it was registered from the store', at) } };
      } finally {
        await archive.close();
      }
    } catch (error) {
      const { code, message } = asAppError(error);
      if (!code.startsWith('KEY_')) throw error;
      return { origin: null, facts: { contents: [], verification: { at, ok: false, code, message } } };
    }
  }
}

function liesAt({ state, deletedAt, storeKey }: BackupEntity, key: string): boolean {
  return storeKey === key && deletedAt === null && (state === 'COMPLETED' || state === 'MISSING');
}

async function codecOf(object: StoredObject): Promise<Codec> {
  const format = sniffArchive(await object.read(0, Math.min(object.sizeBytes, 8)));
  return format === 'gzip' ? 'GZIP' : format === 'zstd' ? 'ZSTD' : 'NONE';
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

function dateOf(text: string | undefined): Date | null {
  const date = text === undefined ? null : new Date(text);
  return date === null || Number.isNaN(date.getTime()) ? null : date;
}
