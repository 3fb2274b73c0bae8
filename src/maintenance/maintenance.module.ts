import { Module } from '@nestjs/common';
import { EventsModule } from '../platform/events/events.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { WebhooksModule } from '../webhooks/webhooks.module.js';
import { MaintenanceAcknowledgement } from './maintenance-acknowledgement.js';
import { MaintenanceNotices } from './maintenance-notices.js';
import { MaintenanceWebhooks } from './maintenance-webhooks.js';
import { MaintenanceWebhooksResolver } from './maintenance-webhooks.resolver.js';

@Module({
  imports: [EventsModule, TenantsModule, WebhooksModule],
  providers: [MaintenanceAcknowledgement, MaintenanceNotices, MaintenanceWebhooks, MaintenanceWebhooksResolver],
  exports: [MaintenanceAcknowledgement],
})
export class MaintenanceModule {}
