import { Args, Mutation, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { BackupModel, toBackupModel } from '../backups/backup.model.js';
import { BackupsService } from '../backups/backups.service.js';
import { toOperationModel } from '../operations/operation.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel } from '../tenants/tenant.model.js';
import { DrillResultModel, DrillRunInput, DrillRunPayload, ProofPlanModel, ProofPlanUpdateInput, ProofPlanUpdatePayload } from './drill.model.js';
import { DrillsService } from './drills.service.js';

@Resolver(() => DrillResultModel)
export class DrillsResolver {
  constructor(
    private readonly drills: DrillsService,
    private readonly backups: BackupsService,
  ) {}

  @Access(Permission.RESTORE_RUN)
  @Mutation(() => DrillRunPayload, { description: 'Restores a backup whole into a scratch database, compares it with the archive, and drops it. Nothing live is touched.' })
  async drillRun(@CurrentActor() actor: Actor, @Args('input') input: DrillRunInput): Promise<DrillRunPayload> {
    return { operation: toOperationModel(await this.drills.run(actor, input)) };
  }

  @Access(Permission.SCHEDULE_MANAGE)
  @Mutation(() => ProofPlanUpdatePayload)
  async proofPlanUpdate(@CurrentActor() actor: Actor, @Args('input') input: ProofPlanUpdateInput): Promise<ProofPlanUpdatePayload> {
    const { verifyEveryDays = null, drillEveryDays = null } = input;
    return { proofPlan: await this.drills.updatePlan(actor, input.tenantId, { verifyEveryDays, drillEveryDays }) };
  }

  @ResolveField(() => BackupModel, { nullable: true })
  async backup(@CurrentActor() actor: Actor, @Parent() { backupId }: DrillResultModel): Promise<BackupModel> {
    return toBackupModel(await this.backups.getByUuid(actor, backupId));
  }
}

@Resolver(() => TenantModel)
export class TenantProofResolver {
  constructor(private readonly drills: DrillsService) {}

  @ResolveField(() => ProofPlanModel)
  proofPlan(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<ProofPlanModel> {
    return this.drills.plan(actor, uuid);
  }
}
