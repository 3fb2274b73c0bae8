import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { BackupModel, toBackupModel } from '../backups/backup.model.js';
import { BackupsService } from '../backups/backups.service.js';
import { toOperationModel } from '../operations/operation.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { CompareResultModel, DocumentDifferencesModel } from './compare-result.model.js';
import { ComparisonsService } from './comparisons.service.js';
import { BackupCompareInput, BackupComparePayload } from './dto/compare.inputs.js';

@Resolver(() => CompareResultModel)
export class ComparisonsResolver {
  constructor(
    private readonly comparisons: ComparisonsService,
    private readonly backups: BackupsService,
  ) {}

  @Access(Permission.BACKUP_CREATE)
  @Mutation(() => BackupComparePayload, { description: 'What is different between two backups, from their trailers and definitions alone; of one collection, on request, document by document.' })
  async backupCompare(@CurrentActor() actor: Actor, @Args('input') input: BackupCompareInput): Promise<BackupComparePayload> {
    return { operation: toOperationModel(await this.comparisons.start(actor, input)) };
  }

  @ResolveField(() => BackupModel, { nullable: true })
  async backup(@CurrentActor() actor: Actor, @Parent() { backupId }: CompareResultModel): Promise<BackupModel> {
    return toBackupModel(await this.backups.getByUuid(actor, backupId));
  }

  @ResolveField(() => BackupModel, { nullable: true })
  async otherBackup(@CurrentActor() actor: Actor, @Parent() { otherBackupId }: CompareResultModel): Promise<BackupModel> {
    return toBackupModel(await this.backups.getByUuid(actor, otherBackupId));
  }
}

const idsDescription = '_ids in Extended JSON, 20 at most; null for those who may not download backups.';

/** Whoever sees the tenant sees its operations, but ids of documents are documents' contents. */
@Resolver(() => DocumentDifferencesModel)
export class DocumentDifferencesResolver {
  constructor(private readonly access: AccessService) {}

  @ResolveField(() => [String], { nullable: true, description: idsDescription })
  addedIds(@CurrentActor() actor: Actor, @Parent() { tenantId, addedIds }: DocumentDifferencesModel): Promise<string[] | null> {
    return this.shown(actor, tenantId, addedIds);
  }

  @ResolveField(() => [String], { nullable: true, description: idsDescription })
  removedIds(@CurrentActor() actor: Actor, @Parent() { tenantId, removedIds }: DocumentDifferencesModel): Promise<string[] | null> {
    return this.shown(actor, tenantId, removedIds);
  }

  @ResolveField(() => [String], { nullable: true, description: idsDescription })
  changedIds(@CurrentActor() actor: Actor, @Parent() { tenantId, changedIds }: DocumentDifferencesModel): Promise<string[] | null> {
    return this.shown(actor, tenantId, changedIds);
  }

  private async shown(actor: Actor, tenantId: string, ids: string[]): Promise<string[] | null> {
    const [state] = await this.access.actionsFor(actor, tenantId, [Permission.BACKUP_DOWNLOAD]);
    return state?.allowed === true ? ids : null;
  }
}
