import { Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { TenantModel, toTenantModel } from '../tenants/tenant.model.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { RestoreResultModel } from './restore-result.model.js';

@Resolver(() => RestoreResultModel)
export class RestoreResultResolver {
  constructor(
    private readonly access: AccessService,
    private readonly tenants: TenantsService,
  ) {}

  @ResolveField(() => TenantModel, { nullable: true, description: 'The workspace that was made for the copy, for those who may see it.' })
  async newTenant(@CurrentActor() actor: Actor, @Parent() { newTenantId }: RestoreResultModel): Promise<TenantModel | null> {
    if (newTenantId == null) return null;
    try {
      return toTenantModel(await this.tenants.get(await this.access.authorize(actor, newTenantId, null)));
    } catch (error) {
      if (error instanceof AppError && error.code === 'NOT_FOUND') return null;
      throw error;
    }
  }
}
