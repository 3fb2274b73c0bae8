import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { NamespaceState } from '#engines';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { ClassRulesRepository } from './class-rules.repository.js';
import { type ClassDecision, type ClassRule, type DataClass, decide, type RuleLists } from './data-class.js';
import { defaultProfile } from './default-profile.js';

/** A live collection and the rule that decided what it holds. */
export interface ClassifiedNamespace {
  readonly namespace: NamespaceState;
  readonly decision: ClassDecision | null;
}

export type PartialScope = 'TRANSACTIONS' | 'MASTER';

/** What a partial backup takes: master data go with the configuration that they refer to. */
const classesOf: Readonly<Record<PartialScope, ReadonlySet<DataClass>>> = { TRANSACTIONS: new Set(['TRANSACTION']), MASTER: new Set(['MASTER', 'CONFIG']) };

/** Which collections of a tenant hold what. */
@Injectable()
export class ClassesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly rules: ClassRulesRepository,
  ) {}

  /** The rules for every tenant. */
  async profile(): Promise<readonly ClassRule[]> {
    return (await this.rules.find(null)) ?? defaultProfile;
  }

  async updateProfile(actor: Actor, rules: readonly ClassRule[]): Promise<readonly ClassRule[]> {
    this.access.requireProvider(actor);
    requireSense(rules);
    await runInTransaction(this.dataSource, async (manager) => {
      await this.rules.replace(null, rules.map(plain), stampOf(actor), manager);
      await this.audit.record({ action: 'classes.profile-updated', tenantId: null, actor, detail: { rules: rules.length } }, manager);
    });
    return this.profile();
  }

  async rulesOf(actor: Actor, tenantId: string): Promise<readonly ClassRule[]> {
    const scope = await this.access.authorize(actor, tenantId, Permission.BACKUP_READ);
    return (await this.rules.find(scope.tenantId)) ?? [];
  }

  async updateRules(actor: Actor, tenantGlobalId: string, rules: readonly ClassRule[]): Promise<TenantScope> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', tenantGlobalId), Permission.TENANT_MANAGE);
    requireSense(rules);
    await runInTransaction(this.dataSource, async (manager) => {
      await this.rules.replace(scope.tenantId, rules.map(plain), stampOf(actor), manager);
      await this.audit.record({ action: 'classes.rules-updated', tenantId: scope.tenantId, actor, detail: { rules: rules.length } }, manager);
    });
    return scope;
  }

  /** The live collections, sorted by name. @throws AppError TARGET_* */
  async collections(actor: Actor, tenantId: string): Promise<readonly ClassifiedNamespace[]> {
    const scope = await this.access.authorize(actor, tenantId, Permission.BACKUP_READ);
    return this.read(scope, await this.listsOf(scope));
  }

  async preview(actor: Actor, tenantGlobalId: string, rules: readonly ClassRule[]): Promise<readonly ClassifiedNamespace[]> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', tenantGlobalId), Permission.TENANT_MANAGE);
    return this.read(scope, { tenant: rules, provider: await this.profile() });
  }

  /** For callers that have checked the permission. */
  async classify(scope: TenantScope, namespaces: readonly NamespaceState[]): Promise<readonly ClassifiedNamespace[]> {
    return classified(namespaces, await this.listsOf(scope));
  }

  /** What the rules say now of these names. For callers that have checked the permission. */
  async decisions(scope: TenantScope, names: readonly string[]): Promise<ReadonlyMap<string, ClassDecision | null>> {
    const lists = await this.listsOf(scope);
    return new Map(names.map((name) => [name, decide(name, lists)]));
  }

  /**
   * Names of the live collections that a partial backup takes.
   *
   * @throws AppError SCOPE_UNDEFINED where there is none
   */
  async namesOf(scope: TenantScope, part: PartialScope, namespaces: readonly NamespaceState[]): Promise<readonly string[]> {
    const classified = await this.classify(scope, namespaces);
    const names = classified.flatMap(({ namespace, decision }) => (decision !== null && classesOf[part].has(decision.dataClass) ? [namespace.name] : []));
    if (names.length === 0) throw new AppError('SCOPE_UNDEFINED', `No collection of this workspace belongs to ${part}`, { field: ['scope'] });
    return names;
  }

  private async listsOf(scope: TenantScope): Promise<RuleLists> {
    const [tenant, provider] = await Promise.all([this.rules.find(scope.tenantId), this.profile()]);
    return { tenant: tenant ?? [], provider };
  }

  private async read(scope: TenantScope, lists: RuleLists): Promise<readonly ClassifiedNamespace[]> {
    const session = await this.tenants.openTarget(scope);
    try {
      return classified(await session.catalogue(), lists);
    } finally {
      await session.close();
    }
  }
}

function classified(namespaces: readonly NamespaceState[], lists: RuleLists): readonly ClassifiedNamespace[] {
  return namespaces.map((namespace) => ({ namespace, decision: decide(namespace.name, lists) }));
}

function plain({ pattern, dataClass, resettable, counter }: ClassRule): ClassRule {
  return { pattern, dataClass, resettable, ...(counter == null ? {} : { counter: { field: counter.field, resetTo: counter.resetTo } }) };
}

function requireSense(rules: readonly ClassRule[]): void {
  const at = rules.findIndex(({ resettable, counter }) => resettable && counter != null);
  if (at >= 0) throw new AppError('BAD_USER_INPUT', `rules.${at}.counter: a collection that a reset wipes keeps no counters`, { field: ['rules', String(at), 'counter'] });
}
