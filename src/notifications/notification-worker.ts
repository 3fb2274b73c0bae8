import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AlertEntity } from '../alerts/alert.entity.js';
import { alertEvents } from '../alerts/alert-event.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { AppConfig } from '../config/app-config.js';
import { Background } from '../platform/background/background.js';
import { EventBus } from '../platform/events/event-bus.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { type Deliveries, DeliveryLoop } from '../platform/queue/delivery-loop.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { AlertDeliveriesRepository, type ClaimedAlert } from './alert-deliveries.repository.js';
import type { Message } from './message.js';
import { NotificationSender } from './notification-sender.js';
import { NotifiersRepository } from './notifiers.repository.js';

/** Longer than one attempt may take. */
const heldForMs = 60_000;

/** Queues what each notifier has to be told, in the transaction of the alert, and sends it on any worker, at least once. */
@Injectable()
export class NotificationWorker implements Deliveries<ClaimedAlert>, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger(NotificationWorker.name);
  private loop: DeliveryLoop<ClaimedAlert> | null = null;

  constructor(
    private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly deliveries: AlertDeliveriesRepository,
    private readonly notifiers: NotifiersRepository,
    private readonly tenants: TenantsService,
    private readonly sender: NotificationSender,
    private readonly bus: EventBus,
    private readonly background: Background,
    alerts: AlertsService,
  ) {
    alerts.onRaised(async (alert, manager) => {
      if (await this.deliveries.queue(alert, manager)) await this.bus.publish({ topic: 'alert', id: alert.id, tenantId: alert.tenantId ?? '', revision: 1 }, manager);
    });
  }

  onApplicationBootstrap(): void {
    if (this.config.runsWorker) this.background.begin(() => void (this.loop = new DeliveryLoop(this, this.bus.subscribe('alert'), this.logger)));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.loop?.stop();
  }

  async claim(limit: number): Promise<readonly ClaimedAlert[]> {
    await this.deliveries.failLost();
    return this.deliveries.claim(limit, heldForMs);
  }

  nextDueInMs(): Promise<number | null> {
    return this.deliveries.nextDueInMs();
  }

  async attempt(delivery: ClaimedAlert, stop: AbortSignal): Promise<void> {
    const [notifier, alert] = await Promise.all([this.notifiers.findAnywhere(delivery.notifierId), this.dataSource.manager.findOneBy(AlertEntity, { id: delivery.alertId })]);
    // Removed in the meantime; its deliveries were ended by whoever removed it.
    if (notifier === null || alert === null) return;
    const { code, error, reason } = await this.sender.send(notifier, await this.messageOf(alert), stop);
    if (error === null) return this.deliveries.markDelivered(delivery, code);
    await this.deliveries.markFailed(delivery, code, error);
    this.logger.warn({ msg: 'A notifier did not take an alert', deliveryId: delivery.id, notifierId: notifier.id, channel: notifier.channel, event: alert.event, attempt: delivery.attempt, code, reason });
  }

  private async messageOf({ id, tenantId, event, severity, text, createdAt }: AlertEntity): Promise<Message> {
    const tenant = tenantId === null ? null : await this.tenants.get({ tenantId });
    return { id, event, severity, title: alertEvents[event].title, text, tenant: tenant && { id: toGlobalId('Tenant', tenant.id), slug: tenant.slug, name: tenant.name }, at: createdAt };
  }
}
