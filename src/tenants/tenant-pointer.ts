import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { EngineSession } from '#engines';
import { AppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import { AuditService } from '../audit/audit.service.js';
import { DatabaseClaims, type KeptDatabase } from './database-claims.js';
import { TenantTargets } from './tenant-targets.js';
import { TenantsService } from './tenants.service.js';

export interface PointerMove {
  readonly operationId: string;
  readonly from: string;
  readonly to: string;
  /** How long the former database stays, so that the move can be undone. */
  readonly keptForMs: number;
}

/** Which database of its server a tenant has, where a restore or an undo gives it another one. */
@Injectable()
export class TenantPointer {
  constructor(
    private readonly tenants: TenantsService,
    private readonly targets: TenantTargets,
    private readonly claims: DatabaseClaims,
    private readonly audit: AuditService,
  ) {}

  /**
   * In the commit's transaction: the tenant has the one database before it and the other after it. What it gets must be reserved for the
   * operation or be one of its own former ones.
   *
   * @throws AppError TENANT_SUSPENDED, LIVE_CHANGED when it is not `from` that the tenant has, NOT_UNDOABLE when `to` is no longer kept
   */
  async move(scope: TenantScope, { operationId, from, to, keptForMs }: PointerMove, origin: 'COPY' | 'KEPT', manager: EntityManager): Promise<void> {
    const before = await this.tenants.getForUpdate(manager, scope.tenantId);
    const { suspendedAt, targetDatabase, targetDeployment: deployment } = before;
    if (suspendedAt !== null) throw new AppError('TENANT_SUSPENDED', 'The workspace was suspended during the work');
    if (targetDatabase !== from) throw new AppError('LIVE_CHANGED', "The workspace's database was changed since the work began");
    if (origin === 'COPY') await this.claims.release(operationId, manager);
    else if (!(await this.claims.takeBack(scope, { deployment, database: to }, manager))) throw new AppError('NOT_UNDOABLE', `The former database ${to} is no longer kept`);
    await this.tenants.change(scope, ({ targetRevision }) => ({ targetDatabase: to, targetRevision: targetRevision + 1 }), manager);
    await this.claims.keep(before, operationId, keptForMs, manager);
    await this.audit.record({ action: 'tenant.repointed', ...scope, actor: null, subject: { type: 'Operation', id: operationId }, detail: { database: to, formerDatabase: from, deployment } }, manager);
  }

  /** By the connection string that the tenant had then; the caller closes the session. @throws AppError NOT_FOUND, TARGET_* */
  async openKept(scope: TenantScope, { database, targetCipher }: KeptDatabase): Promise<EngineSession> {
    const { id, engine, maxBytesPerSecond } = await this.tenants.get(scope);
    return this.targets.open({ id, engine, maxBytesPerSecond, targetCipher, targetDatabase: database });
  }
}
