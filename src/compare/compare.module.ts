import { Module } from '@nestjs/common';
import { BackupsModule } from '../backups/backups.module.js';
import { EncryptionModule } from '../encryption/encryption.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import './compare-result.model.js';
import { CompareHandler } from './compare.handler.js';
import { ComparisonsResolver, DocumentDifferencesResolver } from './comparisons.resolver.js';
import { ComparisonsService } from './comparisons.service.js';
import { TenantsModule } from '../tenants/tenants.module.js';

@Module({
  imports: [BackupsModule, EncryptionModule, OperationsModule, TenantsModule],
  providers: [CompareHandler, ComparisonsResolver, ComparisonsService, DocumentDifferencesResolver],
})
export class CompareModule {}
