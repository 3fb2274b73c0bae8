import { Injectable } from '@nestjs/common';
import { AppError, asAppError, redact } from '#errors';
import { Mailer } from '../platform/mail/mailer.js';
import { SecretBox } from '../platform/secrets/secret-box.js';
import { GuardedHttp, type HttpAnswer } from '../webhooks/guarded-http.js';
import { WebhookSender } from '../webhooks/webhook-sender.js';
import { chatRequests } from './channels/chat-requests.js';
import { headlineOf, type Message } from './message.js';
import { type NotifierAddress, notifierAddress } from './notifier-address.js';
import type { NotifierEntity } from './notifier.entity.js';

/** Hands a message to whatever service a notifier names. */
@Injectable()
export class NotificationSender {
  constructor(
    private readonly http: GuardedHttp,
    private readonly webhooks: WebhookSender,
    private readonly mailer: Mailer,
    private readonly secrets: SecretBox,
  ) {}

  /** Never throws: whatever goes wrong is the answer, without the address. */
  async send(notifier: NotifierEntity, message: Message, stop: AbortSignal): Promise<HttpAnswer> {
    try {
      const answer = await this.dispatch(notifier, this.addressOf(notifier), message, stop);
      return { ...answer, error: answer.error === null ? null : redact(answer.error) };
    } catch (error) {
      return { code: null, error: asAppError(error).message };
    }
  }

  private async dispatch({ channel, id }: NotifierEntity, address: NotifierAddress, message: Message, stop: AbortSignal): Promise<HttpAnswer> {
    switch (channel) {
      case 'EMAIL':
        await this.mailer.send({ to: address.to, subject: `[Holdfast] ${headlineOf(message)}`, text: mailOf(message) });
        return { code: null, error: null };
      case 'WEBHOOK':
        if (address.secret === undefined) throw new AppError('INTERNAL', `The notifier ${id} has no secret`);
        return this.webhooks.send(address.to, address.secret, { id: message.id, event: 'alert', body: webhookBody(message) }, stop);
      case 'PING':
        return this.http.send(address.to, { method: 'GET', headers: {}, body: '' }, stop);
      default: {
        const { url, body } = chatRequests[channel](address, message);
        return this.http.send(url, { method: 'POST', headers: {}, body: JSON.stringify(body) }, stop);
      }
    }
  }

  private addressOf({ id, addressCipher }: NotifierEntity): NotifierAddress {
    return notifierAddress.parse(JSON.parse(this.secrets.open('notifier-address', id, addressCipher)));
  }
}

function mailOf({ text, tenant, at }: Message): string {
  return [text, '', ...(tenant === null ? [] : [`Workspace: ${tenant.name} (${tenant.slug})`]), `Time: ${at.toISOString()}`].join('\n');
}

function webhookBody({ id, event, severity, title, text, tenant, at }: Message): string {
  return JSON.stringify({ id, type: 'alert', createdAt: at.toISOString(), event, severity, title, text, tenant });
}
