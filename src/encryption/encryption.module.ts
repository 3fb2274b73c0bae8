import { Module, type OnModuleInit } from '@nestjs/common';
import { Permission } from '../access/permission.js';
import { HealthRegistry } from '../platform/health/health-registry.js';
import { TenantActions } from '../tenants/tenant-actions.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { EncryptionResolver } from './encryption.resolver.js';
import { EncryptionService } from './encryption.service.js';

const needsKey: ReadonlySet<Permission> = new Set([Permission.BACKUP_CREATE, Permission.RESTORE_RUN, Permission.RESET_RUN]);

@Module({ imports: [TenantsModule], providers: [EncryptionService, EncryptionResolver], exports: [EncryptionService] })
export class EncryptionModule implements OnModuleInit {
  constructor(
    private readonly encryption: EncryptionService,
    private readonly actions: TenantActions,
    private readonly health: HealthRegistry,
  ) {}

  onModuleInit(): void {
    const { banner } = this.encryption.summary;
    this.health.register('encryption', () => Promise.resolve(banner === null ? { state: 'ok' } : { state: 'warning', message: banner }));
    this.actions.register((_tenant, permission) => (needsKey.has(permission) ? this.encryption.summary.banner : null));
  }
}
