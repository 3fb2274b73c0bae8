import { Module } from '@nestjs/common';
import { AlertsModule } from '../alerts/alerts.module.js';
import { BackupsModule } from '../backups/backups.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { StorageModule } from '../platform/storage/storage.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { CopyHandler } from './copy.handler.js';
import { CopyTicks } from './copy-ticks.js';
import { DestinationsRepository } from './destinations.repository.js';
import { BackupCopiesResolver, DestinationsResolver, TenantDestinationsResolver } from './destinations.resolver.js';
import { DestinationsService } from './destinations.service.js';

@Module({
  imports: [AlertsModule, BackupsModule, OperationsModule, StorageModule, TenantsModule],
  providers: [BackupCopiesResolver, CopyHandler, CopyTicks, DestinationsRepository, DestinationsResolver, DestinationsService, TenantDestinationsResolver],
})
export class DestinationsModule {}
