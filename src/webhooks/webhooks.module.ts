import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { EventsModule } from '../platform/events/events.module.js';
import { SecretsModule } from '../platform/secrets/secrets.module.js';
import { StoredSecrets } from '../platform/stored-secrets/stored-secrets.js';
import { StoredSecretsModule } from '../platform/stored-secrets/stored-secrets.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { GuardedHttp } from './guarded-http.js';
import { WebhookDeliveryEntity } from './webhook-delivery.entity.js';
import { WebhookMetrics } from './webhook-metrics.js';
import { WebhookSender } from './webhook-sender.js';
import { WebhookWorker } from './webhook-worker.js';
import { WebhookEntity } from './webhook.entity.js';
import { WebhooksRepository } from './webhooks.repository.js';
import { WebhooksService } from './webhooks.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([WebhookEntity, WebhookDeliveryEntity]), EventsModule, SecretsModule, StoredSecretsModule, TenantsModule],
  providers: [GuardedHttp, WebhookMetrics, WebhookSender, WebhookWorker, WebhooksRepository, WebhooksService],
  exports: [GuardedHttp, WebhookSender, WebhooksService],
})
export class WebhooksModule {
  constructor(secrets: StoredSecrets, webhooks: WebhooksRepository) {
    secrets.register('secrets of webhooks', 'webhook-secret', (after, limit) => webhooks.sealed(after, limit));
  }
}
