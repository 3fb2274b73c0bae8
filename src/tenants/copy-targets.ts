import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { EngineSession } from '#engines';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { AuditService } from '../audit/audit.service.js';
import { AppConfig } from '../config/app-config.js';
import type { Actor } from '../platform/auth/actor.js';
import { violatedUnique } from '../platform/database/data-source.js';
import { databaseInUse, DatabaseClaims } from './database-claims.js';
import type { TenantDraft } from './tenant-administration.js';
import { TenantTargets } from './tenant-targets.js';
import { TenantsRepository } from './tenants.repository.js';
import { TenantsService } from './tenants.service.js';

/** A database that a copy of a tenant's data is put into, of nobody yet or of a tenant that is made with it. Plain JSON; the connection string is sealed. */
export const copyTarget = z.strictObject({
  database: z.string(),
  deployment: z.string(),
  /** Null: the database lies on the tenant's own server and belongs to no tenant. */
  newTenant: z
    .strictObject({
      id: z.uuid(), slug: z.string(), name: z.string(), environment: z.enum(['SANDBOX', 'PRODUCTION']), engine: z.enum(['MONGODB', 'POSTGRESQL', 'MYSQL']),
      timeZone: z.string(), targetCipher: z.base64(),
    })
    .nullable(),
});
export type CopyTarget = z.output<typeof copyTarget>;

/** What MongoDB allows. */
const longestNameBytes = 63;
/** What a name that was made here ends in, so that the next one takes its place. */
const madeHere = /_r[0-9a-f]{8}$/;

/** Databases beside the tenants' own, for copies. */
@Injectable()
export class CopyTargets {
  constructor(
    private readonly config: AppConfig,
    private readonly tenants: TenantsService,
    private readonly rows: TenantsRepository,
    private readonly targets: TenantTargets,
    private readonly claims: DatabaseClaims,
    private readonly access: AccessService,
    private readonly audit: AuditService,
  ) {}

  /**
   * Another database on the tenant's server. Members keep to names that begin with their own database's, so that nobody takes a name that
   * is meant for somebody else.
   *
   * @throws AppError TARGET_*, DATABASE_EXISTS
   */
  async chooseDatabase(actor: Actor, scope: TenantScope, database: string): Promise<CopyTarget> {
    const { targetDatabase, targetDeployment: deployment } = await this.tenants.get(scope);
    if (!actor.isProvider && !database.startsWith(`${targetDatabase}_`)) {
      throw new AppError('TARGET_REFUSED', `The name must begin with ${targetDatabase}_; only the provider may choose another one`, { field: ['target', 'newDatabase', 'name'] });
    }
    return this.requireFree(scope, { database, deployment, newTenant: null });
  }

  /** One whose name is made here. @throws AppError TARGET_* */
  async makeName(scope: TenantScope): Promise<CopyTarget> {
    const { targetDatabase, targetDeployment: deployment } = await this.tenants.get(scope);
    const ending = `_r${randomBytes(4).toString('hex')}`;
    let base = targetDatabase.replace(madeHere, '');
    while (Buffer.byteLength(base) + ending.length > longestNameBytes) base = base.slice(0, -1);
    return this.requireFree(scope, { database: base + ending, deployment, newTenant: null });
  }

  /** A database for a drill: on the configured server, else on the tenant's own. @throws AppError TARGET_* */
  async makeScratch(scope: TenantScope): Promise<CopyTarget> {
    const target = await this.makeName(scope);
    return this.config.drillUri === null ? target : { ...target, deployment: 'the server for drills' };
  }

  /** The caller closes the session. @throws AppError NOT_FOUND, TARGET_* */
  async openScratch(scope: TenantScope, target: CopyTarget): Promise<EngineSession> {
    if (this.config.drillUri === null) return this.open(scope, target);
    const { engine } = await this.tenants.get(scope);
    return this.targets.openConfigured(engine, { uri: this.config.drillUri, database: target.database });
  }

  /** @throws AppError FORBIDDEN to all but the provider, SLUG_TAKEN, ENGINE_UNSUPPORTED, TARGET_*, DATABASE_EXISTS */
  async chooseTenant(actor: Actor, scope: TenantScope, { slug, name, environment, timeZone, target }: TenantDraft): Promise<CopyTarget> {
    this.access.requireProvider(actor);
    if ((await this.rows.findBySlug(slug)) !== null) throw slugTaken(slug);
    const { deployment } = await this.targets.inspect(target.engine, target);
    const id = randomUUID();
    const targetCipher = this.targets.seal(id, target.uri).toString('base64');
    return this.requireFree(scope, { database: target.database, deployment, newTenant: { id, slug, name, environment, timeZone, engine: target.engine, targetCipher } });
  }

  /** The caller closes the session. @throws AppError NOT_FOUND, TARGET_* */
  async open(scope: TenantScope, { database, newTenant }: CopyTarget): Promise<EngineSession> {
    if (newTenant === null) return this.targets.open({ ...(await this.tenants.get(scope)), targetDatabase: database });
    const { id, engine, targetCipher } = newTenant;
    return this.targets.open({ id, engine, maxBytesPerSecond: null, targetCipher: Buffer.from(targetCipher, 'base64'), targetDatabase: database });
  }

  /** Nobody else may have the database until the operation ends. @throws AppError TARGET_IN_USE */
  reserve(scope: TenantScope, operationId: string, target: Pick<CopyTarget, 'database' | 'deployment'>, manager: EntityManager): Promise<void> {
    return this.claims.reserve(scope, operationId, target, manager);
  }

  /** The operation has ended. Idempotent. */
  release(operationId: string, manager: EntityManager): Promise<void> {
    return this.claims.release(operationId, manager);
  }

  /**
   * Makes the new tenant, in maintenance until the operation has put the data there; does nothing for a mere database. May run again.
   *
   * @throws AppError SLUG_TAKEN, TARGET_IN_USE
   */
  async settle(target: CopyTarget, operation: { readonly id: string; readonly tenantId: string }, manager: EntityManager): Promise<void> {
    const { newTenant, database, deployment } = target;
    if (newTenant === null) return;
    const { id, slug, name, environment, engine, timeZone, targetCipher } = newTenant;
    if ((await this.rows.findById(id, manager)) !== null) return;
    await this.claims.release(operation.id, manager);
    try {
      await this.rows.insert({ id, slug, name, environment, engine, timeZone, targetCipher: Buffer.from(targetCipher, 'base64'), targetDeployment: deployment, targetDatabase: database }, manager);
    } catch (error) {
      const constraint = violatedUnique(error);
      if (constraint === null) throw error;
      throw constraint.includes('slug') ? slugTaken(slug) : databaseInUse(database);
    }
    await this.tenants.beginMaintenance({ tenantId: id }, { operationId: operation.id, message: 'A copy of another workspace is being put here', endSessions: true }, manager);
    await this.audit.record({ action: 'tenant.created', tenantId: id, actor: null, detail: { slug, name, database, deployment, copyOf: operation.tenantId, operationId: operation.id } }, manager);
  }

  /** The copy is there. Idempotent. */
  async finish({ newTenant }: CopyTarget, operationId: string, manager: EntityManager): Promise<void> {
    if (newTenant !== null) await this.tenants.endMaintenance({ tenantId: newTenant.id }, operationId, manager);
  }

  private async requireFree(scope: TenantScope, target: CopyTarget): Promise<CopyTarget> {
    await this.claims.requireFree(target);
    const session = await this.open(scope, target);
    try {
      if ((await session.namespaces()).length > 0) throw new AppError('DATABASE_EXISTS', `The database ${target.database} exists already and holds collections`, { field: ['target'] });
    } finally {
      await session.close();
    }
    return target;
  }
}

function slugTaken(slug: string): AppError {
  return new AppError('SLUG_TAKEN', `Another workspace has the slug ${slug}`, { field: ['target', 'newTenant', 'slug'] });
}
