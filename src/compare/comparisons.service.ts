import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { BackupEntity } from '../backups/backup.entity.js';
import { BackupsService, requireUsable } from '../backups/backups.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { notFound } from '../platform/graphql/global-id.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { CompareHandler } from './compare.handler.js';
import type { BackupCompareInput } from './dto/compare.inputs.js';

@Injectable()
export class ComparisonsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly encryption: TenantEncryption,
    private readonly backups: BackupsService,
    private readonly operations: OperationsService,
    private readonly handler: CompareHandler,
    private readonly tenants: TenantsService,
  ) {}

  /** @throws AppError NOT_FOUND, FORBIDDEN, BACKUP_NOT_USABLE, ENCRYPTION_KEY_MISSING, BAD_USER_INPUT for a collection that neither holds */
  async start(actor: Actor, input: BackupCompareInput): Promise<OperationEntity> {
    const first = await this.backups.get(actor, input.backupId);
    const other = await this.backups.get(actor, input.otherBackupId);
    const { collection = null, idempotencyKey = null } = input;
    const scope = await this.access.authorize(actor, first.tenantId, Permission.BACKUP_CREATE);
    // What two workspaces hold is nobody's to compare, not even for who may see both.
    if (other.tenantId !== first.tenantId) throw notFound('Backup');
    await this.tenants.requireOpen(actor, scope);
    if (collection !== null) await this.access.authorize(actor, first.tenantId, Permission.BACKUP_DOWNLOAD);
    await this.encryption.require(scope);
    const ids = { backupId: first.id, otherBackupId: other.id, collection };
    const request = { handler: this.handler, ...scope, actorId: actor.id, idempotencyKey, idempotencyInput: ids };
    return runInTransaction(this.dataSource, async (manager) => {
      const replay = await this.operations.findReplay(manager, request);
      if (replay !== null) return replay;
      // In one order, whichever was named first: two comparisons never wait for each other.
      for (const id of [...new Set([first.id, other.id])].sort()) requireUsable(await this.backups.lock(scope, id, manager));
      if (collection !== null) requireDocuments([first, other], collection);
      const { operation } = await this.operations.start(manager, { ...request, input: ids, startedBy: stampOf(actor), backupId: first.id });
      await this.audit.record({ action: 'backup.compared', ...scope, actor, subject: { type: 'Backup', id: first.id }, detail: { otherBackupId: other.id, collection } }, manager);
      return operation;
    });
  }
}

function requireDocuments(backups: readonly BackupEntity[], collection: string): void {
  const found = backups.flatMap(({ contents }) => contents.filter(({ name }) => name === collection));
  const refusal = found.length === 0 ? 'neither backup holds a collection of this name' : found.every(({ kind }) => kind === 'view') ? 'a view holds no documents of its own' : null;
  if (refusal !== null) throw new AppError('BAD_USER_INPUT', `collection: ${refusal}`, { field: ['collection'] });
}
