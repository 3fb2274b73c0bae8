import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { EngineName, Target, TargetInspection } from '#engines';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { runInTransaction, violatedUnique } from '../platform/database/data-source.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { EventBus } from '../platform/events/event-bus.js';
import { SnapshotStream } from '../platform/events/snapshot-stream.js';
import { notFound } from '../platform/graphql/global-id.js';
import { DatabaseClaims } from './database-claims.js';
import type { TenantEntity } from './tenant.entity.js';
import { TenantTargets } from './tenant-targets.js';
import { noMaintenance, TenantsService } from './tenants.service.js';
import { type TenantFilterValues, TenantsRepository } from './tenants.repository.js';

export interface TenantDraft {
  readonly slug: string;
  readonly name: string;
  readonly environment: 'SANDBOX' | 'PRODUCTION';
  readonly timeZone: string;
  readonly target: Target & { readonly engine: EngineName };
}

export interface TenantChanges {
  readonly name?: string | null | undefined;
  readonly timeZone?: string | null | undefined;
  readonly target?: Target | null | undefined;
  /** 0: without limit. */
  readonly quotaBytes?: bigint | null | undefined;
  /** 0: none of its own. */
  readonly maxBytesPerSecond?: bigint | null | undefined;
}

/** Below it one document of 16 MiB would take minutes. */
const leastBytesPerSecond = 65_536n;

/** What people do with tenants: each method checks the actor's permission. */
@Injectable()
export class TenantAdministration {
  constructor(
    private readonly service: TenantsService,
    private readonly tenants: TenantsRepository,
    private readonly targets: TenantTargets,
    private readonly claims: DatabaseClaims,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly bus: EventBus,
    private readonly dataSource: DataSource,
  ) {}

  /** @throws AppError NOT_FOUND */
  async get(actor: Actor, tenantId: string): Promise<TenantEntity> {
    await this.access.authorize(actor, tenantId, null);
    return this.service.get({ tenantId });
  }

  /** @throws AppError NOT_FOUND */
  async getBySlug(actor: Actor, slug: string): Promise<TenantEntity> {
    const tenant = await this.tenants.findBySlug(slug);
    if (tenant === null) throw notFound('Tenant');
    await this.access.authorize(actor, tenant.id, null);
    return tenant;
  }

  async list(actor: Actor, filter: TenantFilterValues, page: Page): Promise<PageOfRows<TenantEntity>> {
    return this.tenants.list(await this.access.visibleTenants(actor), filter, page);
  }

  /** The current state at once, then each newer one. The permission is checked before each. */
  async updates(actor: Actor, tenantId: string): Promise<AsyncIterableIterator<TenantEntity>> {
    await this.access.authorize(actor, tenantId, null);
    return new SnapshotStream(this.bus.subscribe('tenant', { id: tenantId }), () => this.get(actor, tenantId), ({ revision }) => revision);
  }

  /** @throws AppError ENGINE_UNSUPPORTED, TARGET_*, SLUG_TAKEN; a refused target is audited */
  async create(actor: Actor, draft: TenantDraft): Promise<TenantEntity> {
    this.access.requireProvider(actor);
    const { engine, uri, database } = draft.target;
    const inspection = await this.inspectTarget(actor, null, engine, { uri, database });
    const id = randomUUID();
    try {
      return await runInTransaction(this.dataSource, async (manager) => {
        const { slug, name, environment, timeZone } = draft;
        await this.claims.requireFree({ deployment: inspection.deployment, database }, { manager });
        await this.tenants.insert(
          { id, slug, name, environment, engine, timeZone, targetCipher: this.targets.seal(id, uri), targetDeployment: inspection.deployment, targetDatabase: database },
          manager,
        );
        await this.audit.record({ action: 'tenant.created', tenantId: id, actor, detail: { slug, name, database, deployment: inspection.deployment } }, manager);
        return this.service.get({ tenantId: id }, manager);
      });
    } catch (error) {
      throw await this.refusal(error, actor, null, { slug: draft.slug, database });
    }
  }

  /** @throws AppError FORBIDDEN when anybody but the provider gives a target, TARGET_*, OPERATION_ALREADY_RUNNING */
  async update(actor: Actor, tenantId: string, changes: TenantChanges): Promise<TenantEntity> {
    await this.access.authorize(actor, tenantId, Permission.TENANT_MANAGE);
    const { target } = changes;
    if (target != null) {
      this.access.requireProvider(actor);
      await this.changeTarget(actor, tenantId, target);
    }
    if (changes.quotaBytes != null) await this.changeQuota(actor, tenantId, changes.quotaBytes);
    if (changes.maxBytesPerSecond != null) await this.changeRate(actor, tenantId, changes.maxBytesPerSecond);
    if (changes.name == null && changes.timeZone == null) return this.service.get({ tenantId });
    return this.service.change({ tenantId }, async (before, manager) => {
      const name = changes.name ?? before.name;
      const timeZone = changes.timeZone ?? before.timeZone;
      await this.audit.record(
        { action: 'tenant.updated', tenantId, actor, detail: { name, timeZone, formerName: before.name, formerTimeZone: before.timeZone } },
        manager,
      );
      return { name, timeZone };
    });
  }

  suspend(actor: Actor, tenantId: string): Promise<TenantEntity> {
    return this.setSuspended(actor, tenantId, true);
  }

  resume(actor: Actor, tenantId: string): Promise<TenantEntity> {
    return this.setSuspended(actor, tenantId, false);
  }

  /** The product says that its users are out. */
  async acknowledgeMaintenance(actor: Actor, tenantId: string): Promise<TenantEntity> {
    await this.access.authorize(actor, tenantId, Permission.RESTORE_RUN);
    return this.service.change({ tenantId }, async (before, manager) => {
      if (before.maintenanceSince === null || before.maintenanceAcknowledgedAt !== null) return null;
      await this.audit.record({ action: 'tenant.maintenance-acknowledged', tenantId, actor }, manager);
      return { maintenanceAcknowledgedAt: () => 'now()' };
    });
  }

  /** Ends a maintenance whose operation is over. @throws AppError OPERATION_ALREADY_RUNNING */
  async endMaintenance(actor: Actor, tenantId: string): Promise<TenantEntity> {
    await this.access.authorize(actor, tenantId, Permission.TENANT_MANAGE);
    return this.service.change({ tenantId }, async (before, manager) => {
      if (before.maintenanceSince === null) return null;
      await this.service.requireIdle({ tenantId }, manager);
      await this.audit.record({ action: 'tenant.maintenance-ended', tenantId, actor }, manager);
      return noMaintenance;
    });
  }

  private async changeQuota(actor: Actor, tenantId: string, bytes: bigint): Promise<void> {
    this.access.requireProvider(actor);
    const quotaBytes = bytes === 0n ? null : bytes;
    await this.service.change({ tenantId }, async (before, manager) => {
      await this.audit.record({ action: 'tenant.quota-changed', tenantId, actor, detail: { bytes: quotaBytes?.toString() ?? null, formerBytes: before.quotaBytes?.toString() ?? null } }, manager);
      return { quotaBytes };
    });
  }

  private async changeRate(actor: Actor, tenantId: string, bytes: bigint): Promise<void> {
    this.access.requireProvider(actor);
    if (bytes !== 0n && bytes < leastBytesPerSecond) throw new AppError('BAD_USER_INPUT', `maxBytesPerSecond: must be 0 or at least ${leastBytesPerSecond}`, { field: ['maxBytesPerSecond'] });
    const maxBytesPerSecond = bytes === 0n ? null : bytes;
    await this.service.change({ tenantId }, async (before, manager) => {
      await this.audit.record({ action: 'tenant.rate-changed', tenantId, actor, detail: { bytes: maxBytesPerSecond?.toString() ?? null, formerBytes: before.maxBytesPerSecond?.toString() ?? null } }, manager);
      return { maxBytesPerSecond };
    });
  }

  private async changeTarget(actor: Actor, tenantId: string, target: Target): Promise<void> {
    const { engine } = await this.service.get({ tenantId });
    const { deployment } = await this.inspectTarget(actor, tenantId, engine, target);
    try {
      await this.service.change({ tenantId }, async (before, manager) => {
        await this.service.requireIdle({ tenantId }, manager);
        await this.claims.requireFree({ deployment, database: target.database }, { manager, besides: tenantId });
        await this.claims.takeBack({ tenantId }, { deployment, database: target.database }, manager);
        await this.audit.record(
          { action: 'tenant.target-changed', tenantId, actor, detail: { database: target.database, deployment, formerDatabase: before.targetDatabase, formerDeployment: before.targetDeployment } },
          manager,
        );
        return {
          targetCipher: this.targets.seal(tenantId, target.uri),
          targetDeployment: deployment,
          targetDatabase: target.database,
          targetRevision: before.targetRevision + 1,
          snapshotLostAt: null,
        };
      });
    } catch (error) {
      throw await this.refusal(error, actor, tenantId, { database: target.database });
    }
  }

  private async inspectTarget(actor: Actor, tenantId: string | null, engine: EngineName, target: Target): Promise<TargetInspection> {
    try {
      return await this.targets.inspect(engine, target);
    } catch (error) {
      throw await this.refusal(error, actor, tenantId, { database: target.database });
    }
  }

  private async setSuspended(actor: Actor, tenantId: string, suspended: boolean): Promise<TenantEntity> {
    this.access.requireProvider(actor);
    await this.access.authorize(actor, tenantId, null);
    return this.service.change({ tenantId }, async (before, manager) => {
      if (before.deletionAskedAt !== null && !suspended) throw new AppError('TENANT_DELETING', 'The workspace is being deleted');
      if ((before.suspendedAt !== null) === suspended && !before.suspendedByDeletion) return null;
      await this.audit.record({ action: suspended ? 'tenant.suspended' : 'tenant.resumed', tenantId, actor }, manager);
      return suspended ? { suspendedAt: () => 'coalesce(suspended_at, now())', suspendedByDeletion: false } : { suspendedAt: null, resumedAt: () => 'clock_timestamp()' };
    });
  }

  /** Gives constraint violations their codes and records what was refused, outside of the transaction that was rolled back. */
  private async refusal(error: unknown, actor: Actor, tenantId: string | null, detail: Record<string, string>): Promise<unknown> {
    const constraint = violatedUnique(error);
    const isTaken = error instanceof AppError && error.code === 'TARGET_IN_USE';
    const refused =
      constraint === null && !isTaken
        ? error
        : constraint?.includes('slug') === true
          ? new AppError('SLUG_TAKEN', `Another workspace has the slug ${detail['slug'] ?? ''}`, { field: ['slug'], cause: error })
          : new AppError('TARGET_IN_USE', `Another workspace uses the database ${detail['database'] ?? ''} of this server`, { field: ['target', 'database'], cause: error });
    if (refused instanceof AppError) {
      await this.audit.record({ action: tenantId === null ? 'tenant.created' : 'tenant.target-changed', outcome: 'REFUSED', tenantId, actor, detail: { ...detail, code: refused.code, reason: refused.message } });
    }
    return refused;
  }
}
