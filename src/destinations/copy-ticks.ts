import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { asAppError, redact } from '#errors';
import { AlertsService } from '../alerts/alerts.service.js';
import { AppConfig } from '../config/app-config.js';
import { OperationsService } from '../operations/operations.service.js';
import type { ActorStamp } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { Sweep } from '../platform/queue/sweep.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { CopyHandler } from './copy.handler.js';
import { DestinationsRepository } from './destinations.repository.js';

const atOnce = 50;
const startedBy: ActorStamp = { id: 'system:copies', kind: 'SYSTEM', email: null, name: 'Copies of backups' };

const notBegun = (tenantId: string) => ({ tenantId, event: 'COPY_FAILED', subject: 'begin' }) as const;

/** Starts the copying of what has no copy yet, one operation a tenant at a time. Any process may do it. */
@Injectable()
export class CopyTicks extends Sweep {
  protected readonly failure = 'Backups without copies could not be looked for';
  /** More often than other sweeps: a backup is to have its copies soon. */
  protected override readonly everyMs = 30_000;

  constructor(
    config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly destinations: DestinationsRepository,
    private readonly operations: OperationsService,
    private readonly tenants: TenantsService,
    private readonly handler: CopyHandler,
    private readonly alerts: AlertsService,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    for (const tenantId of await this.destinations.tenantsToServe(atOnce)) {
      await this.start(tenantId).catch((error: unknown) => this.tell(tenantId, error));
    }
  }

  private start(tenantId: string): Promise<void> {
    return runInTransaction(this.dataSource, async (manager) => {
      await this.tenants.getForUpdate(manager, tenantId);
      const [running] = await this.operations.findNewest(tenantId, { kinds: ['COPY'], states: ['QUEUED', 'RUNNING'] }, 1);
      if (running !== undefined) return;
      await this.operations.start(manager, { handler: this.handler, tenantId, input: {}, startedBy, actorId: startedBy.id, idempotencyKey: null, idempotencyInput: {} });
      await this.alerts.resolve(notBegun(tenantId), manager);
    });
  }

  /** What keeps one workspace's copies from beginning keeps no other's. */
  private async tell(tenantId: string, error: unknown): Promise<void> {
    const { code, message } = asAppError(error);
    this.logger.warn({ msg: 'The copies of a workspace could not be begun; this is tried again', tenantId, code, error: redact(String(error)) });
    await this.alerts.raise({ ...notBegun(tenantId), text: `Backups are not being copied: ${message}`, detail: { code } });
  }
}
