import { Injectable } from '@nestjs/common';
import { GuardedHttp, type HttpAnswer } from './guarded-http.js';
import { signatureOf } from './webhook-signature.js';

export interface WebhookMessage {
  readonly id: string;
  readonly event: string;
  readonly body: string;
}

/** Sends one signed request. */
@Injectable()
export class WebhookSender {
  constructor(private readonly http: GuardedHttp) {}

  /** Never throws: whatever goes wrong is the answer. */
  send(address: string, secret: string, { id, event, body }: WebhookMessage, stop: AbortSignal): Promise<HttpAnswer> {
    const headers = { 'holdfast-event': event, 'holdfast-delivery': id, 'holdfast-signature': signatureOf(secret, body, new Date()) };
    return this.http.send(address, { method: 'POST', headers, body }, stop);
  }
}
