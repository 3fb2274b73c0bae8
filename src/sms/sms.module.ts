import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { AppConfig } from '../config/app-config.js';
import { GuardedHttp } from '../webhooks/guarded-http.js';
import { WebhooksModule } from '../webhooks/webhooks.module.js';
import { NoSmsSender } from './no-sms-sender.js';
import { OutboxSmsSender } from './outbox-sms-sender.js';
import { SmsSender } from './sms-sender.js';
import { TwilioSmsSender } from './twilio-sms-sender.js';

function senderOf({ sms, dataDir }: AppConfig, http: GuardedHttp): SmsSender {
  if (sms === null) return new NoSmsSender();
  return sms === 'OUTBOX' ? new OutboxSmsSender(join(dataDir, 'outbox')) : new TwilioSmsSender(sms, http);
}

@Module({
  imports: [WebhooksModule],
  providers: [{ provide: SmsSender, useFactory: senderOf, inject: [AppConfig, GuardedHttp] }],
  exports: [SmsSender],
})
export class SmsModule {}
