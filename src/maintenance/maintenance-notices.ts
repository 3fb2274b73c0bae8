import { Injectable, type OnModuleInit } from '@nestjs/common';
import { parseGlobalId, toGlobalId } from '../platform/graphql/global-id.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { WebhooksService } from '../webhooks/webhooks.service.js';

const started = 'maintenance.started';
const ended = 'maintenance.ended';

interface MaintenanceNotice {
  readonly maintenance: { readonly on: boolean; readonly since: string | null; readonly message: string | null; readonly operation: string | null };
}

/**
 * Tells the product when maintenance begins and ends, whoever begins or ends it: the notice is queued by the same
 * transaction. A 2xx to the first is the product's word that its users are out.
 */
@Injectable()
export class MaintenanceNotices implements OnModuleInit {
  constructor(
    private readonly tenants: TenantsService,
    private readonly webhooks: WebhooksService,
  ) {}

  onModuleInit(): void {
    this.tenants.watch(async (before, after, manager) => {
      const scope = { tenantId: after.id };
      const isOn = after.maintenanceSince !== null;
      if (isOn && before.maintenanceOperationId !== after.maintenanceOperationId) {
        await this.webhooks.enqueue(scope, 'MAINTENANCE', started, contentOf(after, after), manager);
      } else if (!isOn && before.maintenanceSince !== null) {
        await this.webhooks.supersede(scope, started, manager);
        await this.webhooks.enqueue(scope, 'MAINTENANCE', ended, contentOf(after, before), manager);
      }
    });
    this.webhooks.onDelivered(started, async ({ tenantId, body }, manager) => {
      const { operation } = (JSON.parse(body) as MaintenanceNotice).maintenance;
      const uuid = operation === null ? undefined : parseGlobalId(operation)?.uuid;
      if (uuid !== undefined) await this.tenants.acknowledgeMaintenance({ tenantId }, uuid, manager);
    });
  }
}

/** `revision` tells a receiver which of two notices is the newer one. */
function contentOf(now: TenantEntity, during: TenantEntity): MaintenanceNotice & Readonly<Record<string, unknown>> {
  return {
    tenant: { id: toGlobalId('Tenant', now.id), slug: now.slug },
    revision: now.revision,
    sessionEpoch: now.sessionEpoch,
    maintenance: {
      on: now.maintenanceSince !== null,
      since: during.maintenanceSince?.toISOString() ?? null,
      message: during.maintenanceMessage,
      operation: during.maintenanceOperationId === null ? null : toGlobalId('Operation', during.maintenanceOperationId),
    },
  };
}
