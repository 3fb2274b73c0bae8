import { Module } from '@nestjs/common';
import { BackupsModule } from '../backups/backups.module.js';
import { StorageModule } from '../platform/storage/storage.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { Reconciliation } from './reconciliation.js';
import { StoreAcceptance } from './store-acceptance.js';

@Module({ imports: [BackupsModule, StorageModule, TenantsModule], providers: [Reconciliation, StoreAcceptance] })
export class ReconcileModule {}
