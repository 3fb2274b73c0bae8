import { Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { TenantModel } from '../tenants/tenant.model.js';
import { EncryptionStateModel } from './encryption-state.model.js';
import { TenantEncryption } from './tenant-encryption.js';

@Resolver(() => TenantModel)
export class EncryptionResolver {
  constructor(private readonly encryptions: TenantEncryption) {}

  @ResolveField(() => EncryptionStateModel)
  async encryption(@Parent() { uuid }: TenantModel): Promise<EncryptionStateModel> {
    return { ...(await this.encryptions.summaryOf({ tenantId: uuid })) };
  }
}
