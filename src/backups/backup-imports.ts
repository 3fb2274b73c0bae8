import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { archiveKeyOf } from './archive-objects.js';
import type { ArchiveFacts } from './archive-inspection.js';
import { archiveNames, archiveStoreKey, defaultBackupName } from './backup-naming.js';
import { BackupsRepository } from './backups.repository.js';
import { ImportHandler } from './import.handler.js';

/** A file in the store that was received whole and looked at. */
export interface ReceivedArchive {
  readonly fileName: string;
  readonly storeKey: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly facts: ArchiveFacts;
  /** See `ArchiveRef`. */
  readonly keyTenantId: string | null;
}

/** Takes archives from outside into the history. */
@Injectable()
export class BackupImports {
  constructor(
    private readonly backups: BackupsRepository,
    private readonly tenants: TenantsService,
    private readonly operations: OperationsService,
    private readonly handler: ImportHandler,
  ) {}

  /** Where a file that is to become a backup is received. */
  storeKey(scope: TenantScope, uploadId: string): string {
    return archiveStoreKey(scope.tenantId, `imported_${uploadId}`);
  }

  /** What counts against the quota. */
  async usedBytes(scope: TenantScope): Promise<number> {
    return (await this.backups.storageTotals(scope)).usedBytes;
  }

  /** The operation that imported, or imports, this backup; `failed` when it came to nothing. */
  async resultOf(scope: TenantScope, backupId: string): Promise<{ readonly operation: OperationEntity | null; readonly failed: boolean }> {
    const backup = await this.backups.find(scope, backupId);
    const operation = backup?.operationId == null ? null : await this.operations.get(scope.tenantId, backup.operationId);
    return { operation, failed: backup?.state === 'FAILED' || backup?.state === 'CANCELED' };
  }

  /** Whether a file that was received belongs to a backup now. */
  isStoredAt(storeKey: string, manager: EntityManager): Promise<boolean> {
    return this.backups.isStoredAt(storeKey, manager);
  }

  /** Whether an operation writes an archive, or its manifest, there, or has left one that is to be removed. */
  isBeingWrittenAt(storeKey: string): Promise<boolean> {
    return this.backups.isBeingWrittenAt(archiveKeyOf(storeKey) ?? storeKey);
  }

  /** Makes the row, which is usable only when the operation has read the whole archive. The caller has checked the permission. */
  async start(scope: TenantScope, actor: Actor, archive: ReceivedArchive, idempotencyKey: string | null, manager: EntityManager): Promise<{ readonly backupId: string; readonly operation: OperationEntity }> {
    const { facts } = archive;
    const id = randomUUID();
    const tenant = await this.tenants.get(scope, manager);
    const { operation, replayed } = await this.operations.start(manager, {
      handler: this.handler, tenantId: scope.tenantId, actorId: actor.id, idempotencyKey, idempotencyInput: { storeKey: archive.storeKey },
      input: { backupId: id }, startedBy: stampOf(actor), backupId: id,
    });
    if (replayed) return { backupId: operation.backupId ?? id, operation };
    const createdAt = await this.tenants.now(manager);
    const takenAt = facts.takenAt === null ? null : new Date(facts.takenAt);
    const encrypted = facts.salt !== null;
    const { fileName } = archiveNames(tenant, { id, label: 'imported', createdAt, codec: facts.codec, encrypted });
    await this.backups.insert(
      {
        id, tenantId: scope.tenantId, operationId: operation.id, name: defaultBackupName('imported', createdAt, tenant.timeZone), description: `Imported from ${archive.fileName}`,
        label: 'imported', trigger: 'IMPORT', scope: 'ALL', codec: facts.codec, state: 'QUEUED', storeKey: archive.storeKey, fileName,
        encrypted, keyId: facts.keyId, salt: facts.salt === null ? null : Buffer.from(facts.salt, 'hex'), sha256: archive.sha256, sizeBytes: archive.sizeBytes,
        archiveId: facts.archiveId, keyTenantId: archive.keyTenantId, takenAt, contents: [], pinned: false, held: false, createdBy: stampOf(actor), createdAt,
      },
      manager,
    );
    return { backupId: id, operation };
  }
}
