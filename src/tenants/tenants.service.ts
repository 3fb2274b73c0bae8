import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { EngineSession } from '#engines';
import { AppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { EventBus } from '../platform/events/event-bus.js';
import { notFound, toGlobalId } from '../platform/graphql/global-id.js';
import type { TenantEntity } from './tenant.entity.js';
import { TenantTargets } from './tenant-targets.js';
import { type TenantPatch, TenantsRepository } from './tenants.repository.js';

export const noMaintenance: TenantPatch = {
  maintenanceSince: null,
  maintenanceOperationId: null,
  maintenanceMessage: null,
  maintenanceAcknowledgedAt: null,
};

const abandonedMessage = 'Work on the data was given up half done; the provider decides how it goes on';

/** Told of a change inside its transaction, which holds the tenant's row: what it writes is there if and only if the change is. It may run twice. */
export type TenantWatcher = (before: TenantEntity, after: TenantEntity, manager: EntityManager) => Promise<void>;

/** Tenants for workers and other features, which have checked the permission; what people do is `TenantAdministration`. */
@Injectable()
export class TenantsService {
  private readonly watchers: TenantWatcher[] = [];

  constructor(
    private readonly tenants: TenantsRepository,
    private readonly targets: TenantTargets,
    private readonly bus: EventBus,
    private readonly dataSource: DataSource,
  ) {}

  /** @throws AppError NOT_FOUND */
  async get(scope: TenantScope, manager?: EntityManager): Promise<TenantEntity> {
    const tenant = await this.tenants.findById(scope.tenantId, manager);
    if (tenant === null) throw notFound('Tenant');
    return tenant;
  }

  findById(id: string): Promise<TenantEntity | null> {
    return this.tenants.findById(id);
  }

  /**
   * A tenant that is known by its archives alone: suspended, and its target is lost until the provider gives one. Idempotent.
   *
   * @param lost `slug` and `name` are null where the archive did not tell them
   */
  async makeLost({ tenantId: id, slug, name }: TenantScope & { readonly slug: string | null; readonly name: string | null }): Promise<void> {
    await runInTransaction(this.dataSource, async (manager) => {
      if ((await this.tenants.findById(id, manager)) !== null) return;
      const place = `lost-${id}`;
      const free = slug !== null && (await this.tenants.findBySlug(slug)) === null ? slug : place;
      await this.tenants.insert(
        { id, slug: free, name: name ?? place, environment: 'PRODUCTION', engine: 'MONGODB', timeZone: 'UTC', targetCipher: this.targets.seal(id, 'mongodb://lost.invalid/'), targetDeployment: place, targetDatabase: place },
        manager,
      );
      await this.tenants.update({ tenantId: id }, { suspendedAt: () => 'now()' }, manager);
    });
  }

  findBySlug(slug: string): Promise<TenantEntity | null> {
    return this.tenants.findBySlug(slug);
  }

  /**
   * Locks the tenant until the transaction of `manager` ends. Starting an operation takes this lock, so that neither name nor target changes
   * under it.
   *
   * @throws AppError NOT_FOUND, TENANT_DELETED
   */
  async getForUpdate(manager: EntityManager, tenantId: string): Promise<TenantEntity> {
    const tenant = await this.tenants.lockById(manager, tenantId);
    if (tenant === null) throw notFound('Tenant');
    if (tenant.deletedAt !== null) throw new AppError('TENANT_DELETED', 'The workspace was deleted');
    return tenant;
  }

  /** While it is suspended, its storage is closed to its own people; the provider gets at it. @throws AppError TENANT_SUSPENDED */
  async requireOpen(actor: Actor, scope: TenantScope): Promise<void> {
    if (!actor.isProvider) requireNotSuspended(await this.get(scope));
  }

  /** Of work whose row is locked or that cannot begin. @throws AppError OPERATION_ALREADY_RUNNING */
  async requireIdle({ tenantId }: TenantScope, manager: EntityManager): Promise<void> {
    const running = await this.tenants.findUnfinishedOperation(tenantId, manager);
    if (running !== null) throw new AppError('OPERATION_ALREADY_RUNNING', `The operation ${toGlobalId('Operation', running)} is still running`);
  }

  /** A lock of the archive store keeps some of it until then. */
  delayRemoval(scope: TenantScope, until: Date | null): Promise<void> {
    return this.tenants.delayRemoval(scope, until);
  }

  /** Ids of tenants whose time to take their deletion back is over, in no order: those that a hold or a store keeps from going must not keep the others. Without `mayBegin` those whose removal has begun. */
  deletionsDue(limit: number, mayBegin: boolean): Promise<string[]> {
    return this.tenants.deletionsDue(limit, mayBegin);
  }

  /** By the database's clock, which all processes share. */
  now(manager?: EntityManager): Promise<Date> {
    return this.tenants.now(manager);
  }

  watch(watcher: TenantWatcher): void {
    this.watchers.push(watcher);
  }

  /** A connection to the tenant's database; the caller closes it. @throws AppError NOT_FOUND, TARGET_* */
  async openTarget(scope: TenantScope): Promise<EngineSession> {
    return this.targets.open(await this.get(scope));
  }

  /** Remembers that the server cannot hold a snapshot for as long as a backup takes. */
  async noteLostSnapshot(scope: TenantScope, manager?: EntityManager): Promise<void> {
    await this.change(scope, () => ({ snapshotLostAt: () => 'clock_timestamp()' }), manager);
  }

  /** A backup of it was restored for proof, just now. */
  async markProven(scope: TenantScope, manager: EntityManager): Promise<void> {
    await this.change(scope, () => ({ provenRestorableAt: () => 'clock_timestamp()' }), manager);
  }

  /** Keeps the product's users out and, with `endSessions`, ends their sessions: the session epoch grows once per operation, however often this is called. */
  beginMaintenance(scope: TenantScope, begin: { readonly operationId: string; readonly message: string; readonly endSessions: boolean }, manager?: EntityManager): Promise<TenantEntity> {
    return this.change(
      scope,
      (tenant) =>
        tenant.maintenanceOperationId === begin.operationId
          ? null
          : {
              maintenanceSince: () => 'coalesce(maintenance_since, now())',
              maintenanceOperationId: begin.operationId,
              maintenanceMessage: begin.message,
              maintenanceAcknowledgedAt: null,
              sessionEpoch: tenant.sessionEpoch + (begin.endSessions ? 1 : 0),
            },
      manager,
    );
  }

  /** Lets the users in again, if the maintenance is this operation's. Idempotent. */
  endMaintenance(scope: TenantScope, operationId: string, manager?: EntityManager): Promise<TenantEntity> {
    return this.change(scope, (tenant) => (tenant.maintenanceOperationId === operationId ? noMaintenance : null), manager);
  }

  /**
   * The operation ends and has changed nothing: the users are let in again, but where an abandoned one has left data half changed, whose maintenance it then is
   * again. Idempotent.
   */
  leaveMaintenance(scope: TenantScope, operationId: string, manager?: EntityManager): Promise<TenantEntity> {
    return this.change(
      scope,
      async (tenant, inside) => {
        if (tenant.maintenanceOperationId !== operationId) return null;
        const abandoned = await this.tenants.findAbandoned(scope.tenantId, inside);
        return abandoned === null ? noMaintenance : { maintenanceOperationId: abandoned, maintenanceMessage: abandonedMessage, maintenanceAcknowledgedAt: null };
      },
      manager,
    );
  }

  /** The users stay out, whatever becomes of the operation. Idempotent. */
  keepMaintenance(scope: TenantScope, operationId: string, manager: EntityManager): Promise<TenantEntity> {
    return this.change(scope, (tenant) => (tenant.maintenanceOperationId === operationId && tenant.maintenanceMessage !== abandonedMessage ? { maintenanceMessage: abandonedMessage } : null), manager);
  }

  /** The product has said that its users are out, if it is still this operation that they are out for. Idempotent. */
  acknowledgeMaintenance(scope: TenantScope, operationId: string, manager?: EntityManager): Promise<TenantEntity> {
    return this.change(
      scope,
      (tenant) => (tenant.maintenanceOperationId === operationId && tenant.maintenanceAcknowledgedAt === null ? { maintenanceAcknowledgedAt: () => 'now()' } : null),
      manager,
    );
  }

  /** Locks the row, asks `decide` what to change (null: nothing), and tells subscribers with the commit. */
  change(
    scope: TenantScope,
    decide: (before: TenantEntity, manager: EntityManager) => TenantPatch | null | Promise<TenantPatch | null>,
    manager?: EntityManager,
  ): Promise<TenantEntity> {
    const work = async (inside: EntityManager): Promise<TenantEntity> => {
      const before = await this.getForUpdate(inside, scope.tenantId);
      const patch = await decide(before, inside);
      if (patch === null) return before;
      await this.tenants.update(scope, patch, inside);
      const after = await this.get(scope, inside);
      for (const watcher of this.watchers) await watcher(before, after, inside);
      await this.bus.publish({ topic: 'tenant', id: scope.tenantId, tenantId: scope.tenantId, revision: after.revision }, inside);
      return after;
    };
    return manager === undefined ? runInTransaction(this.dataSource, work) : work(manager);
  }
}

/** @throws AppError TENANT_SUSPENDED */
export function requireNotSuspended(tenant: Pick<TenantEntity, 'suspendedAt' | 'deletionAskedAt'>): void {
  if (tenant.suspendedAt !== null) throw new AppError('TENANT_SUSPENDED', whyClosed(tenant) ?? 'The workspace is suspended');
}

/** As a sentence for people; null while it is open. */
export function whyClosed({ suspendedAt, deletionAskedAt }: Pick<TenantEntity, 'suspendedAt' | 'deletionAskedAt'>): string | null {
  if (suspendedAt === null) return null;
  return deletionAskedAt === null ? 'The workspace is suspended' : 'The workspace is being deleted';
}

/** @throws AppError CONFIRM_NAME_MISMATCH */
export function requireConfirmed(tenantName: string, confirmName: string): void {
  if (confirmName.normalize('NFC') !== tenantName.normalize('NFC')) throw new AppError('CONFIRM_NAME_MISMATCH', "This is not the workspace's name", { field: ['confirmName'] });
}
