import { Args, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationModel } from '../operations/operation.model.js';
import type { Actor } from '../platform/auth/actor.js';
import { ReadOnce } from '../platform/database/read-once.js';
import { pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { ArchiveStores } from '../platform/storage/archive-stores.js';
import { TenantModel } from '../tenants/tenant.model.js';
import { BackupModel, toBackupModel } from './backup.model.js';
import { BackupResultModel, VerifyResultModel } from './backup-result.model.js';
import { BackupsRepository } from './backups.repository.js';
import { BackupsService } from './backups.service.js';
import { BackupConnection, BackupListArgs } from './dto/backup.args.js';
import { StorageUsageModel, toStorageUsage } from './storage-usage.model.js';

@Resolver(() => TenantModel)
export class TenantBackupsResolver {
  constructor(
    private readonly access: AccessService,
    private readonly service: BackupsService,
    private readonly repository: BackupsRepository,
    private readonly stores: ArchiveStores,
  ) {}

  @ResolveField(() => BackupConnection, { description: 'Newest first, in every state, safety backups included; DELETED ones only by filter.' })
  async backups(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel, @Args() args: BackupListArgs): Promise<BackupConnection> {
    const scope = await this.access.authorize(actor, tenant.uuid, Permission.BACKUP_READ);
    const page = pageOf(args);
    return toConnection(page, await this.service.list(scope, args.filter ?? {}, page), (row) => ({ at: row.createdAt, id: row.id }), toBackupModel);
  }

  @ResolveField(() => BackupModel, { nullable: true, description: 'The newest usable one; it cannot be deleted.' })
  async lastGoodBackup(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel): Promise<BackupModel | null> {
    const scope = await this.access.authorize(actor, tenant.uuid, Permission.BACKUP_READ);
    const backup = await this.repository.lastGood(scope);
    return backup && toBackupModel(backup);
  }

  @ResolveField(() => StorageUsageModel)
  async storage(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel): Promise<StorageUsageModel> {
    const scope = await this.access.authorize(actor, tenant.uuid, Permission.BACKUP_READ);
    return toStorageUsage(await this.repository.storageTotals(scope), tenant.quotaBytes === null ? null : Number(tenant.quotaBytes), this.stores.main.lock);
  }
}

@Resolver(() => OperationModel)
export class OperationBackupsResolver {
  private readonly backups = new ReadOnce(async (row: OperationEntity) => (row.backupId === null ? null : this.repository.find(row, row.backupId)));
  private readonly safetyBackups = new ReadOnce(async (row: OperationEntity) => (row.kind === 'BACKUP' ? null : this.repository.safetyOf(row, row.id)));

  constructor(private readonly repository: BackupsRepository) {}

  @ResolveField(() => BackupModel, { nullable: true, description: 'The backup that is taken, verified or restored.' })
  async backup(@Parent() { row }: OperationModel): Promise<BackupModel | null> {
    const backup = await this.backups.of(row);
    return backup && toBackupModel(backup);
  }

  @ResolveField(() => BackupModel, { nullable: true, description: 'What was there before the operation changed it.' })
  async safetyBackup(@Parent() { row }: OperationModel): Promise<BackupModel | null> {
    const backup = await this.safetyBackups.of(row);
    return backup && toBackupModel(backup);
  }
}

@Resolver(() => BackupResultModel)
export class BackupResultResolver {
  constructor(private readonly repository: BackupsRepository) {}

  @ResolveField(() => BackupModel, { nullable: true })
  async backup(@Parent() { backupId }: BackupResultModel): Promise<BackupModel | null> {
    const backup = await this.repository.findAnywhere(backupId);
    return backup && toBackupModel(backup);
  }
}

@Resolver(() => VerifyResultModel)
export class VerifyResultResolver {
  constructor(private readonly repository: BackupsRepository) {}

  @ResolveField(() => BackupModel, { nullable: true })
  async backup(@Parent() { backupId }: VerifyResultModel): Promise<BackupModel | null> {
    const backup = await this.repository.findAnywhere(backupId);
    return backup && toBackupModel(backup);
  }
}
