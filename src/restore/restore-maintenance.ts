import { Injectable } from '@nestjs/common';
import { MaintenanceAcknowledgement } from '../maintenance/maintenance-acknowledgement.js';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { PoliciesService } from '../policies/policies.service.js';
import { TenantsService } from '../tenants/tenants.service.js';

const unacknowledged = 'The product did not confirm in time that its users are out; what they wrote until the swap is in the safety backup';

/** MAINTENANCE_ON: the last phase in which nothing of the live data has changed. */
@Injectable()
export class RestoreMaintenance {
  constructor(
    private readonly tenants: TenantsService,
    private readonly policies: PoliciesService,
    private readonly acknowledgement: MaintenanceAcknowledgement,
  ) {}

  /** Returns warnings for the result. @throws AppError MAINTENANCE_UNACKNOWLEDGED */
  async begin(context: OperationContext<JsonObject>, message: string, late = unacknowledged): Promise<readonly string[]> {
    await context.enter('MAINTENANCE_ON');
    await context.fenced(async (manager) => {
      const { endSessions } = await this.policies.of(context, manager);
      await this.tenants.beginMaintenance(context, { operationId: context.id, message, endSessions }, manager);
    });
    await context.faultPoint('restore.maintenance');
    if (await this.acknowledgement.wait(context, context.signal)) return [];
    context.log(late, 'WARN');
    return [late];
  }

  /** After the commit point. Idempotent. */
  async end(context: OperationContext<JsonObject>): Promise<void> {
    await context.enter('MAINTENANCE_OFF');
    await context.fenced((manager) => this.tenants.endMaintenance(context, context.id, manager));
    await context.faultPoint('restore.maintenance-off');
  }
}
