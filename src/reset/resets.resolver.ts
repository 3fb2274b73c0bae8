import { Args, ID, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { AnnouncementModel, toAnnouncementModel } from '../announcements/announcement.model.js';
import { AnnouncementsService } from '../announcements/announcements.service.js';
import { BackupModel, toBackupModel } from '../backups/backup.model.js';
import { BackupsService } from '../backups/backups.service.js';
import { OperationModel, toOperationModel } from '../operations/operation.model.js';
import { OperationsService } from '../operations/operations.service.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { ResetBeginInput, ResetCancelInput, ResetExecuteInput, ResetSendCodeInput, ResetVerifyCodeInput } from './dto/reset.inputs.js';
import { ResetBeginPayload, ResetCancelPayload, ResetExecutePayload, ResetSendCodePayload, ResetVerifyCodePayload } from './dto/reset.payloads.js';
import { checklistOf } from './reset-checklist.js';
import { ResetProgress } from './reset-progress.js';
import { ChecklistItemModel, ResetChannelModel, ResetModel, toResetModel } from './reset.model.js';
import { ResetsService } from './resets.service.js';

@Resolver(() => ResetModel)
export class ResetsResolver {
  constructor(
    private readonly resets: ResetsService,
    private readonly progress: ResetProgress,
    private readonly backups: BackupsService,
    private readonly operations: OperationsService,
    private readonly announcements: AnnouncementsService,
    registry: NodeRegistry,
  ) {
    registry.register('Reset', async (actor, uuid) => toResetModel(await resets.get(actor, uuid)));
  }

  @Access(Permission.RESET_RUN)
  @Query(() => ResetModel, { nullable: true })
  async reset(@CurrentActor() actor: Actor, @Args('id', { type: () => ID }) id: string): Promise<ResetModel> {
    return toResetModel(await this.resets.get(actor, fromGlobalId('Reset', id)));
  }

  @Access(Permission.RESET_RUN)
  @Mutation(() => ResetBeginPayload, { description: 'Shows what a reset would wipe and changes nothing. An earlier one of the same person that is still open is given up.' })
  async resetBegin(@CurrentActor() actor: Actor, @Args('input') input: ResetBeginInput): Promise<ResetBeginPayload> {
    return { reset: toResetModel(await this.resets.begin(actor, input)) };
  }

  @Access(Permission.RESET_RUN)
  @Mutation(() => ResetSendCodePayload, { description: 'Sends six digits to the person who began the reset; they are good for 10 minutes, and another code may be sent after 60 seconds.' })
  async resetSendCode(@CurrentActor() actor: Actor, @Args('input') { resetId, channel }: ResetSendCodeInput): Promise<ResetSendCodePayload> {
    return { reset: toResetModel(await this.resets.sendCode(actor, resetId, channel)) };
  }

  @Access(Permission.RESET_RUN)
  @Mutation(() => ResetVerifyCodePayload, { description: 'After five wrong codes the reset is void.' })
  async resetVerifyCode(@CurrentActor() actor: Actor, @Args('input') { resetId, channel, code }: ResetVerifyCodeInput): Promise<ResetVerifyCodePayload> {
    return { reset: toResetModel(await this.resets.verifyCode(actor, resetId, channel, code)) };
  }

  @Access(Permission.RESET_RUN)
  @Mutation(() => ResetExecutePayload, { description: 'Wipes what the reset lists, after a safety backup; restoreUndo brings it back for 7 days.' })
  async resetExecute(@CurrentActor() actor: Actor, @Args('input') input: ResetExecuteInput): Promise<ResetExecutePayload> {
    const { reset, operation } = await this.resets.execute(actor, input);
    return { reset: toResetModel(reset), operation: operation && toOperationModel(operation) };
  }

  @Access(Permission.RESET_RUN)
  @Mutation(() => ResetCancelPayload, { description: 'Gives up a reset that has not begun to execute, an announced one as well; later operationCancel does.' })
  async resetCancel(@CurrentActor() actor: Actor, @Args('input') { resetId }: ResetCancelInput): Promise<ResetCancelPayload> {
    return { reset: toResetModel(await this.resets.cancel(actor, resetId)) };
  }

  @ResolveField(() => [ResetChannelModel])
  channels(@Parent() { row }: ResetModel): Promise<ResetChannelModel[]> {
    return this.progress.channelsOf(row);
  }

  @ResolveField(() => [ChecklistItemModel])
  async checklist(@Parent() { row }: ResetModel): Promise<ChecklistItemModel[]> {
    return checklistOf(await this.backups.findLastGood(row), Date.now());
  }

  @ResolveField(() => BackupModel, { nullable: true, description: 'The latest usable one of the whole database.' })
  async latestBackup(@Parent() { row }: ResetModel): Promise<BackupModel | null> {
    const backup = await this.backups.findLastGood(row);
    return backup && toBackupModel(backup);
  }

  @ResolveField(() => AnnouncementModel, { nullable: true, description: 'Where it has a start time.' })
  async announcement(@Parent() { row }: ResetModel): Promise<AnnouncementModel | null> {
    const announcement = await this.announcements.findOf(row, row.id);
    return announcement && toAnnouncementModel(announcement);
  }

  @ResolveField(() => OperationModel, { nullable: true })
  async operation(@Parent() { row }: ResetModel): Promise<OperationModel | null> {
    return row.operationId === null ? null : toOperationModel(await this.operations.get(row.tenantId, row.operationId));
  }
}
