import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { isEmail } from 'class-validator';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { type AlertEvent, type AlertSeverity } from '../alerts/alert-event.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { Mailer } from '../platform/mail/mailer.js';
import { SecretBox } from '../platform/secrets/secret-box.js';
import { GuardedHttp } from '../webhooks/guarded-http.js';
import { AlertDeliveriesRepository } from './alert-deliveries.repository.js';
import type { AlertDeliveryEntity } from './alert-delivery.entity.js';
import { NotificationSender } from './notification-sender.js';
import { type NotifierAddress, shownAddressOf } from './notifier-address.js';
import type { NotifierChannel, NotifierEntity } from './notifier.entity.js';
import { type NotifierOwner, NotifiersRepository } from './notifiers.repository.js';

const mostPerOwner = 50;
/** A test goes to whomever the notifier names. */
const testsPerHour = 20;
const standardCooldownMinutes = 60;

export interface NewNotifier {
  readonly name: string;
  readonly channel: NotifierChannel;
  readonly to: string;
  readonly token?: string | null | undefined;
  readonly apiUrl?: string | null | undefined;
  readonly events?: readonly AlertEvent[] | null | undefined;
  readonly minSeverity?: AlertSeverity | null | undefined;
  readonly cooldownMinutes?: number | null | undefined;
}

export interface NotifierChange {
  readonly name?: string | null | undefined;
  readonly events?: readonly AlertEvent[] | null | undefined;
  readonly minSeverity?: AlertSeverity | null | undefined;
  readonly cooldownMinutes?: number | null | undefined;
  readonly active?: boolean | null | undefined;
}

/** What people do with notifiers: a tenant's need TENANT_MANAGE, the provider's own the provider. */
@Injectable()
export class NotifiersService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly notifiers: NotifiersRepository,
    private readonly deliveries: AlertDeliveriesRepository,
    private readonly sender: NotificationSender,
    private readonly http: GuardedHttp,
    private readonly mailer: Mailer,
    private readonly secrets: SecretBox,
  ) {}

  /** @returns the secret of a WEBHOOK: nobody can read it again. @throws AppError BAD_USER_INPUT, WEBHOOK_INVALID, WEBHOOK_REFUSED, MAIL_NOT_CONFIGURED */
  async create(actor: Actor, tenantGlobalId: string | null, input: NewNotifier): Promise<{ readonly notifier: NotifierEntity; readonly secret: string | null }> {
    const owner = await this.authorize(actor, tenantGlobalId === null ? null : fromGlobalId('Tenant', tenantGlobalId));
    const id = randomUUID();
    const { address, secret } = await this.addressOf(input);
    const isPing = input.channel === 'PING';
    const notifier = await runInTransaction(this.dataSource, async (manager) => {
      if ((await this.notifiers.count(owner, manager)) >= mostPerOwner) throw new AppError('BAD_USER_INPUT', `There are ${mostPerOwner} notifiers already`);
      await this.notifiers.insert(
        {
          id, tenantId: owner, name: input.name, channel: input.channel, addressCipher: this.secrets.seal('notifier-address', id, JSON.stringify(address)), shownAddress: shownAddressOf(input.channel, address),
          // A dead man's switch is told of every success; everything else of what goes wrong.
          events: [...(input.events ?? (isPing ? (['BACKUP_COMPLETED'] as const) : []))], minSeverity: input.minSeverity ?? (isPing ? 'INFO' : 'WARNING'),
          cooldownMinutes: input.cooldownMinutes ?? (isPing ? 0 : standardCooldownMinutes), active: true, createdBy: stampOf(actor),
        },
        manager,
      );
      await this.audit.record({ action: 'notifier.created', tenantId: owner, actor, subject: { type: 'Notifier', id }, detail: { name: input.name, channel: input.channel } }, manager);
      return this.notifiers.findAnywhere(id, manager);
    });
    if (notifier === null) throw notFound('Notifier');
    return { notifier, secret };
  }

  async update(actor: Actor, globalId: string, change: NotifierChange): Promise<NotifierEntity> {
    const { id, tenantId } = await this.get(actor, globalId);
    const given = Object.entries({ name: change.name, events: change.events, minSeverity: change.minSeverity, cooldownMinutes: change.cooldownMinutes, active: change.active }).filter(([, value]) => value != null);
    return runInTransaction(this.dataSource, async (manager) => {
      await this.notifiers.update(tenantId, id, Object.fromEntries(given), manager);
      await this.audit.record({ action: 'notifier.updated', tenantId, actor, subject: { type: 'Notifier', id }, detail: { fields: given.map(([name]) => name).join(', ') } }, manager);
      const row = await this.notifiers.findAnywhere(id, manager);
      if (row === null) throw notFound('Notifier');
      return row;
    });
  }

  async delete(actor: Actor, globalId: string): Promise<NotifierEntity> {
    const notifier = await this.get(actor, globalId);
    const { id, tenantId, name } = notifier;
    await runInTransaction(this.dataSource, async (manager) => {
      await this.notifiers.delete(tenantId, id, manager);
      await this.audit.record({ action: 'notifier.deleted', tenantId, actor, subject: { type: 'Notifier', id }, detail: { name } }, manager);
    });
    return notifier;
  }

  /** Sends one at once and says what came of it. @throws AppError RATE_LIMITED */
  async test(actor: Actor, globalId: string): Promise<{ readonly notifier: NotifierEntity; readonly delivery: AlertDeliveryEntity }> {
    const notifier = await this.get(actor, globalId);
    const message = { id: randomUUID(), event: 'TEST', severity: 'INFO', title: 'Test', text: `This is a test of the notifier "${notifier.name}". Nothing happened.`, tenant: null, at: new Date() } as const;
    const testId = await runInTransaction(this.dataSource, (manager) => this.deliveries.beginTest(notifier, testsPerHour, manager));
    const answer = await this.sender.send(notifier, message, new AbortController().signal);
    const delivery = await runInTransaction(this.dataSource, async (manager) => {
      await this.audit.record({ action: 'notifier.tested', outcome: answer.error === null ? 'OK' : 'FAILED', tenantId: notifier.tenantId, actor, subject: { type: 'Notifier', id: notifier.id } }, manager);
      return this.deliveries.endTest(testId, answer, manager);
    });
    return { notifier, delivery };
  }

  async list(actor: Actor, tenantId: string | null, page: Page): Promise<PageOfRows<NotifierEntity>> {
    return this.notifiers.list(await this.authorize(actor, tenantId), page);
  }

  async deliveriesOf(actor: Actor, id: string, page: Page): Promise<PageOfRows<AlertDeliveryEntity>> {
    await this.getByUuid(actor, id);
    return this.notifiers.deliveries(id, page);
  }

  get(actor: Actor, globalId: string): Promise<NotifierEntity> {
    return this.getByUuid(actor, fromGlobalId('Notifier', globalId));
  }

  /** Another tenant's, and to a tenant the provider's, answers like one that does not exist. */
  async getByUuid(actor: Actor, id: string): Promise<NotifierEntity> {
    const row = await this.notifiers.findAnywhere(id);
    if (row === null || (row.tenantId === null && !actor.isProvider)) throw notFound('Notifier');
    if (row.tenantId !== null) await this.access.authorizeRow(actor, 'Notifier', { tenantId: row.tenantId }, Permission.TENANT_MANAGE);
    return row;
  }

  private async authorize(actor: Actor, tenantId: string | null): Promise<NotifierOwner> {
    if (tenantId !== null) return (await this.access.authorize(actor, tenantId, Permission.TENANT_MANAGE)).tenantId;
    this.access.requireProvider(actor);
    return null;
  }

  private async addressOf({ channel, to, token, apiUrl }: NewNotifier): Promise<{ readonly address: NotifierAddress; readonly secret: string | null }> {
    switch (channel) {
      case 'EMAIL':
        if (!isEmail(to)) throw new AppError('BAD_USER_INPUT', 'to: give an e-mail address', { field: ['to'] });
        if (!this.mailer.isConfigured) throw new AppError('MAIL_NOT_CONFIGURED', 'No mail server is configured', { field: ['channel'] });
        return { address: { to }, secret: null };
      case 'TELEGRAM': {
        if (!/^(-?\d{1,20}|@\w{5,32})$/.test(to)) throw new AppError('BAD_USER_INPUT', 'to: give the id of a chat, or @ and the name of a channel', { field: ['to'] });
        if (token == null || !/^\d+:[\w-]+$/.test(token)) throw new AppError('BAD_USER_INPUT', "token: give the bot's token", { field: ['token'] });
        return { address: { to, token, ...(apiUrl == null ? {} : { apiUrl: await this.http.check(apiUrl, ['apiUrl']) }) }, secret: null };
      }
      case 'WEBHOOK': {
        const secret = `whsec_${randomBytes(32).toString('base64url')}`;
        return { address: { to: await this.http.check(to, ['to']), secret }, secret };
      }
      default:
        return { address: { to: await this.http.check(to, ['to']) }, secret: null };
    }
  }
}
