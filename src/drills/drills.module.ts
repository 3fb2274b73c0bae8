import { Module } from '@nestjs/common';
import { BackupsModule } from '../backups/backups.module.js';
import { EncryptionModule } from '../encryption/encryption.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { RestoreModule } from '../restore/restore.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { DrillHandler } from './drill.handler.js';
import { DrillsResolver, TenantProofResolver } from './drills.resolver.js';
import { DrillsService } from './drills.service.js';
import { ProofPlansRepository } from './proof-plans.repository.js';
import { ProofTicks } from './proof-ticks.js';

@Module({
  imports: [BackupsModule, EncryptionModule, OperationsModule, RestoreModule, TenantsModule],
  providers: [DrillHandler, DrillsResolver, DrillsService, ProofPlansRepository, ProofTicks, TenantProofResolver],
})
export class DrillsModule {}
