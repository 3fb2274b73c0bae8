import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { noKey } from '../alerts/alert-event.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { AppConfig } from '../config/app-config.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import { Background } from '../platform/background/background.js';

const everyMs = 3_600_000;

/** Says once that the key is missing, for as long as it is: a worker learns it at its start, and then looks whether it is over. */
@Injectable()
export class KeyAlert implements OnApplicationBootstrap {
  constructor(
    private readonly config: AppConfig,
    private readonly encryption: TenantEncryption,
    private readonly alerts: AlertsService,
    private readonly background: Background,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.config.runsWorker) return;
    this.background.begin(async () => {
      const shortage = await this.encryption.shortage();
      if (shortage === null) await this.alerts.resolve(noKey);
      else await this.alerts.raise({ ...noKey, text: shortage });
    });
    this.background.every(KeyAlert.name, everyMs, () => this.tick());
  }

  /** Only resolves: where one worker has a key and another one none, people would else be told anew each time. */
  async tick(): Promise<void> {
    if ((await this.encryption.shortage()) === null) await this.alerts.resolve(noKey);
  }
}
