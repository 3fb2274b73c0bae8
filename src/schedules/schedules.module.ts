import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AlertsModule } from '../alerts/alerts.module.js';
import { BackupsModule } from '../backups/backups.module.js';
import { PoliciesModule } from '../policies/policies.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { CronController } from './cron.controller.js';
import { CronKeys } from './cron-keys.js';
import { CronKeysResolver } from './cron-keys.resolver.js';
import { ScheduleEntity } from './schedule.entity.js';
import { ScheduleTicks } from './schedule-ticks.js';
import { ScheduleRequestEntity } from './schedule-request.entity.js';
import { ScheduleRequests } from './schedule-requests.js';
import { ScheduleRequestsResolver, TenantScheduleRequestsResolver } from './schedule-requests.resolver.js';
import { SchedulesRepository } from './schedules.repository.js';
import { SchedulesResolver, TenantSchedulesResolver } from './schedules.resolver.js';
import { SchedulesService } from './schedules.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([ScheduleEntity, ScheduleRequestEntity]), AlertsModule, BackupsModule, PoliciesModule, TenantsModule],
  controllers: [CronController],
  providers: [CronKeys, CronKeysResolver, ScheduleRequests, ScheduleRequestsResolver, SchedulesRepository, SchedulesResolver, SchedulesService, ScheduleTicks, TenantScheduleRequestsResolver, TenantSchedulesResolver],
  exports: [SchedulesService],
})
export class SchedulesModule {}
