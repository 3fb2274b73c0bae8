import { AppError } from '#errors';
import type { SmsAccount } from '../config/app-config.js';
import type { GuardedHttp } from '../webhooks/guarded-http.js';
import { SmsSender } from './sms-sender.js';

const reasons: Readonly<Record<number, string>> = {
  400: 'it does not take the number',
  401: 'it refuses the login of HOLDFAST_SMS_URL',
  403: 'it refuses the login of HOLDFAST_SMS_URL',
  429: 'it is asked too often',
};

/** Over the HTTP interface of Twilio, which other providers offer as well. */
export class TwilioSmsSender extends SmsSender {
  readonly unavailable = null;

  constructor(
    private readonly account: SmsAccount,
    private readonly http: GuardedHttp,
  ) {
    super();
  }

  async send(to: string, text: string): Promise<void> {
    const { url, accountSid, authToken, from } = this.account;
    const address = new URL(`/2010-04-01/Accounts/${encodeURIComponent(accountSid)}/Messages.json`, url).href;
    const answer = await this.http.send(
      address,
      {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ To: to, From: from, Body: text }).toString(),
      },
      new AbortController().signal,
    );
    if (answer.error === null) return;
    const reason = answer.code === null ? answer.error : (reasons[answer.code] ?? answer.error);
    throw new AppError('SMS_FAILED', `The provider did not take the message: ${reason}`);
  }
}
