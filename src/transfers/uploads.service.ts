import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { type ArchiveStore, type DirectUploads, lockOf } from '#storage';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { requirePromisingName } from '../backups/archive-inspection.js';
import { BackupImports } from '../backups/backup-imports.js';
import { AppConfig } from '../config/app-config.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import { type TenantEntity } from '../tenants/tenant.entity.js';
import { requireNotSuspended, TenantsService } from '../tenants/tenants.service.js';
import type { UploadCreateInput } from './dto/upload.inputs.js';
import { newToken } from '../platform/secrets/link-token.js';
import type { UploadEntity, UploadProtocol } from './upload.entity.js';
import { UploadExpiry } from './upload-expiry.js';
import type { UploadWay } from './upload.model.js';
import { UploadsRepository } from './uploads.repository.js';

export const keptForSeconds = 24 * 60 * 60;
/** Within which the store has given a direct upload its place, or never will. */
const placedWithinSeconds = 15 * 60;

export interface CreatedUpload {
  readonly upload: UploadEntity;
  readonly way: UploadWay;
}

/** Announces uploads: what is certain to be refused is refused before its first byte. */
@Injectable()
export class UploadsService {
  constructor(
    private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly imports: BackupImports,
    private readonly uploads: UploadsRepository,
    private readonly expiry: UploadExpiry,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** @throws AppError ARCHIVE_UNSUPPORTED, ARCHIVE_TOO_LARGE, RATE_LIMITED, STORAGE_QUOTA_EXCEEDED, STORAGE_FULL, TENANT_SUSPENDED */
  async create(actor: Actor, input: UploadCreateInput): Promise<CreatedUpload> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', input.tenantId), Permission.RESTORE_RUN);
    const sourceTenantId = await this.sourceTenant(actor, scope, input);
    const sizeBytes = this.requireSize(input.size);
    requirePromisingName(input.filename);
    const protocol = this.protocolFor(input.protocol ?? null);
    const token = newToken();
    const id = randomUUID();
    const upload = await runInTransaction(this.dataSource, async (manager) => {
      // One after the other for each tenant, so that two requests do not share what is left of a quota.
      const tenant = await this.tenants.getForUpdate(manager, scope.tenantId);
      await this.requireRoom(scope, tenant, sizeBytes, manager);
      const storeKey = input.purpose === 'IMPORT' ? this.imports.storeKey(scope, id) : `${scope.tenantId}/uploads/${id}`;
      const { filename: fileName, purpose } = input;
      await this.uploads.insert(scope, { id, purpose, fileName, sizeBytes, sha256: input.sha256.toLowerCase(), tokenHash: token.hash, storeKey, sourceTenantId, protocol, createdBy: stampOf(actor) }, protocol === 'TUS' ? keptForSeconds : placedWithinSeconds, manager);
      await this.audit.record({ action: 'upload.created', tenantId: scope.tenantId, actor, subject: { type: 'Upload', id }, detail: { fileName, purpose, sizeBytes, foreign: sourceTenantId !== null } }, manager);
      return this.require(scope, id, manager);
    });
    const { direct } = this.store;
    return protocol === 'TUS' || direct === null ? { upload, way: { url: `${this.config.publicUrl}/uploads/${token.text}`, partUrls: [], partBytes: null } } : this.place(upload, direct);
  }

  /** By its global id, for whoever may restore; another tenant's answers like one that does not exist. */
  async get(actor: Actor, globalId: string): Promise<UploadEntity> {
    return this.access.authorizeRow(actor, 'Upload', await this.uploads.findAnywhere(fromGlobalId('Upload', globalId)), Permission.RESTORE_RUN);
  }

  /**
   * Held until the transaction ends, for a restore that is about to read it.
   *
   * @throws AppError NOT_FOUND, UPLOAD_INCOMPLETE
   */
  async lockUsable(scope: TenantScope, id: string, manager: EntityManager): Promise<UploadEntity> {
    return requireUsable(await this.uploads.lock(scope, id, manager));
  }

  /** Of a workspace that is being deleted: bytes and rows. */
  async discardAll(scope: TenantScope): Promise<void> {
    for (const { id, storeKey } of await this.uploads.listAll(scope)) {
      await this.store.discardIncomplete(storeKey);
      // What a lock keeps lies in the workspace's folder, which is looked through afterwards.
      await lockOf(this.store.delete(storeKey));
      await this.uploads.delete(scope, id);
    }
  }

  private protocolFor(wanted: UploadProtocol | null): UploadProtocol {
    if (wanted === 'S3_MULTIPART' && this.store.direct === null) throw new AppError('BAD_USER_INPUT', 'protocol: the archive store takes TUS alone', { field: ['protocol'] });
    return wanted ?? (this.store.direct === null ? 'TUS' : 'S3_MULTIPART');
  }

  /** The row comes first and is short-lived until the store has the place: whatever a crash leaves of the two goes when the row expires. */
  private async place(upload: UploadEntity, direct: DirectUploads): Promise<CreatedUpload> {
    try {
      const { partBytes, urls } = await direct.begin(upload.storeKey, upload.sizeBytes, keptForSeconds);
      const placed = await this.uploads.keep(upload, upload.id, keptForSeconds);
      if (placed === null) throw new AppError('STORAGE_UNAVAILABLE', 'The archive store took too long to prepare the upload');
      return { upload: placed, way: { url: urls.length === 1 ? (urls[0] ?? null) : null, partUrls: urls, partBytes } };
    } catch (error) {
      // What cannot be removed now goes when the row expires.
      await this.expiry.remove(upload).catch(() => undefined);
      throw error;
    }
  }

  private async require(scope: TenantScope, id: string, manager: EntityManager): Promise<UploadEntity> {
    const upload = await this.uploads.find(scope, id, manager);
    if (upload === null) throw notFound('Upload');
    return upload;
  }

  /** Whose archive it must be, where that is not the workspace's own: for the provider alone, and only by saying so. */
  private async sourceTenant(actor: Actor, scope: TenantScope, { sourceTenantId, purpose }: UploadCreateInput): Promise<string | null> {
    if (sourceTenantId == null) return null;
    this.access.requireProvider(actor);
    if (purpose !== 'IMPORT') throw new AppError('BAD_USER_INPUT', "sourceTenantId: another workspace's archive can only be imported", { field: ['sourceTenantId'] });
    const source = await this.access.authorize(actor, fromGlobalId('Tenant', sourceTenantId), null);
    return source.tenantId === scope.tenantId ? null : source.tenantId;
  }

  private requireSize(size: bigint): number {
    const { maxUploadBytes } = this.config;
    if (size < 1n) throw new AppError('BAD_USER_INPUT', 'size: the file is empty', { field: ['size'] });
    if (size > BigInt(maxUploadBytes)) throw new AppError('ARCHIVE_TOO_LARGE', `The file is larger than the ${maxUploadBytes} bytes that may be uploaded`, { field: ['size'] });
    return Number(size);
  }

  private async requireRoom(scope: TenantScope, tenant: TenantEntity, sizeBytes: number, manager: EntityManager): Promise<void> {
    requireNotSuspended(tenant);
    const load = await this.uploads.loadOf(scope, manager);
    if (load.inLastHour >= this.config.uploadsPerHour) {
      throw new AppError('RATE_LIMITED', `More than ${this.config.uploadsPerHour} uploads an hour`, { retryAfterMs: load.retryAfterMs });
    }
    if (tenant.quotaBytes !== null) {
      const used = (await this.imports.usedBytes(scope)) + load.bytes;
      if (used + sizeBytes > Number(tenant.quotaBytes)) throw new AppError('STORAGE_QUOTA_EXCEEDED', "The file does not fit into what is left of the workspace's storage quota");
    }
    const freeBytes = await this.store.freeBytes();
    const neededBytes = sizeBytes + (await this.uploads.announcedBytes(manager));
    if (freeBytes !== null && freeBytes < neededBytes) throw new AppError('STORAGE_FULL', `The archive store has ${freeBytes} bytes free; the files that are being uploaded need ${neededBytes}`);
  }
}

export function requireUsable(upload: UploadEntity | null): UploadEntity {
  if (upload === null) throw notFound('Upload');
  if (upload.state === 'REFUSED') throw new AppError(upload.failure?.code ?? 'UPLOAD_MISMATCH', upload.failure?.message ?? 'The upload was refused');
  if (upload.state === 'OPEN') throw new AppError('UPLOAD_INCOMPLETE', 'The upload is not complete yet');
  return upload;
}
