import { Module } from '@nestjs/common';
import { AlertsModule } from '../alerts/alerts.module.js';
import { BackupsModule } from '../backups/backups.module.js';
import { EncryptionModule } from '../encryption/encryption.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { KeysResolver } from './keys.resolver.js';
import { KeysService } from './keys.service.js';
import { MissingKeys } from './missing-keys.js';
import { ReencryptHandler } from './reencrypt.handler.js';

@Module({
  imports: [AlertsModule, BackupsModule, EncryptionModule, OperationsModule, TenantsModule],
  providers: [KeysResolver, KeysService, MissingKeys, ReencryptHandler],
  exports: [KeysService],
})
export class KeysModule {}
