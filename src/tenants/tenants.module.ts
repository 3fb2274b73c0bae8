import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { EnginesModule } from '../platform/engines/engines.module.js';
import { EventsModule } from '../platform/events/events.module.js';
import { SecretsModule } from '../platform/secrets/secrets.module.js';
import { StoredSecrets } from '../platform/stored-secrets/stored-secrets.js';
import { StoredSecretsModule } from '../platform/stored-secrets/stored-secrets.module.js';
import { CopyTargets } from './copy-targets.js';
import { DatabaseClaims } from './database-claims.js';
import { TargetPolicy } from './target-policy.js';
import { TenantActions } from './tenant-actions.js';
import { TenantAdministration } from './tenant-administration.js';
import { TenantAuditResolver } from './tenant-audit.resolver.js';
import { TenantDatabases } from './tenant-databases.js';
import { TenantEntity } from './tenant.entity.js';
import { TenantMembersResolver } from './tenant-members.resolver.js';
import { TenantPointer } from './tenant-pointer.js';
import { TenantTargets } from './tenant-targets.js';
import { TenantsRepository } from './tenants.repository.js';
import { TenantsResolver } from './tenants.resolver.js';
import { TenantsService } from './tenants.service.js';
import { TransferRates } from './transfer-rates.js';
import { ViewerResolver } from './viewer.resolver.js';

@Module({
  imports: [TypeOrmModule.forFeature([TenantEntity]), EnginesModule, EventsModule, SecretsModule, StoredSecretsModule],
  providers: [CopyTargets, DatabaseClaims, TargetPolicy, TenantActions, TenantAdministration, TenantAuditResolver, TenantDatabases, TenantMembersResolver, TenantPointer, TenantTargets, TenantsRepository, TenantsResolver, TenantsService, TransferRates, ViewerResolver],
  exports: [CopyTargets, DatabaseClaims, TargetPolicy, TenantsService, TenantActions, TenantPointer],
})
export class TenantsModule {
  constructor(secrets: StoredSecrets, tenants: TenantsRepository) {
    secrets.register('connections of workspaces', 'target-uri', (after, limit) => tenants.sealed(after, limit));
  }
}
