import { ResolveField, Resolver } from '@nestjs/graphql';
import { TenantModel } from '../tenants/tenant.model.js';
import { EncryptionStateModel } from './encryption-state.model.js';
import { EncryptionService } from './encryption.service.js';

@Resolver(() => TenantModel)
export class EncryptionResolver {
  constructor(private readonly service: EncryptionService) {}

  @ResolveField(() => EncryptionStateModel)
  encryption(): EncryptionStateModel {
    return { ...this.service.summary };
  }
}
