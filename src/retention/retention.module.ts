import { Module } from '@nestjs/common';
import { AlertsModule } from '../alerts/alerts.module.js';
import { BackupsModule } from '../backups/backups.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { SchedulesModule } from '../schedules/schedules.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { ClockGuard } from './clock-guard.js';
import { RetentionClock } from './retention-clock.js';
import { RetentionRepository } from './retention.repository.js';
import { BackupRetentionResolver, RetentionResolver } from './retention.resolver.js';
import { RetentionService } from './retention.service.js';
import { RetentionSweep } from './retention-sweep.js';
import { TenantJudge } from './tenant-judge.js';

@Module({
  imports: [AlertsModule, BackupsModule, OperationsModule, SchedulesModule, TenantsModule],
  providers: [BackupRetentionResolver, ClockGuard, RetentionClock, RetentionRepository, RetentionResolver, RetentionService, RetentionSweep, TenantJudge],
  exports: [ClockGuard],
})
export class RetentionModule {}
