import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { AlertsService } from '../alerts/alerts.service.js';
import { AppConfig } from '../config/app-config.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import { Background } from '../platform/background/background.js';
import { HealthRegistry } from '../platform/health/health-registry.js';
import { KeysService, type KeyState } from './keys.service.js';

/** Says that archives need a key that was taken away: a worker learns it at its start. */
@Injectable()
export class MissingKeys implements OnApplicationBootstrap {
  constructor(
    private readonly config: AppConfig,
    private readonly encryption: TenantEncryption,
    private readonly keys: KeysService,
    private readonly alerts: AlertsService,
    private readonly health: HealthRegistry,
    private readonly background: Background,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const states = await this.keys.list();
    // Where archives have to be encrypted and no key is there, there is one thing to say, and `KeyAlert` says it.
    const isShort = (await this.encryption.shortage()) !== null;
    const missing = isShort ? [] : states.filter(({ isAvailable, archives }) => !isAvailable && archives > 0);
    this.health.register('archive-keys', () => Promise.resolve(missing.length === 0 ? { state: 'ok' } : { state: 'warning', message: missing.map(sentence).join('. ') }));
    if (this.config.runsWorker && !isShort) this.background.begin(() => this.tell(states, missing));
  }

  private async tell(states: readonly KeyState[], missing: readonly KeyState[]): Promise<void> {
    for (const state of states) {
      const about = { tenantId: null, event: 'KEY_MISSING', subject: `key ${state.keyId}` } as const;
      if (missing.includes(state)) await this.alerts.raise({ ...about, text: sentence(state) });
      else await this.alerts.resolve(about);
    }
  }
}

function sentence({ keyId, archives, tenants }: KeyState): string {
  return `${archives} archives of ${tenants} workspaces need the key ${keyId}, which the server does not have: add it to BACKUP_ENCRYPTION_KEYS_OLD`;
}
