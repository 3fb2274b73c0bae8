import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import type { ObjectLock } from '#storage';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { type BackupCopy, BackupCopies } from '../backups/backup-copies.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { ArchiveStores } from '../platform/storage/archive-stores.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { type CopyCounts, type Destination, DestinationsRepository } from './destinations.repository.js';

/** Which of the configured stores a workspace's archives are copied to. */
@Injectable()
export class DestinationsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly stores: ArchiveStores,
    private readonly copies: BackupCopies,
    private readonly rows: DestinationsRepository,
  ) {}

  /** Idempotent. @throws AppError STORE_UNKNOWN, STORE_TAKEN; OBJECT_LOCK_UNFIT, STORAGE_UNAVAILABLE for a store that is to lock and cannot, or does not answer */
  async create(actor: Actor, tenantGlobalId: string, store: string): Promise<Destination> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', tenantGlobalId), Permission.STORAGE_MANAGE);
    await this.tenants.requireOpen(actor, scope);
    await this.requireLock(store);
    return runInTransaction(this.dataSource, async (manager) => {
      await this.tenants.getForUpdate(manager, scope.tenantId);
      const same = (await this.rows.ofTenant(scope, manager)).find((one) => one.store === store && one.deletedAt === null);
      if (same !== undefined) return same;
      await this.requireFree(scope, store, manager);
      const id = randomUUID();
      await this.rows.insert(scope, id, store, stampOf(actor), manager);
      await this.audit.record({ action: 'destination.created', ...scope, actor, subject: { type: 'Destination', id }, detail: { store } }, manager);
      return this.require(scope, id, manager);
    });
  }

  /** The copies are made and read back in the new store before those in the old one go; until then both are read. @throws AppError STORE_UNKNOWN, STORE_TAKEN, DESTINATION_MOVING */
  async move(actor: Actor, globalId: string, store: string): Promise<Destination> {
    const { id, tenantId } = await this.manage(actor, globalId);
    const scope = { tenantId };
    await this.requireLock(store);
    return runInTransaction(this.dataSource, async (manager) => {
      await this.tenants.getForUpdate(manager, tenantId);
      const before = await this.require(scope, id, manager);
      if (before.deletedAt !== null) throw notFound('Destination');
      if (before.store === store) return before;
      if (before.movingFrom !== null) throw new AppError('DESTINATION_MOVING', `The copies are still being moved from ${before.movingFrom} to ${before.store}`);
      await this.requireFree(scope, store, manager);
      await this.rows.move(scope, id, before.store, store, manager);
      await this.audit.record({ action: 'destination.moving', ...scope, actor, subject: { type: 'Destination', id }, detail: { from: before.store, to: store } }, manager);
      return this.require(scope, id, manager);
    });
  }

  /** Its copies go, in two phases; every backup stays in the main store. */
  async delete(actor: Actor, globalId: string): Promise<Destination> {
    const { id, tenantId } = await this.manage(actor, globalId);
    const scope = { tenantId };
    return runInTransaction(this.dataSource, async (manager) => {
      await this.tenants.getForUpdate(manager, tenantId);
      const before = await this.require(scope, id, manager);
      if (before.deletedAt !== null) return before;
      await this.rows.markDeleted(scope, before, manager);
      await this.audit.record({ action: 'destination.deleted', ...scope, actor, subject: { type: 'Destination', id }, detail: { store: before.store } }, manager);
      return this.require(scope, id, manager);
    });
  }

  /** Writes, reads and deletes a file there; a store that is to lock has to be able to. @throws AppError STORAGE_FULL, STORAGE_UNAVAILABLE, OBJECT_LOCK_UNFIT */
  async test(actor: Actor, globalId: string): Promise<Destination> {
    const destination = await this.manage(actor, globalId);
    await this.stores.get(destination.store).check();
    return destination;
  }

  lockOf({ store }: Pick<Destination, 'store'>): ObjectLock | null {
    return this.stores.lockOf(store);
  }

  get storeNames(): readonly string[] {
    return this.stores.names;
  }

  async list(actor: Actor, tenantId: string): Promise<readonly Destination[]> {
    return this.rows.ofTenant(await this.access.authorize(actor, tenantId, Permission.BACKUP_READ));
  }

  counts(destination: Pick<Destination, 'id'>): Promise<CopyCounts> {
    return this.rows.counts(destination);
  }

  async copiesOf(actor: Actor, tenantId: string, backupId: string): Promise<BackupCopy[]> {
    return this.copies.of(await this.access.authorize(actor, tenantId, Permission.BACKUP_READ), backupId);
  }

  private async manage(actor: Actor, globalId: string): Promise<Destination> {
    const destination = await this.access.authorizeRow(actor, 'Destination', await this.rows.findAnywhere(fromGlobalId('Destination', globalId)), Permission.STORAGE_MANAGE);
    await this.tenants.requireOpen(actor, destination);
    return destination;
  }

  private async require(scope: TenantScope, id: string, manager: EntityManager): Promise<Destination> {
    const found = await this.rows.find(scope, id, manager);
    if (found === null) throw notFound('Destination');
    return found;
  }

  private async requireLock(store: string): Promise<void> {
    if (this.stores.lockOf(store) !== null) await this.stores.get(store).requireLock();
  }

  private async requireFree(scope: TenantScope, store: string, manager: EntityManager): Promise<void> {
    const refused = (why: string): AppError => new AppError('STORE_TAKEN', why, { field: ['store'] });
    if (!this.stores.has(store)) throw new AppError('STORE_UNKNOWN', `There is no store of this name; there are ${this.stores.names.join(', ') || 'none'}`, { field: ['store'] });
    const taken = await this.rows.ofTenant(scope, manager);
    if (taken.some((one) => one.movingFrom === store || (one.store === store && one.deletedAt !== null))) throw refused('Former copies are still being removed from there');
    if (taken.some((one) => one.store === store)) throw refused('The workspace has its copies there already');
  }
}
