import { Module, type OnModuleInit } from '@nestjs/common';
import { Permission } from '../access/permission.js';
import { HealthRegistry } from '../platform/health/health-registry.js';
import { PoliciesModule } from '../policies/policies.module.js';
import { policyOf } from '../policies/tenant-policy.js';
import { TenantActions } from '../tenants/tenant-actions.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { EncryptionResolver } from './encryption.resolver.js';
import { EncryptionService } from './encryption.service.js';
import { TenantEncryption } from './tenant-encryption.js';

const needsKey: ReadonlySet<Permission> = new Set([Permission.BACKUP_CREATE, Permission.RESTORE_RUN, Permission.RESET_RUN]);

@Module({ imports: [PoliciesModule, TenantsModule], providers: [EncryptionService, EncryptionResolver, TenantEncryption], exports: [EncryptionService, TenantEncryption] })
export class EncryptionModule implements OnModuleInit {
  constructor(
    private readonly encryption: TenantEncryption,
    private readonly actions: TenantActions,
    private readonly health: HealthRegistry,
  ) {}

  onModuleInit(): void {
    this.health.register('encryption', async () => {
      const shortage = await this.encryption.shortage();
      return shortage === null ? { state: 'ok' } : { state: 'warning', message: shortage };
    });
    this.actions.register(({ policy }, permission) => (needsKey.has(permission) ? this.encryption.whyStopped(policyOf(policy)) : null));
  }
}
