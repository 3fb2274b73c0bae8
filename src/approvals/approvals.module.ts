import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AlertsModule } from '../alerts/alerts.module.js';
import { PoliciesModule } from '../policies/policies.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { ApprovalEntity } from './approval.entity.js';
import { ApprovalsRepository } from './approvals.repository.js';
import { ApprovalsResolver } from './approvals.resolver.js';
import { ApprovalsService } from './approvals.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([ApprovalEntity]), AlertsModule, PoliciesModule, TenantsModule],
  providers: [ApprovalsRepository, ApprovalsResolver, ApprovalsService],
  exports: [ApprovalsService],
})
export class ApprovalsModule {}
