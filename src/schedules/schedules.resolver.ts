import { Args, ID, Int, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { AccessService } from '../access/access.service.js';
import { ActionState } from '../access/action-state.model.js';
import { Permission } from '../access/permission.js';
import { toBackupModel } from '../backups/backup.model.js';
import { toOperationModel } from '../operations/operation.model.js';
import { AppError } from '#errors';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { RetentionRuleModel } from '../policies/retention-rule.js';
import { TenantModel } from '../tenants/tenant.model.js';
import {
  ScheduleCreateInput, ScheduleCreatePayload, ScheduleDeleteInput, ScheduleDeletePayload, ScheduleRunNowInput, ScheduleRunNowPayload, ScheduleSetActiveInput,
  ScheduleSetActivePayload, ScheduleUpdateInput, ScheduleUpdatePayload,
} from './dto/schedule.inputs.js';
import { nextRuns } from './occurrences.js';
import { recurrenceAt, type ScheduleEntity } from './schedule.entity.js';
import { ScheduleConnection, ScheduleModel, toScheduleModel } from './schedule.model.js';
import { SchedulesService } from './schedules.service.js';

const mostRuns = 50;

@Resolver(() => ScheduleModel)
export class SchedulesResolver {
  constructor(
    private readonly schedules: SchedulesService,
    private readonly access: AccessService,
    registry: NodeRegistry,
  ) {
    registry.register('Schedule', async (actor, uuid) => toScheduleModel(await schedules.getByUuid(actor, uuid)));
  }

  @Access(Permission.BACKUP_READ)
  @Query(() => ScheduleModel, { nullable: true })
  async schedule(@CurrentActor() actor: Actor, @Args('id', { type: () => ID }) id: string): Promise<ScheduleModel> {
    return toScheduleModel(await this.schedules.get(actor, id));
  }

  @Access(Permission.SCHEDULE_MANAGE)
  @Mutation(() => ScheduleCreatePayload)
  async scheduleCreate(@CurrentActor() actor: Actor, @Args('input') input: ScheduleCreateInput): Promise<ScheduleCreatePayload> {
    return { schedule: toScheduleModel(await this.schedules.create(actor, input.tenantId, input)) };
  }

  @Access(Permission.SCHEDULE_MANAGE)
  @Mutation(() => ScheduleUpdatePayload)
  async scheduleUpdate(@CurrentActor() actor: Actor, @Args('input') input: ScheduleUpdateInput): Promise<ScheduleUpdatePayload> {
    return { schedule: toScheduleModel(await this.schedules.update(actor, input.scheduleId, input)) };
  }

  @Access(Permission.SCHEDULE_MANAGE)
  @Mutation(() => ScheduleSetActivePayload)
  async scheduleSetActive(@CurrentActor() actor: Actor, @Args('input') input: ScheduleSetActiveInput): Promise<ScheduleSetActivePayload> {
    return { schedule: toScheduleModel(await this.schedules.setActive(actor, input.scheduleId, input.active, input.confirm ?? false)) };
  }

  @Access(Permission.SCHEDULE_MANAGE)
  @Mutation(() => ScheduleDeletePayload, { description: 'Backups that it made stay.' })
  async scheduleDelete(@CurrentActor() actor: Actor, @Args('input') input: ScheduleDeleteInput): Promise<ScheduleDeletePayload> {
    return { schedule: toScheduleModel(await this.schedules.delete(actor, input.scheduleId)) };
  }

  @Access(Permission.BACKUP_CREATE)
  @Mutation(() => ScheduleRunNowPayload, { description: 'Beside its times, which stay.' })
  async scheduleRunNow(@CurrentActor() actor: Actor, @Args('input') input: ScheduleRunNowInput): Promise<ScheduleRunNowPayload> {
    const { backup, operation } = await this.schedules.runNow(actor, input.scheduleId);
    return { backup: backup && toBackupModel(backup), operation: toOperationModel(operation) };
  }

  @ResolveField(() => RetentionRuleModel)
  retention(@Parent() { row }: ScheduleModel): Promise<RetentionRuleModel> {
    return this.schedules.retentionOf(row);
  }

  @ResolveField(() => [Date], { description: 'Its next times; each run starts within ten minutes of its own.' })
  nextRuns(@Parent() { row }: ScheduleModel, @Args('count', { type: () => Int, defaultValue: 5 }) count: number): Date[] {
    if (count < 1 || count > mostRuns) throw new AppError('BAD_USER_INPUT', `count: must be from 1 to ${mostRuns}`, { field: ['count'] });
    return row.active ? runsOf(row, count) : [];
  }

  @ResolveField(() => [ActionState])
  actions(@CurrentActor() actor: Actor, @Parent() { row }: ScheduleModel): Promise<ActionState[]> {
    return this.access.actionsFor(actor, row.tenantId, [Permission.SCHEDULE_MANAGE, Permission.BACKUP_CREATE]);
  }
}

@Resolver(() => TenantModel)
export class TenantSchedulesResolver {
  constructor(private readonly service: SchedulesService) {}

  @ResolveField(() => ScheduleConnection)
  async schedules(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel, @Args() args: PageArgs): Promise<ScheduleConnection> {
    const page = pageOf(args);
    return toConnection<ScheduleEntity, ScheduleModel>(page, await this.service.list(actor, uuid, page), (row) => ({ at: row.createdAt, id: row.id }), toScheduleModel);
  }

  @ResolveField(() => Date, { nullable: true, description: 'Of all its schedules.' })
  nextRunAt(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel): Promise<Date | null> {
    return this.service.nextRunAt(actor, uuid);
  }
}

/** With the bump as long as it lasts, and the schedule's own cadence after it. */
function runsOf(row: ScheduleEntity, count: number): Date[] {
  const now = new Date();
  const until = row.bump === null ? null : new Date(row.bump.until);
  if (until === null || until <= now) return nextRuns(recurrenceAt(row, now), now, count);
  const during = nextRuns(recurrenceAt(row, now), now, count).filter((at) => at < until);
  return [...during, ...nextRuns(recurrenceAt(row, until), new Date(until.getTime() - 1), count)].slice(0, count);
}
