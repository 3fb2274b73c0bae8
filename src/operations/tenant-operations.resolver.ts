import { Args, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { AppError } from '#errors';
import type { Actor } from '../platform/auth/actor.js';
import { pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { MaintenanceStateModel, TenantModel } from '../tenants/tenant.model.js';
import { OperationListArgs } from './dto/operation.input.js';
import { OperationAccess } from './operation-access.js';
import { OperationConnection, OperationModel, toOperationModel } from './operation.model.js';

@Resolver(() => TenantModel)
export class TenantOperationsResolver {
  constructor(private readonly access: OperationAccess) {}

  @ResolveField(() => OperationConnection, { description: 'Newest first.' })
  async operations(@CurrentActor() actor: Actor, @Parent() tenant: TenantModel, @Args() args: OperationListArgs): Promise<OperationConnection> {
    const page = pageOf(args);
    return toConnection(page, await this.access.list(actor, tenant.uuid, args.filter ?? {}, page), (row) => ({ at: row.createdAt, id: row.id }), toOperationModel);
  }
}

@Resolver(() => MaintenanceStateModel)
export class MaintenanceOperationResolver {
  constructor(private readonly access: OperationAccess) {}

  /** A new workspace is in maintenance for an operation of the workspace that it is copied from. */
  @ResolveField(() => OperationModel, { nullable: true, description: 'What the maintenance is for, for those who may see it.' })
  async operation(@CurrentActor() actor: Actor, @Parent() { operationUuid }: MaintenanceStateModel): Promise<OperationModel | null> {
    if (operationUuid === null) return null;
    try {
      return toOperationModel(await this.access.get(actor, operationUuid));
    } catch (error) {
      if (error instanceof AppError && error.code === 'NOT_FOUND') return null;
      throw error;
    }
  }
}
