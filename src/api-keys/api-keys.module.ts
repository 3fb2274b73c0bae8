import { Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ApiKeyDirectory } from '../platform/auth/api-key-directory.js';
import { EventsModule } from '../platform/events/events.module.js';
import { PoliciesModule } from '../policies/policies.module.js';
import { ApiKeyEntity } from './api-key.entity.js';
import { ApiKeysRepository } from './api-keys.repository.js';
import { ApiKeysResolver } from './api-keys.resolver.js';
import { ApiKeysService } from './api-keys.service.js';

/** Global, because whoever checks tokens asks for keys, too. */
@Global()
@Module({
  imports: [TypeOrmModule.forFeature([ApiKeyEntity]), EventsModule, PoliciesModule],
  providers: [ApiKeysRepository, ApiKeysResolver, ApiKeysService, { provide: ApiKeyDirectory, useExisting: ApiKeysService }],
  exports: [ApiKeyDirectory],
})
export class ApiKeysModule {}
