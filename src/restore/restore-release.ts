import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { DatabaseClaims } from '../tenants/database-claims.js';
import { requireConfirmed, TenantsService } from '../tenants/tenants.service.js';
import type { RestoreReleaseOldInput } from './dto/undo.inputs.js';
import { ReleaseHandler } from './release.handler.js';
import { isAbandoned } from './restore-settlement.js';

/** Gives up the former live data that a restore with `keepOld` left in the database, or the former database of a REPOINT. */
@Injectable()
export class RestoreRelease {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly operations: OperationsService,
    private readonly tenants: TenantsService,
    private readonly claims: DatabaseClaims,
    private readonly handler: ReleaseHandler,
  ) {}

  /** @throws AppError FORBIDDEN to all but the provider, NOTHING_KEPT, CONFIRM_NAME_MISMATCH, OPERATION_ALREADY_RUNNING */
  async start(actor: Actor, { operationId, confirmName, idempotencyKey = null }: RestoreReleaseOldInput): Promise<OperationEntity> {
    this.access.requireProvider(actor);
    const found = await this.operations.findAnywhere(fromGlobalId('Operation', operationId));
    const restore = await this.access.authorizeRow(actor, 'Operation', found, Permission.RESTORE_RUN);
    const { id, tenantId } = restore;
    const request = { handler: this.handler, tenantId, actorId: actor.id, idempotencyKey, idempotencyInput: { operationId: id, confirmName } };
    return runInTransaction(this.dataSource, async (manager) => {
      const replay = await this.operations.findReplay(manager, request);
      if (replay !== null) return replay;
      requireConfirmed((await this.tenants.getForUpdate(manager, tenantId)).name, confirmName);
      const isDatabase = (restore.state === 'COMPLETED' || isAbandoned(restore)) && (await this.claims.giveUp({ tenantId }, id, manager));
      if (!isDatabase && (restore.state !== 'COMPLETED' || restore.journalOutline['keepOld'] !== true)) throw new AppError('NOTHING_KEPT', 'The operation has kept neither old collections nor a former database');
      const { operation } = await this.operations.start(manager, { ...request, input: { operationId: id }, startedBy: stampOf(actor) });
      await this.audit.record({ action: 'restore.old-released', tenantId, actor, subject: { type: 'Operation', id: operation.id }, detail: { restore: id } }, manager);
      return operation;
    });
  }
}
