import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { SafetyBackups } from '../backups/safety-backups.js';
import type { JsonObject, OperationFailure, SettledOperation } from '../operations/operation-handler.js';
import { DatabaseClaims } from '../tenants/database-claims.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { StageLeftOversRepository } from './stage-left-overs.repository.js';

/** The end of whatever replaces live data: whether the users come back, and what an abandoned one keeps. */
@Injectable()
export class RestoreSettlement {
  constructor(
    private readonly tenants: TenantsService,
    private readonly safety: SafetyBackups,
    private readonly claims: DatabaseClaims,
    private readonly leftOvers: StageLeftOversRepository,
  ) {}

  /** Idempotent. */
  async settle(operation: Omit<SettledOperation<JsonObject>, 'input' | 'result'>, manager: EntityManager): Promise<void> {
    const { id, tenantId, state } = operation;
    const scope = { tenantId };
    if (isAbandoned(operation)) {
      await this.tenants.keepMaintenance(scope, id, manager);
      await this.safety.keepOfAbandoned(scope, id, operation.failure, manager);
      // Each may be the only copy of something: no sweep takes any of it.
      await this.leftOvers.forget(id, manager);
      await this.claims.keepForGood(id, manager);
    } else if (state === 'COMPLETED') {
      await this.tenants.endMaintenance(scope, id, manager);
    } else {
      await this.tenants.leaveMaintenance(scope, id, manager);
    }
  }
}

export function isAbandoned<Row extends { readonly failure: OperationFailure | null }>(operation: Row): operation is Row & { readonly failure: OperationFailure } {
  return operation.failure?.code === 'ABANDONED';
}
