import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SmsSender } from './sms-sender.js';

/** Writes each message to a file that its owner alone can read, for developers; the configuration refuses it in production. */
export class OutboxSmsSender extends SmsSender {
  readonly unavailable = null;

  constructor(private readonly folder: string) {
    super();
  }

  async send(to: string, text: string): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const name = `${new Date().toISOString().replaceAll(':', '')}-${randomUUID()}.txt`;
    await writeFile(join(this.folder, name), `To: ${to}\n\n${text}\n`, { mode: 0o600, flag: 'wx' });
  }
}
