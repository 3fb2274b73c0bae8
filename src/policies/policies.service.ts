import { isDeepStrictEqual } from 'node:util';
import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { type EncryptionPolicy, PolicyPreset } from './policy-enums.js';
import type { PolicyChangeEntity } from './policy-change.entity.js';
import { PoliciesRepository } from './policies.repository.js';
import { ofTenants, type PolicyKey, policyOf, presetDefaults, storedPolicy, type StoredPolicy, tenantPolicy, type TenantPolicy } from './tenant-policy.js';

const keys = Object.keys(tenantPolicy.shape) as PolicyKey[];

/** Switches by which the provider keeps a workspace's own people from something; the provider itself is not bound. */
const switches = {
  allowDownload: 'Downloads are switched off in this workspace',
  selfServiceDelete: 'Backups of this workspace are deleted by the provider alone',
  partialBackups: 'Backups of this workspace are of the whole database',
  partialRestores: 'Restores of this workspace are of the whole database',
} as const;
export type PolicySwitch = keyof typeof switches;

export interface PolicyUpdate {
  readonly tenant: TenantEntity;
  /** What follows from the change and may not be meant, as sentences for people. */
  readonly warnings: readonly string[];
}

const noneChanged = 'Backups that are there stay as they are';
const encryptionWarnings: Readonly<Record<EncryptionPolicy, readonly string[]>> = {
  REQUIRED: [`Backups taken from now on are encrypted. ${noneChanged}: those without encryption remain readable to anybody who reads the archive store`],
  OPTIONAL: [`Backups taken from now on are encrypted only while the server has a key; without one they are readable to anybody who reads the archive store. ${noneChanged}`],
  OFF: [`Backups taken from now on are not encrypted: whoever reads the archive store, or a copy of it, reads the data. ${noneChanged}, and the keys of encrypted ones are needed further`],
};

@Injectable()
export class PoliciesService {
  constructor(
    private readonly tenants: TenantsService,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly policies: PoliciesRepository,
  ) {}

  /** For callers that have checked the permission. @throws AppError NOT_FOUND */
  async of(scope: TenantScope, manager?: EntityManager): Promise<TenantPolicy> {
    return policyOf((await this.tenants.get(scope, manager)).policy);
  }

  async get(actor: Actor, tenantId: string): Promise<TenantPolicy> {
    return this.of(await this.access.authorize(actor, tenantId, null));
  }

  async changes(actor: Actor, tenantId: string, page: Page): Promise<PageOfRows<PolicyChangeEntity>> {
    return this.policies.changes(await this.access.authorize(actor, tenantId, Permission.AUDIT_READ), page);
  }

  /** Of no tenant in particular: whether an installation without a key is short of something. */
  someRequiresEncryption(): Promise<boolean> {
    return this.policies.someRequiresEncryption(Object.values(PolicyPreset).filter((preset) => presetDefaults(preset).encryption !== 'REQUIRED'));
  }

  /** Why the policy keeps the actor from it, as a sentence for people; null where it does not. */
  async refusal(actor: Actor, scope: TenantScope, asked: PolicySwitch): Promise<string | null> {
    return refusalIn(await this.of(scope), actor, asked);
  }

  /** @throws AppError POLICY_FORBIDS */
  async require(actor: Actor, scope: TenantScope, asked: PolicySwitch, field?: string): Promise<void> {
    const reason = await this.refusal(actor, scope, asked);
    if (reason !== null) throw new AppError('POLICY_FORBIDS', reason, field === undefined ? {} : { field: [field] });
  }

  /**
   * For whatever RESTORE_RUN and RESET_RUN start: the policy may ask for a login that is fresh.
   *
   * @throws AppError STEP_UP_REQUIRED
   */
  async requireFreshLogin(actor: Actor, scope: TenantScope, manager?: EntityManager): Promise<void> {
    const { stepUpMinutes } = await this.of(scope, manager);
    if (stepUpMinutes === 0) return;
    if (actor.kind === 'API_KEY') throw new AppError('STEP_UP_REQUIRED', 'An API key is nobody who could log in');
    if (actor.loggedInAt === null) throw new AppError('STEP_UP_REQUIRED', 'The token does not say when its person logged in (auth_time)');
    if (Date.now() - actor.loggedInAt.getTime() > stepUpMinutes * 60_000) throw new AppError('STEP_UP_REQUIRED', `The login is older than ${stepUpMinutes} minutes`);
  }

  /**
   * A preset replaces what was set before; what is given beside it comes on top.
   *
   * @throws AppError POLICY_PROVIDER_ONLY, BAD_USER_INPUT
   */
  async update(actor: Actor, tenantId: string, changes: Readonly<Record<string, unknown>>): Promise<PolicyUpdate> {
    const scope = await this.access.authorize(actor, tenantId, Permission.TENANT_MANAGE);
    const patch = parse(changes);
    const asked = Object.keys(patch) as PolicyKey[];
    const forbidden = actor.isProvider ? undefined : asked.find((key) => !ofTenants.has(key));
    if (forbidden !== undefined) throw new AppError('POLICY_PROVIDER_ONLY', `Only the provider may set ${forbidden}`, { field: [forbidden] });
    let warnings: readonly string[] = [];
    const updated = await this.tenants.change(scope, async (tenant, manager) => {
      const before = policyOf(tenant.policy);
      const stored: StoredPolicy = 'preset' in patch ? patch : { ...storedPolicy.parse(tenant.policy), ...patch };
      const after = policyOf(stored);
      const changed = keys.filter((key) => !isDeepStrictEqual(before[key], after[key])).map((key) => ({ key, oldValue: before[key], newValue: after[key] }));
      if (changed.length === 0) return null;
      await this.policies.replace(scope, stored, manager);
      await this.policies.insertChanges(scope, changed, stampOf(actor), manager);
      const detail = { fields: changed.map(({ key }) => key).join(', '), ...(before.encryption === after.encryption ? {} : { encryption: `${before.encryption} to ${after.encryption}` }) };
      await this.audit.record({ action: 'tenant.policy-changed', tenantId, actor, detail }, manager);
      warnings = before.encryption === after.encryption ? [] : encryptionWarnings[after.encryption];
      return {};
    });
    return { tenant: updated, warnings };
  }
}

/** `PoliciesService.refusal` for callers that have read the policy. */
export function refusalIn(policy: TenantPolicy, actor: Actor, asked: PolicySwitch): string | null {
  return actor.isProvider || policy[asked] ? null : switches[asked];
}

function parse(changes: Readonly<Record<string, unknown>>): StoredPolicy {
  // A preset may be taken away by null; of every other field null says nothing.
  const given = Object.fromEntries(Object.entries(changes).filter(([key, value]) => value !== undefined && (value !== null || key === 'preset')));
  const parsed = storedPolicy.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = (issue?.path ?? []).map(String);
  throw new AppError('BAD_USER_INPUT', `${field.join('.')}: ${issue?.message ?? 'is not valid'}`, { field });
}
