import { Args, ID, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { toAnnouncementModel } from '../announcements/announcement.model.js';
import { BackupModel, toBackupModel } from '../backups/backup.model.js';
import { BackupsService } from '../backups/backups.service.js';
import { OperationModel, toOperationModel } from '../operations/operation.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { RestorePlanCreateInput, RestoreStartInput } from './dto/restore.inputs.js';
import { RestorePlanCreatePayload, RestoreStartPayload } from './dto/restore.payloads.js';
import { RestorePlanModel, RestoreSourceModel, toRestorePlanModel } from './restore-plan.model.js';
import { RestorePlanner } from './restore-planner.js';
import { RestorePlansRepository } from './restore-plans.repository.js';
import { RestoresService } from './restores.service.js';

@Resolver(() => RestorePlanModel)
export class RestoresResolver {
  constructor(
    private readonly planner: RestorePlanner,
    private readonly restores: RestoresService,
    registry: NodeRegistry,
  ) {
    registry.register('RestorePlan', async (actor, uuid) => toRestorePlanModel(await planner.get(actor, uuid)));
  }

  @Access(Permission.RESTORE_RUN)
  @Query(() => RestorePlanModel, { nullable: true })
  async restorePlan(@CurrentActor() actor: Actor, @Args('id', { type: () => ID }) id: string): Promise<RestorePlanModel> {
    return toRestorePlanModel(await this.planner.get(actor, fromGlobalId('RestorePlan', id)));
  }

  @Access(Permission.RESTORE_RUN)
  @Mutation(() => RestorePlanCreatePayload, { description: 'Looks at archive and database and changes nothing; the plan works once, for 15 minutes.' })
  async restorePlanCreate(@CurrentActor() actor: Actor, @Args('input') input: RestorePlanCreateInput): Promise<RestorePlanCreatePayload> {
    return { plan: toRestorePlanModel(await this.planner.create(actor, input)) };
  }

  @Access(Permission.RESTORE_RUN)
  @Mutation(() => RestoreStartPayload)
  async restoreStart(@CurrentActor() actor: Actor, @Args('input') input: RestoreStartInput): Promise<RestoreStartPayload> {
    const { operation, announcement } = await this.restores.start(actor, input);
    return { operation: operation && toOperationModel(operation), announcement: announcement && toAnnouncementModel(announcement) };
  }
}

@Resolver(() => RestoreSourceModel)
export class RestoreSourceResolver {
  constructor(private readonly backups: BackupsService) {}

  @ResolveField(() => BackupModel, { nullable: true })
  async backup(@CurrentActor() actor: Actor, @Parent() { backupUuid }: RestoreSourceModel): Promise<BackupModel | null> {
    return backupUuid === null ? null : toBackupModel(await this.backups.getByUuid(actor, backupUuid));
  }
}

@Resolver(() => OperationModel)
export class OperationPlanResolver {
  constructor(
    private readonly plans: RestorePlansRepository,
    private readonly access: AccessService,
  ) {}

  @ResolveField(() => RestorePlanModel, { nullable: true, description: 'Null for those who may not restore.' })
  async plan(@CurrentActor() actor: Actor, @Parent() { row }: OperationModel): Promise<RestorePlanModel | null> {
    const [state] = await this.access.actionsFor(actor, row.tenantId, [Permission.RESTORE_RUN]);
    if (state?.allowed !== true) return null;
    const plan = row.planId === null ? null : await this.plans.find(row, row.planId);
    return plan && toRestorePlanModel(plan);
  }
}
