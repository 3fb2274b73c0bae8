import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { AuditService } from '../audit/audit.service.js';
import { TenantArchives } from '../backups/tenant-archives.js';
import { AppConfig } from '../config/app-config.js';
import { type Actor, type ActorStamp, stampOf } from '../platform/auth/actor.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import type { TenantEntity } from '../tenants/tenant.entity.js';
import { requireConfirmed, TenantsService } from '../tenants/tenants.service.js';

export interface Departure {
  readonly askedAt: Date;
  readonly askedBy: ActorStamp | null;
  readonly dueAt: Date;
  readonly heldBackups: number;
  readonly begunAt: Date | null;
  readonly deletedAt: Date | null;
  readonly lockedUntil: Date | null;
}

const dayMs = 24 * 3_600_000;

/** The provider ends a workspace, or thinks better of it. Its own database is not touched by either. */
@Injectable()
export class TenantDepartures {
  constructor(
    private readonly config: AppConfig,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly archives: TenantArchives,
  ) {}

  /** Closes it at once; its archives go when the days of grace are over. Idempotent. @throws AppError CONFIRM_NAME_MISMATCH, OPERATION_ALREADY_RUNNING, TENANT_HELD */
  async begin(actor: Actor, globalId: string, confirmName: string): Promise<TenantEntity> {
    this.access.requireProvider(actor);
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', globalId), null);
    return this.audit.recordRefusals({ action: 'tenant.deletion-asked', ...scope, actor }, () =>
      this.tenants.change(scope, async (before, manager) => {
        requireConfirmed(before.name, confirmName);
        if (before.deletionAskedAt !== null) return null;
        await this.tenants.requireIdle(scope, manager);
        requireNoHold(await this.archives.held(scope, manager));
        const now = await this.tenants.now(manager);
        const dueAt = new Date(now.getTime() + this.config.tenantGraceDays * dayMs);
        await this.audit.record({ action: 'tenant.deletion-asked', ...scope, actor, detail: { name: before.name, slug: before.slug, dueAt: dueAt.toISOString() } }, manager);
        return { deletionAskedAt: now, deletionAskedBy: stampOf(actor), deletionDueAt: dueAt, ...(before.suspendedAt === null ? { suspendedAt: now, suspendedByDeletion: true } : {}) };
      }),
    );
  }

  /** It is as it was, suspended or not. Idempotent. @throws AppError TENANT_NOT_RECOVERABLE */
  async takeBack(actor: Actor, globalId: string): Promise<TenantEntity> {
    this.access.requireProvider(actor);
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', globalId), null);
    return this.tenants.change(scope, async (before, manager) => {
      if (before.deletionAskedAt === null) return null;
      if (before.deletionBegunAt !== null) throw new AppError('TENANT_NOT_RECOVERABLE', 'The removal of the archives has begun');
      await this.audit.record({ action: 'tenant.deletion-taken-back', ...scope, actor }, manager);
      return {
        deletionAskedAt: null, deletionAskedBy: null, deletionDueAt: null, suspendedByDeletion: false,
        ...(before.suspendedByDeletion ? { suspendedAt: null, resumedAt: await this.tenants.now(manager) } : {}),
      };
    });
  }

  /** Null where nobody has asked for it. */
  async of(actor: Actor, tenantId: string): Promise<Departure | null> {
    const scope = await this.access.authorize(actor, tenantId, null);
    const { deletionAskedAt: askedAt, deletionAskedBy: askedBy, deletionDueAt: dueAt, deletionBegunAt: begunAt, deletedAt } = await this.tenants.get(scope);
    if (askedAt === null || dueAt === null) return null;
    return { askedAt, askedBy, dueAt, heldBackups: await this.archives.held(scope), begunAt, deletedAt, lockedUntil: await this.archives.lockedUntil(scope) };
  }
}

/** @throws AppError TENANT_HELD */
export function requireNoHold(held: number): void {
  if (held > 0) throw new AppError('TENANT_HELD', held === 1 ? 'One backup of the workspace is held' : `${held} backups of the workspace are held`);
}
