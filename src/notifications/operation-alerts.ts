import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { type AlertEvent, noKey } from '../alerts/alert-event.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { BackupsService } from '../backups/backups.service.js';
import { type EndedOperation, OperationHandlers } from '../operations/operation-handlers.js';
import type { OperationKind } from '../operations/operation-handler.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { quotaStates } from './quota-states.js';
import { unusualFrom } from './size-anomaly.js';

interface EndEvents {
  readonly completed: AlertEvent | null;
  readonly failed: AlertEvent;
  readonly noun: string;
}

const events: Partial<Record<OperationKind, EndEvents>> = {
  BACKUP: { completed: 'BACKUP_COMPLETED', failed: 'BACKUP_FAILED', noun: 'backup' },
  VERIFY: { completed: null, failed: 'VERIFY_FAILED', noun: 'verification of a backup' },
  DRILL: { completed: 'DRILL_COMPLETED', failed: 'DRILL_FAILED', noun: 'restore drill' },
  RESTORE: { completed: 'RESTORE_COMPLETED', failed: 'RESTORE_FAILED', noun: 'restore' },
  UNDO: { completed: 'RESTORE_COMPLETED', failed: 'RESTORE_FAILED', noun: 'undo of a restore' },
  RESET: { completed: 'RESET_COMPLETED', failed: 'RESET_FAILED', noun: 'reset' },
  RELEASE: { completed: null, failed: 'RESTORE_FAILED', noun: 'dropping of what a restore left' },
  COPY: { completed: null, failed: 'COPY_FAILED', noun: 'copy of a backup' },
};

const comparedWith = 5;

/** Raises what the ends of operations mean for people, in the transactions that end them. */
@Injectable()
export class OperationAlerts implements OnModuleInit {
  constructor(
    private readonly handlers: OperationHandlers,
    private readonly alerts: AlertsService,
    private readonly backups: BackupsService,
    private readonly tenants: TenantsService,
  ) {}

  onModuleInit(): void {
    this.handlers.watchEnds((operation, manager) => this.hear(operation, manager));
  }

  private async hear(operation: EndedOperation, manager: EntityManager): Promise<void> {
    const known = events[operation.kind];
    if (known === undefined || operation.state === 'CANCELED' || operation.input['dryRun'] === true) return;
    const { id, tenantId, state, failure, result } = operation;
    if (failure?.code === 'ENCRYPTION_KEY_MISSING') {
      // Each schedule of each tenant fails of it: people are told once.
      await this.alerts.raise({ ...noKey, text: failure.message }, manager);
    } else if (state === 'FAILED' || result?.['ok'] === false) {
      const reason = failure?.message ?? (typeof result?.['message'] === 'string' ? result['message'] : 'See the operation');
      await this.alerts.raise({ tenantId, event: known.failed, subject: id, text: `The ${known.noun} failed: ${reason}`, detail: { code: failure?.code ?? null } }, manager);
    } else if (known.completed !== null) {
      await this.alerts.raise({ tenantId, event: known.completed, subject: id, text: `The ${known.noun} has completed` }, manager);
    }
    if (operation.kind === 'BACKUP' && state === 'COMPLETED' && operation.backupId !== null) {
      await this.compareSize(operation, operation.backupId, manager);
      await this.watchQuota(operation, manager);
    }
  }

  private async compareSize(scope: TenantScope, backupId: string, manager: EntityManager): Promise<void> {
    const backup = await this.backups.find(scope, backupId);
    if (backup?.sizeBytes == null) return;
    const median = unusualFrom(backup.sizeBytes, await this.backups.sizesBefore(scope, backup, comparedWith));
    if (median === null) return;
    const percent = Math.round((backup.sizeBytes / median) * 100);
    await this.alerts.raise({ tenantId: scope.tenantId, event: 'BACKUP_SIZE_ANOMALY', subject: backupId, text: `The backup "${backup.name}" has ${backup.sizeBytes} bytes, ${percent} % of what the last ones had` }, manager);
  }

  private async watchQuota(scope: TenantScope, manager: EntityManager): Promise<void> {
    const { quotaBytes } = await this.tenants.get(scope, manager);
    const { usedBytes } = await this.backups.storageTotals(scope);
    for (const { subject, severity, isOn, percent } of quotaStates(usedBytes, quotaBytes === null ? null : Number(quotaBytes))) {
      const about = { tenantId: scope.tenantId, event: 'QUOTA', subject } as const;
      if (isOn) await this.alerts.raise({ ...about, severity, text: `${percent} % of the storage quota is used` }, manager);
      else await this.alerts.resolve(about, manager);
    }
  }
}
