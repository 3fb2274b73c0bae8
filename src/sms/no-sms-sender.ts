import { AppError } from '#errors';
import { SmsSender } from './sms-sender.js';

export class NoSmsSender extends SmsSender {
  readonly unavailable = 'No provider of SMS is configured';

  send(): Promise<void> {
    return Promise.reject(new AppError('SMS_NOT_CONFIGURED', this.unavailable));
  }
}
