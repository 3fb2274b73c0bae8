import { Module, type OnModuleInit } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Permission } from '../access/permission.js';
import { ApprovalsModule } from '../approvals/approvals.module.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import { ClassesModule } from '../classes/classes.module.js';
import { EncryptionModule } from '../encryption/encryption.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { OperationsService } from '../operations/operations.service.js';
import { PoliciesModule } from '../policies/policies.module.js';
import { PoliciesService } from '../policies/policies.service.js';
import { StorageModule } from '../platform/storage/storage.module.js';
import { StoreIdentities } from '../platform/storage/store-identities.js';
import { TenantActions } from '../tenants/tenant-actions.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { ArchiveFiles } from './archive-files.js';
import { ArchiveInspection } from './archive-inspection.js';
import { ArchiveRecorder } from './archive-recorder.js';
import { governed } from './backup-actions.js';
import { BackupDeletion } from './backup-deletion.js';
import { BackupEntity } from './backup.entity.js';
import { BackupHandler } from './backup.handler.js';
import { BackupCatalogue } from './backup-catalogue.js';
import { BackupCopies } from './backup-copies.js';
import { BackupKeys } from './backup-keys.js';
import { BackupImports } from './backup-imports.js';
import { BackupMetrics } from './backup-metrics.js';
import { BackupLeftovers } from './backup-leftovers.js';
import { BackupProtection } from './backup-protection.js';
import { BackupRunner } from './backup-runner.js';
import { BackupsRepository } from './backups.repository.js';
import { BackupsResolver } from './backups.resolver.js';
import { BackupsService } from './backups.service.js';
import { DiscardedArchives } from './discarded-archives.js';
import { ImportHandler } from './import.handler.js';
import { SafetyBackups } from './safety-backups.js';
import { TenantArchives } from './tenant-archives.js';
import { BackupResultResolver, OperationBackupsResolver, TenantBackupsResolver, VerifyResultResolver } from './tenant-backups.resolver.js';
import { VerifyHandler } from './verify.handler.js';

const exclusiveWork: ReadonlySet<Permission> = new Set([Permission.BACKUP_CREATE, Permission.RESTORE_RUN, Permission.RESET_RUN]);

@Module({
  imports: [TypeOrmModule.forFeature([BackupEntity]), ApprovalsModule, ClassesModule, EncryptionModule, OperationsModule, PoliciesModule, StorageModule, TenantsModule],
  providers: [
    ArchiveFiles, ArchiveInspection, ArchiveRecorder, BackupCatalogue, BackupCopies, BackupImports, BackupKeys, DiscardedArchives, ImportHandler, BackupDeletion, BackupHandler, BackupLeftovers, BackupMetrics, BackupProtection, BackupResultResolver, BackupRunner, BackupsRepository, BackupsResolver,
    BackupsService, OperationBackupsResolver, SafetyBackups, TenantArchives, TenantBackupsResolver, VerifyHandler, VerifyResultResolver,
  ],
  exports: [ArchiveFiles, ArchiveInspection, BackupCatalogue, BackupCopies, BackupDeletion, BackupImports, BackupKeys, BackupProtection, BackupsService, SafetyBackups, TenantArchives],
})
export class BackupsModule implements OnModuleInit {
  constructor(
    private readonly actions: TenantActions,
    private readonly operations: OperationsService,
    private readonly policies: PoliciesService,
    private readonly approvals: ApprovalsService,
    private readonly deletion: BackupDeletion,
    private readonly identities: StoreIdentities,
    private readonly catalogue: BackupCatalogue,
  ) {}

  onModuleInit(): void {
    this.identities.expect((store, manager) => this.catalogue.newestIn(store, manager));
    this.approvals.register({ action: 'DELETE_PERMANENTLY', subjectType: 'Backup', describe: (actor, id, { giveUpUndo }) => this.deletion.describe(actor, id, giveUpUndo) });
    this.actions.register((tenant, permission, actor) => {
      const asked = governed.get(permission);
      return asked === undefined ? null : this.policies.refusal(actor, { tenantId: tenant.id }, asked);
    });
    this.actions.register(async (tenant, permission) => {
      if (!exclusiveWork.has(permission)) return null;
      const running = await this.operations.findRunning(tenant.id);
      return running === null ? null : `The ${running.kind.toLowerCase()} of this workspace has not finished yet`;
    });
  }
}
