import { Module } from '@nestjs/common';
import { BackupsModule } from '../backups/backups.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { Reconciliation } from './reconciliation.js';

@Module({ imports: [BackupsModule, TenantsModule], providers: [Reconciliation] })
export class ReconcileModule {}
