import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { noKey } from '../alerts/alert-event.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { AppConfig } from '../config/app-config.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import { Background } from '../platform/background/background.js';

/** Says once that the key is missing, for as long as it is: a worker learns it at its start. */
@Injectable()
export class KeyAlert implements OnApplicationBootstrap {
  constructor(
    private readonly config: AppConfig,
    private readonly encryption: TenantEncryption,
    private readonly alerts: AlertsService,
    private readonly background: Background,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.runsWorker) this.background.begin(() => this.tell());
  }

  private async tell(): Promise<void> {
    const shortage = await this.encryption.shortage();
    if (shortage === null) await this.alerts.resolve(noKey);
    else await this.alerts.raise({ ...noKey, text: shortage });
  }
}
