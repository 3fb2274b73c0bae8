import { Inject, Injectable } from '@nestjs/common';
import { type EngineName, type EngineSession, type Target, type TargetInspection, type TenantEngine } from '#engines';
import { AppError } from '#errors';
import { TENANT_ENGINES, type TenantEngines } from '../platform/engines/tenant-engines.js';
import { SecretBox } from '../platform/secrets/secret-box.js';
import { TransferRates } from './transfer-rates.js';
import { TargetPolicy } from './target-policy.js';
import type { TenantEntity } from './tenant.entity.js';

/** The databases of tenants: checked when they are given, sealed when they are kept, opened for workers. */
@Injectable()
export class TenantTargets {
  constructor(
    @Inject(TENANT_ENGINES) private readonly engines: TenantEngines,
    private readonly policy: TargetPolicy,
    private readonly secrets: SecretBox,
    private readonly rates: TransferRates,
  ) {}

  /**
   * Connects and looks, and changes nothing.
   *
   * @throws AppError ENGINE_UNSUPPORTED, TARGET_*
   */
  async inspect(engineName: EngineName, target: Target): Promise<TargetInspection> {
    const engine = this.engineOf(engineName);
    await this.policy.check(target);
    const session = await engine.open(target);
    try {
      const inspection = await session.inspect();
      await session.requirePrivileges('BACKUP');
      await session.requirePrivileges('RESTORE');
      return inspection;
    } finally {
      await session.close();
    }
  }

  /** Bound to the tenant's id: copied to another tenant's row it does not open. */
  seal(tenantId: string, uri: string): Buffer {
    return this.secrets.seal('target-uri', tenantId, uri);
  }

  /** The caller closes the session. The policy is asked again: names may resolve to other addresses by now. */
  async open(tenant: Pick<TenantEntity, 'id' | 'engine' | 'targetCipher' | 'targetDatabase' | 'maxBytesPerSecond'>): Promise<EngineSession> {
    const target = { uri: this.secrets.open('target-uri', tenant.id, tenant.targetCipher), database: tenant.targetDatabase };
    const engine = this.engineOf(tenant.engine);
    await this.policy.check(target);
    return engine.open(target, this.rates.of(tenant));
  }

  /** A server that the operator configured, whom no policy and no rate holds back. */
  openConfigured(engineName: EngineName, target: Target): Promise<EngineSession> {
    return this.engineOf(engineName).open(target);
  }

  private engineOf(name: EngineName): TenantEngine {
    const engine = this.engines.get(name);
    if (engine === undefined) throw new AppError('ENGINE_UNSUPPORTED', `The engine ${name} is not supported yet`, { field: ['target', 'engine'] });
    return engine;
  }
}
