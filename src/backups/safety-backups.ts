import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AppError } from '#errors';
import type { EngineSession, SetAsideNamespace } from '#engines';
import type { TenantScope } from '../access/access.service.js';
import type { JsonObject, OperationContext, OperationFailure } from '../operations/operation-handler.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { archiveNames } from './backup-naming.js';
import { BackupRunner, type BackupRunOptions, isLeaseLost } from './backup-runner.js';
import { asBackupWork } from './backup-work.js';
import type { BackupEntity } from './backup.entity.js';
import { BackupsRepository } from './backups.repository.js';

/** How long a restore can be undone. */
export const keptForMs = 7 * 24 * 60 * 60 * 1000;

// Somebody waits for it. Other backups may be meant for mongorestore, which knows gzip alone.
const codec = 'ZSTD';

/** Backups that Holdfast takes of what it is about to change. They are kept for 7 days at least and count against nobody's quota. */
@Injectable()
export class SafetyBackups {
  constructor(
    private readonly backups: BackupsRepository,
    private readonly runner: BackupRunner,
    private readonly tenants: TenantsService,
    private readonly encryption: TenantEncryption,
  ) {}

  /**
   * Takes one inside the running operation, of the whole database (`collections` is null) or of what the operation may change.
   *
   * @throws whatever made it fail, after its bytes were removed and its row says why
   */
  async take(context: OperationContext<JsonObject>, session: EngineSession, name: string, collections: readonly string[] | null): Promise<BackupEntity> {
    return this.run(context, await this.insert(context, name, collections), { session });
  }

  /**
   * Takes one of what a restore set aside, in the place of `earlierId`. Called again after a failure it goes on with the same row, and
   * after a success that nobody noted it returns what is there: what was set aside does not change. With `isPart` it is of these collections alone, whatever the earlier one is of.
   */
  async takeLastState(context: OperationContext<JsonObject>, session: EngineSession, name: string, only: readonly SetAsideNamespace[], earlierId: string, isPart = false): Promise<BackupEntity> {
    const collections = isPart ? only.map(({ name: collection }) => collection).sort() : ((await this.backups.find(context, earlierId))?.collections ?? null);
    const begun = await this.backups.safetyBesides(context, context.id, earlierId);
    if (begun?.state === 'COMPLETED') return begun;
    if (begun !== null) await this.runner.removeBytes(context, begun);
    const row = begun === null ? await this.insert(context, name, collections) : await this.reset(context, begun, collections);
    return this.run(context, row, { session, only });
  }

  /** Whether `takeLastState` has come to its end. */
  async hasLastState(context: OperationContext<JsonObject>, earlierId: string): Promise<boolean> {
    return (await this.backups.safetyBesides(context, context.id, earlierId))?.state === 'COMPLETED';
  }

  /** In any state, DELETED too. */
  find(scope: TenantScope, id: string, manager?: EntityManager): Promise<BackupEntity | null> {
    return this.backups.find(scope, id, manager);
  }

  /** By the database's clock. */
  isExpired(scope: TenantScope, id: string, manager?: EntityManager): Promise<boolean> {
    return this.backups.isExpired(scope, id, manager);
  }

  /** By the database's clock; null when that is over, or it is not usable. */
  lastsUntil(scope: TenantScope, id: string): Promise<Date | null> {
    return this.backups.lastsUntil(scope, id);
  }

  /** The one that undo of the finished operation reads is kept for as long as undo is offered. Idempotent. */
  keepForUndo(scope: TenantScope, operationId: string, manager: EntityManager): Promise<void> {
    return this.backups.expireAfterEnd(scope, operationId, keptForMs, manager);
  }

  /** All that it completed is kept as if it could be undone; what it was just taking is none, and its bytes are left to `BackupLeftovers`. Idempotent. */
  async keepOfAbandoned(scope: TenantScope, operationId: string, failure: OperationFailure, manager: EntityManager): Promise<void> {
    await this.backups.expireAfterEnd(scope, operationId, keptForMs, manager, 'EVERY');
    await this.backups.giveUpUnfinished(scope, operationId, failure, manager);
  }

  /** What a dead worker left of safety backups of this operation that it had not finished. Idempotent. */
  async discardUnfinished(context: OperationContext<JsonObject>, error: AppError): Promise<void> {
    for (const backup of await this.backups.unfinishedOf(context, context.id)) {
      await this.runner.discard(context, backup, error);
    }
  }

  /** The later one holds everything that undo needs: the earlier one goes, first its bytes, then its row, unless somebody keeps or reads it. Idempotent. */
  async replace(context: OperationContext<JsonObject>, earlierId: string): Promise<void> {
    const earlier = await this.backups.find(context, earlierId);
    if (earlier === null || earlier.state === 'DELETED') return;
    const mayGo = await context.fenced(async (manager) => {
      const now = await this.backups.lock(context, earlierId, manager);
      if (now === null || now.pinned || now.held) return false;
      // Begun once, it is finished: nobody can have begun to read it since.
      if (now.deletedAt === null && (await this.backups.operationsOn(earlierId, manager)).some((id) => id !== context.id)) return false;
      if (now.deletedAt === null) await this.backups.update(context, earlierId, ['COMPLETED'], { deletedAt: () => 'clock_timestamp()' }, manager);
      return true;
    });
    if (!mayGo) return;
    await this.runner.removeBytes(context, earlier);
    await context.fenced((manager) => this.backups.update(context, earlierId, ['COMPLETED'], { state: 'DELETED' }, manager));
  }

  private async run(context: OperationContext<JsonObject>, backup: BackupEntity, options: BackupRunOptions): Promise<BackupEntity> {
    try {
      return await this.runner.run(asBackupWork(context, () => Promise.resolve()), backup, options);
    } catch (error) {
      if (!isLeaseLost(error) && !isLeaseLost(context.signal.reason)) await this.runner.discard(context, backup, context.signal.reason ?? error);
      throw error;
    }
  }

  private insert(context: OperationContext<JsonObject>, name: string, collections: readonly string[] | null): Promise<BackupEntity> {
    return context.fenced(async (manager) => {
      const id = randomUUID();
      const createdAt = await this.tenants.now(manager);
      const encrypted = await this.encryption.seals(context, manager);
      const { fileName, storeKey } = archiveNames(await this.tenants.get(context, manager), { id, label: 'safety', createdAt, codec, encrypted });
      await this.backups.insert(
        {
          id, tenantId: context.tenantId, operationId: context.id, name, label: 'safety', trigger: 'SAFETY', scope: 'ALL', codec, state: 'QUEUED',
          storeKey, fileName, encrypted, contents: [], collections, pinned: false, held: false, createdAt,
          expiresAt: new Date(createdAt.getTime() + keptForMs),
        },
        manager,
      );
      return this.get(context, id, manager);
    });
  }

  private reset(context: OperationContext<JsonObject>, { id }: BackupEntity, collections: readonly string[] | null): Promise<BackupEntity> {
    return context.fenced(async (manager) => {
      await this.backups.update(context, id, ['QUEUED', 'RUNNING', 'FAILED', 'CANCELED'], { state: 'QUEUED', failure: () => 'null', finishedAt: null, bytesLeft: false, collections: collections === null ? () => 'null' : collections }, manager);
      return this.get(context, id, manager);
    });
  }

  private async get(context: OperationContext<JsonObject>, id: string, manager: EntityManager): Promise<BackupEntity> {
    const row = await this.backups.find(context, id, manager);
    if (row === null) throw new AppError('INTERNAL', 'The row of the safety backup is gone');
    return row;
  }
}
