import { Args, Context, ID, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { AccessService } from '../access/access.service.js';
import { ActionState } from '../access/action-state.model.js';
import { Permission } from '../access/permission.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import { toOperationModel } from '../operations/operation.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { blockedReason } from './backup-actions.js';
import { BackupDeletion, protections } from './backup-deletion.js';
import { BackupModel, toBackupModel } from './backup.model.js';
import { BackupProtection } from './backup-protection.js';
import { BackupsService, type StartedBackup } from './backups.service.js';
import { BackupCreateInput, BackupDeleteInput, BackupHoldInput, BackupPinInput, BackupReleaseInput, BackupUnpinInput, BackupUpdateInput, BackupVerifyInput } from './dto/backup.inputs.js';
import { BackupCreatePayload, BackupDeletePayload, BackupHoldPayload, BackupPinPayload, BackupReleasePayload, BackupUnpinPayload, BackupUpdatePayload, BackupVerifyPayload } from './dto/backup.payloads.js';

const actionPermissions = [Permission.BACKUP_DOWNLOAD, Permission.BACKUP_DELETE, Permission.BACKUP_PIN, Permission.RESTORE_RUN];

@Resolver(() => BackupModel)
export class BackupsResolver {
  constructor(
    private readonly backups: BackupsService,
    private readonly deletion: BackupDeletion,
    private readonly protection: BackupProtection,
    private readonly access: AccessService,
    private readonly encryption: TenantEncryption,
    registry: NodeRegistry,
  ) {
    registry.register('Backup', async (actor, uuid) => toBackupModel(await backups.getByUuid(actor, uuid)));
  }

  @Access(Permission.BACKUP_READ)
  @Query(() => BackupModel, { nullable: true })
  async backup(@CurrentActor() actor: Actor, @Args('id', { type: () => ID }) id: string): Promise<BackupModel> {
    return toBackupModel(await this.backups.get(actor, id));
  }

  @Access(Permission.BACKUP_CREATE)
  @Mutation(() => BackupCreatePayload)
  async backupCreate(@CurrentActor() actor: Actor, @Args('input') input: BackupCreateInput): Promise<BackupCreatePayload> {
    return toStartedPayload(await this.backups.create(actor, input));
  }

  @Access(Permission.BACKUP_CREATE)
  @Mutation(() => BackupVerifyPayload, { description: 'Reads the stored file whole; what it finds is in Backup.verification.' })
  async backupVerify(@CurrentActor() actor: Actor, @Args('input') input: BackupVerifyInput): Promise<BackupVerifyPayload> {
    return toStartedPayload(await this.backups.verify(actor, input));
  }

  @Access(Permission.BACKUP_CREATE)
  @Mutation(() => BackupUpdatePayload)
  async backupUpdate(@CurrentActor() actor: Actor, @Args('input') input: BackupUpdateInput): Promise<BackupUpdatePayload> {
    return { backup: toBackupModel(await this.backups.update(actor, input)) };
  }

  @Access(Permission.BACKUP_PIN)
  @Mutation(() => BackupPinPayload, { description: 'A pinned backup is not deleted, by nobody.' })
  async backupPin(@CurrentActor() actor: Actor, @Args('input') input: BackupPinInput): Promise<BackupPinPayload> {
    return { backup: toBackupModel(await this.backups.setPinned(actor, input.backupId, true)) };
  }

  @Access(Permission.BACKUP_PIN)
  @Mutation(() => BackupUnpinPayload)
  async backupUnpin(@CurrentActor() actor: Actor, @Args('input') input: BackupUnpinInput): Promise<BackupUnpinPayload> {
    return { backup: toBackupModel(await this.backups.setPinned(actor, input.backupId, false)) };
  }

  @Access('provider')
  @Mutation(() => BackupHoldPayload, { description: 'A held backup is not deleted, by nobody, until the provider releases it: for a legal or audit reason.' })
  async backupHold(@CurrentActor() actor: Actor, @Args('input') input: BackupHoldInput): Promise<BackupHoldPayload> {
    return { backup: toBackupModel(await this.backups.setHeld(actor, input.backupId, true)) };
  }

  @Access('provider')
  @Mutation(() => BackupReleasePayload)
  async backupRelease(@CurrentActor() actor: Actor, @Args('input') input: BackupReleaseInput): Promise<BackupReleasePayload> {
    return { backup: toBackupModel(await this.backups.setHeld(actor, input.backupId, false)) };
  }

  @Access(Permission.BACKUP_DELETE)
  @Mutation(() => BackupDeletePayload, { description: 'Removes the file for good; the row stays, as DELETED.' })
  async backupDelete(@CurrentActor() actor: Actor, @Args('input') input: BackupDeleteInput): Promise<BackupDeletePayload> {
    return { backup: toBackupModel(await this.deletion.delete(actor, input.backupId, input.giveUpUndo ?? false)) };
  }

  @ResolveField(() => [String], { description: 'Why it is kept, as phrases for people.' })
  async keptBecause(@Parent() backup: BackupModel, @Context() request: object): Promise<string[]> {
    const { lastGoodId, undoable } = await this.protection.of(request, backup);
    const undoableUntil = undoable.get(backup.uuid);
    const forUndo = undoableUntil === undefined ? [] : [`a restore can be undone by it until ${undoableUntil.toISOString()}`];
    return [...protections({ ...backup, id: backup.uuid }, lastGoodId), ...forUndo];
  }

  @ResolveField(() => [ActionState], { description: 'What the actor may do with it now, and why not.' })
  async actions(@CurrentActor() actor: Actor, @Parent() backup: BackupModel, @Context() request: object): Promise<ActionState[]> {
    const protection = await this.protection.of(request, backup);
    return this.access.actionsFor(actor, backup.tenantId, actionPermissions, (permission) => blockedReason(actor, backup, permission, protection, this.encryption.whyStopped(protection.policy)));
  }
}

function toStartedPayload({ backup, operation }: StartedBackup): BackupCreatePayload {
  return { backup: backup && toBackupModel(backup), operation: toOperationModel(operation) };
}
