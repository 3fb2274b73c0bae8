import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AlertEntity } from './alert.entity.js';
import { AlertsResolver, TenantAlertsResolver } from './alerts.resolver.js';
import { AlertsService } from './alerts.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([AlertEntity])],
  providers: [AlertsResolver, AlertsService, TenantAlertsResolver],
  exports: [AlertsService],
})
export class AlertsModule {}
