import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { AlertsService } from '../alerts/alerts.service.js';
import { AppConfig } from '../config/app-config.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import { Background } from '../platform/background/background.js';
import { HealthRegistry } from '../platform/health/health-registry.js';
import { KeysService, type KeyState } from './keys.service.js';

const everyMs = 3_600_000;
const event = 'KEY_MISSING';
const subjectBegin = 'key ';

/** Says that archives need a key that was taken away: a worker learns it at its start, and then looks whether it is still so. */
@Injectable()
export class MissingKeys implements OnApplicationBootstrap {
  private missing: readonly KeyState[] = [];

  constructor(
    private readonly config: AppConfig,
    private readonly encryption: TenantEncryption,
    private readonly keys: KeysService,
    private readonly alerts: AlertsService,
    private readonly health: HealthRegistry,
    private readonly background: Background,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.missing = await this.find();
    this.health.register('archive-keys', () => Promise.resolve(this.missing.length === 0 ? { state: 'ok' } : { state: 'warning', message: this.missing.map(sentence).join('. ') }));
    if (!this.config.runsWorker) return;
    this.background.begin(async () => {
      for (const state of this.missing) await this.alerts.raise({ tenantId: null, event, subject: subjectOf(state), text: sentence(state) });
      await this.resolve();
    });
    this.background.every(MissingKeys.name, everyMs, () => this.tick());
  }

  /** Only resolves: where one worker has a key that another one lacks, people would else be told anew each time. */
  async tick(): Promise<void> {
    this.missing = await this.find();
    await this.resolve();
  }

  private async resolve(): Promise<void> {
    if ((await this.encryption.shortage()) !== null) return;
    const missing = this.missing.map(subjectOf);
    const told = await this.alerts.unresolved({ tenantId: null, event });
    for (const subject of told) if (subject.startsWith(subjectBegin) && !missing.includes(subject)) await this.alerts.resolve({ tenantId: null, event, subject });
  }

  /** Where archives have to be encrypted and no key is there, there is one thing to say, and `KeyAlert` says it. */
  private async find(): Promise<KeyState[]> {
    if ((await this.encryption.shortage()) !== null) return [];
    return (await this.keys.list()).filter(({ isAvailable, archives }) => !isAvailable && archives > 0);
  }
}

const subjectOf = ({ keyId }: KeyState): string => subjectBegin + keyId;

function sentence({ keyId, archives, tenants }: KeyState): string {
  return `${archives} archives of ${tenants} workspaces need the key ${keyId}, which the server does not have: add it to BACKUP_ENCRYPTION_KEYS_OLD`;
}
