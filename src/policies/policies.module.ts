import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { TenantsModule } from '../tenants/tenants.module.js';
import { PoliciesRepository } from './policies.repository.js';
import { PoliciesResolver } from './policies.resolver.js';
import { PoliciesService } from './policies.service.js';
import { PolicyChangeEntity } from './policy-change.entity.js';

@Module({
  imports: [TypeOrmModule.forFeature([PolicyChangeEntity]), TenantsModule],
  providers: [PoliciesRepository, PoliciesResolver, PoliciesService],
  exports: [PoliciesService],
})
export class PoliciesModule {}
