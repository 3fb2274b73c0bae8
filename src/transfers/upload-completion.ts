import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, asAppError } from '#errors';
import type { ArchiveStore } from '#storage';
import { AuditService } from '../audit/audit.service.js';
import { type ArchiveFacts, ArchiveInspection } from '../backups/archive-inspection.js';
import { BackupImports, type ReceivedArchive } from '../backups/backup-imports.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import type { Actor } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { sha256Of } from '../platform/storage/object-hash.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import { PoliciesService } from '../policies/policies.service.js';
import { requireNotSuspended, TenantsService } from '../tenants/tenants.service.js';
import type { UploadCompleteInput } from './dto/upload.inputs.js';
import { UploadReception } from './upload-reception.js';
import type { UploadEntity } from './upload.entity.js';
import { UploadsRepository } from './uploads.repository.js';
import { keptForSeconds, requireUsable, UploadsService } from './uploads.service.js';

export interface CompletedUpload {
  readonly upload: UploadEntity;
  /** Of an import. */
  readonly operation: OperationEntity | null;
}

/** Ends an upload: all bytes are there, they are the announced ones, and they are an archive for this workspace. */
@Injectable()
export class UploadCompletion {
  constructor(
    private readonly dataSource: DataSource,
    private readonly service: UploadsService,
    private readonly uploads: UploadsRepository,
    private readonly reception: UploadReception,
    private readonly inspection: ArchiveInspection,
    private readonly imports: BackupImports,
    private readonly tenants: TenantsService,
    private readonly audit: AuditService,
    private readonly policies: PoliciesService,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** @throws AppError UPLOAD_INCOMPLETE, UPLOAD_BUSY, UPLOAD_MISMATCH, ARCHIVE_*, KEY_* */
  async complete(actor: Actor, input: UploadCompleteInput): Promise<CompletedUpload> {
    const upload = await this.service.get(actor, input.uploadId);
    requireNotSuspended(await this.tenants.get(upload));
    if (upload.state !== 'OPEN') return this.repeat(actor, upload, input.idempotencyKey ?? null);
    const { targetDatabase } = await this.tenants.get(upload);
    const received = await this.reception.received(upload);
    if (received < upload.sizeBytes) throw new AppError('UPLOAD_INCOMPLETE', `${received} of ${upload.sizeBytes} bytes have arrived`);
    return this.reception.leased(upload, async (renew, writer) => {
      try {
        const facts = await this.check(upload, targetDatabase, renew);
        await this.requireFormat(actor, upload, facts);
        return await this.finish(actor, upload, writer, facts, input.idempotencyKey ?? null);
      } catch (error) {
        const cause = asAppError(error);
        // A key may be added, a store come back; bytes that are wrong stay wrong.
        if (isFinal(cause)) await this.refuse(actor, upload, writer, cause);
        throw error;
      }
    });
  }

  /** The same answer; an import that failed of something that may have passed begins anew, as long as the bytes are there. */
  private async repeat(actor: Actor, upload: UploadEntity, idempotencyKey: string | null): Promise<CompletedUpload> {
    const { archive: facts } = requireUsable(upload);
    if (upload.backupId === null || facts === null) return { upload, operation: null };
    const { operation, failed } = await this.imports.resultOf(upload, upload.backupId);
    if (!failed || (await this.store.stat(upload.storeKey)) === null) return { upload, operation };
    return runInTransaction(this.dataSource, async (manager) => {
      const locked = await this.service.lockUsable(upload, upload.id, manager);
      if (locked.backupId !== upload.backupId) throw new AppError('UPLOAD_BUSY', 'The upload is being imported by another request');
      const started = await this.imports.start(upload, actor, receivedOf(upload, facts), idempotencyKey, manager);
      await this.uploads.importAgain(upload.id, started.backupId, manager);
      await this.audit.record({ action: 'archive.imported', tenantId: upload.tenantId, actor, subject: { type: 'Upload', id: upload.id }, detail: { fileName: upload.fileName, again: true } }, manager);
      return { upload: await this.service.lockUsable(upload, upload.id, manager), operation: started.operation };
    });
  }

  private async check(upload: UploadEntity, targetDatabase: string, renew: () => Promise<void>): Promise<ArchiveFacts> {
    await this.store.resumable.publish(upload.storeKey);
    const object = await this.store.open(upload.storeKey);
    try {
      if (object.sizeBytes !== upload.sizeBytes) throw new AppError('UPLOAD_MISMATCH', `${object.sizeBytes} bytes are there; ${upload.sizeBytes} were announced`);
      if ((await sha256Of(object, renew)) !== upload.sha256) throw new AppError('UPLOAD_MISMATCH', 'The SHA-256 of what arrived is not the announced one');
      return await this.inspection.inspect(object, upload.sourceTenantId ?? upload.tenantId, targetDatabase);
    } finally {
      await object.close();
    }
  }

  private async requireFormat(actor: Actor, upload: UploadEntity, { salt, codec }: ArchiveFacts): Promise<void> {
    if (actor.isProvider) return;
    const format = salt !== null ? 'HOLDFAST' : codec === 'NONE' ? 'DUMP' : 'COMPRESSED_DUMP';
    const { uploadFormats } = await this.policies.of(upload);
    if (!uploadFormats.includes(format)) throw new AppError('POLICY_FORBIDS', `Files of the kind ${format} are not taken in this workspace; it takes ${uploadFormats.join(', ') || 'none'}`);
  }

  private finish(actor: Actor, upload: UploadEntity, writer: string, facts: ArchiveFacts, idempotencyKey: string | null): Promise<CompletedUpload> {
    const { id, tenantId, fileName, sourceTenantId } = upload;
    return runInTransaction(this.dataSource, async (manager) => {
      const started =
        upload.purpose === 'IMPORT'
          ? await this.imports.start(upload, actor, receivedOf(upload, facts), idempotencyKey, manager)
          : null;
      const isOurs = await this.uploads.complete(id, writer, facts, keptForSeconds, started?.backupId ?? null, manager);
      if (!isOurs) throw new AppError('UPLOAD_BUSY', 'The upload is being written or checked by another request');
      const detail = { fileName, purpose: upload.purpose, encrypted: facts.salt !== null, foreign: sourceTenantId !== null };
      await this.audit.record({ action: started === null ? 'upload.completed' : 'archive.imported', tenantId, actor, subject: { type: 'Upload', id }, detail }, manager);
      // The workspace whose archive it is learns of it, but not which workspace has it now: whoever completes the upload may be a member there.
      if (sourceTenantId !== null) await this.recordForSource(sourceTenantId, facts, manager);
      const completed = await this.uploads.find(upload, id, manager);
      return { upload: requireUsable(completed), operation: started?.operation ?? null };
    });
  }

  private async recordForSource(sourceTenantId: string, facts: ArchiveFacts, manager: EntityManager): Promise<void> {
    await this.audit.record({ action: 'archive.imported-elsewhere', tenantId: sourceTenantId, actor: null, subject: { type: 'Backup', id: facts.archiveId ?? '' } }, manager);
  }

  /** First the row, then the bytes: whatever a crash leaves of them goes when the row expires. */
  private async refuse(actor: Actor, upload: UploadEntity, writer: string, { code, message }: AppError): Promise<void> {
    const isOurs = await this.dataSource.transaction(async (manager) => {
      if (!(await this.uploads.refuse(upload.id, writer, { code, message }, manager))) return false;
      await this.audit.record({ action: 'upload.refused', outcome: 'REFUSED', tenantId: upload.tenantId, actor, subject: { type: 'Upload', id: upload.id }, detail: { fileName: upload.fileName, code } }, manager);
      return true;
    });
    // Another request may have made a backup of the file.
    if (!isOurs) return;
    await this.store.discardIncomplete(upload.storeKey);
    await this.store.delete(upload.storeKey);
  }
}

function receivedOf({ fileName, storeKey, sizeBytes, sha256, sourceTenantId }: UploadEntity, facts: ArchiveFacts): ReceivedArchive {
  return { fileName, storeKey, sizeBytes, sha256, facts, keyTenantId: sourceTenantId };
}

function isFinal({ code }: AppError): boolean {
  return (code.startsWith('ARCHIVE_') && code !== 'ARCHIVE_MISSING') || code === 'UPLOAD_MISMATCH' || code === 'STAGE_REJECTED' || code === 'POLICY_FORBIDS';
}
