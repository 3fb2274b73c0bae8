import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AlertsModule } from '../alerts/alerts.module.js';
import { BackupsModule } from '../backups/backups.module.js';
import { EncryptionModule } from '../encryption/encryption.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { EventsModule } from '../platform/events/events.module.js';
import { MailModule } from '../platform/mail/mail.module.js';
import { SecretsModule } from '../platform/secrets/secrets.module.js';
import { StoredSecrets } from '../platform/stored-secrets/stored-secrets.js';
import { StoredSecretsModule } from '../platform/stored-secrets/stored-secrets.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { WebhooksModule } from '../webhooks/webhooks.module.js';
import { AlertDeliveriesRepository } from './alert-deliveries.repository.js';
import { AlertDeliveryEntity } from './alert-delivery.entity.js';
import { KeyAlert } from './key-alert.js';
import { NotificationSender } from './notification-sender.js';
import { NotificationWorker } from './notification-worker.js';
import { NotifierEntity } from './notifier.entity.js';
import { NotifiersRepository } from './notifiers.repository.js';
import { NotifiersResolver, TenantNotifiersResolver } from './notifiers.resolver.js';
import { NotifiersService } from './notifiers.service.js';
import { OperationAlerts } from './operation-alerts.js';

@Module({
  imports: [
    TypeOrmModule.forFeature([AlertDeliveryEntity, NotifierEntity]),
    AlertsModule, BackupsModule, EncryptionModule, EventsModule, MailModule, OperationsModule, SecretsModule, StoredSecretsModule, TenantsModule, WebhooksModule,
  ],
  providers: [AlertDeliveriesRepository, KeyAlert, NotificationSender, NotificationWorker, NotifiersRepository, NotifiersResolver, NotifiersService, OperationAlerts, TenantNotifiersResolver],
})
export class NotificationsModule {
  constructor(secrets: StoredSecrets, notifiers: NotifiersRepository) {
    secrets.register('addresses of notifiers', 'notifier-address', (after, limit) => notifiers.sealed(after, limit));
  }
}
