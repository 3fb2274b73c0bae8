import { Module } from '@nestjs/common';
import { BackupsModule } from '../backups/backups.module.js';
import { RetentionModule } from '../retention/retention.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { TransfersModule } from '../transfers/transfers.module.js';
import { DeparturesResolver } from './departures.resolver.js';
import { TenantDepartures } from './tenant-departures.js';
import { TenantRemoval } from './tenant-removal.js';

@Module({ imports: [BackupsModule, RetentionModule, TenantsModule, TransfersModule], providers: [DeparturesResolver, TenantDepartures, TenantRemoval] })
export class DeparturesModule {}
