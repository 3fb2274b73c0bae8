import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { PoliciesService } from '../policies/policies.service.js';
import type { TenantPolicy } from '../policies/tenant-policy.js';
import { EncryptionService, type EncryptionSummary } from './encryption.service.js';

type Wish = Pick<TenantPolicy, 'encryption'>;

/** What the installation's keys and a tenant's policy come to together. */
@Injectable()
export class TenantEncryption {
  constructor(
    private readonly encryption: EncryptionService,
    private readonly policies: PoliciesService,
  ) {}

  /** Whether an archive that is taken of the tenant now is encrypted. @throws AppError ENCRYPTION_KEY_MISSING where it has to be and cannot */
  async seals(scope: TenantScope, manager?: EntityManager): Promise<boolean> {
    const { encryption } = await this.policies.of(scope, manager);
    if (encryption === 'REQUIRED') this.encryption.requireKey();
    return encryption !== 'OFF' && this.encryption.isReady;
  }

  /** Asked before anything is queued that takes or reads backups. @throws AppError ENCRYPTION_KEY_MISSING */
  async require(scope: TenantScope, manager?: EntityManager): Promise<void> {
    await this.seals(scope, manager);
  }

  async summaryOf(scope: TenantScope): Promise<EncryptionSummary> {
    const { encryption } = await this.policies.of(scope);
    const { summary } = this.encryption;
    if (encryption === 'OFF') return { state: 'OFF', banner: null, keyId: null };
    if (encryption === 'REQUIRED' || summary.banner === null) return summary;
    const what = summary.state === 'KEY_INVALID' ? 'The encryption key of the server is malformed' : 'The server has no encryption key';
    return { ...summary, banner: `${what}: backups of this workspace are written without encryption` };
  }

  /** Why nothing is backed up and nothing restored, as a sentence for people; null where the policy does without a key. */
  whyStopped({ encryption }: Wish): string | null {
    return encryption === 'REQUIRED' ? this.encryption.summary.banner : null;
  }

  /** Why the installation as a whole is short of a key; null also where no workspace has to have one. */
  async shortage(): Promise<string | null> {
    const { banner } = this.encryption.summary;
    return banner !== null && (await this.policies.someRequiresEncryption()) ? banner : null;
  }
}
