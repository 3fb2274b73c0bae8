import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AlertsModule } from '../alerts/alerts.module.js';
import { MailModule } from '../platform/mail/mail.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { WebhooksModule } from '../webhooks/webhooks.module.js';
import { AnnouncementTicks } from './announcement-ticks.js';
import { AnnouncementEntity } from './announcement.entity.js';
import { AnnouncementsRepository } from './announcements.repository.js';
import { AnnouncementsResolver } from './announcements.resolver.js';
import { AnnouncementsService } from './announcements.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([AnnouncementEntity]), AlertsModule, MailModule, TenantsModule, WebhooksModule],
  providers: [AnnouncementsRepository, AnnouncementsResolver, AnnouncementsService, AnnouncementTicks],
  exports: [AnnouncementsService],
})
export class AnnouncementsModule {}
