import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AppError } from '#errors';
import { AccessService } from '../access/access.service.js';
import { LoginLimiter } from '../access/login-limiter.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { BackupsService } from '../backups/backups.service.js';
import { type Actor, type ActorStamp, stampOf } from '../platform/auth/actor.js';
import { RowsOfEach } from '../platform/database/batched-reads.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { TenantsService } from '../tenants/tenants.service.js';

export interface CronKeyState {
  /** `hfc_…` and the last four characters. */
  readonly masked: string;
  readonly createdAt: Date;
  readonly usedAt: Date | null;
}

const prefix = 'hfc_';

/** The keys by which an outer cron asks for backups: one a workspace, hashed. */
@Injectable()
export class CronKeys {
  private readonly rows = new RowsOfEach<{ readonly hint: string; readonly created_at: Date; readonly used_at: Date | null }>(
    () => this.dataSource.manager,
    'select k.hint, k.created_at, k.used_at from cron_key k where k.tenant_id = key.id',
  );

  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly backups: BackupsService,
    private readonly limiter: LoginLimiter,
  ) {}

  async find(actor: Actor, tenantId: string): Promise<CronKeyState | null> {
    const scope = await this.access.authorize(actor, tenantId, Permission.SCHEDULE_MANAGE);
    const [row] = await this.rows.of(scope.tenantId);
    return row === undefined ? null : { masked: `${prefix}…${row.hint}`, createdAt: row.created_at, usedAt: row.used_at };
  }

  /** @returns the new key: nobody can read it again */
  async rotate(actor: Actor, tenantGlobalId: string): Promise<string> {
    this.access.requirePerson(actor);
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', tenantGlobalId), Permission.SCHEDULE_MANAGE);
    const key = prefix + randomBytes(32).toString('base64url');
    await runInTransaction(this.dataSource, async (manager) => {
      await manager.query(
        `insert into cron_key (tenant_id, key_hash, hint, created_by) values ($1, $2, $3, $4)
         on conflict (tenant_id) do update set key_hash = excluded.key_hash, hint = excluded.hint, created_by = excluded.created_by, created_at = now(), used_at = null`,
        [scope.tenantId, hashOf(key), key.slice(-4), stampOf(actor)],
      );
      await this.audit.record({ action: 'cron-key.rotated', tenantId: scope.tenantId, actor }, manager);
    });
    return key;
  }

  /**
   * Starts a backup for whoever has the key. An unknown workspace, one without a key, and a wrong key answer alike.
   *
   * @returns the operation's id
   * @throws AppError UNAUTHENTICATED, OPERATION_ALREADY_RUNNING and whatever keeps a backup from starting
   */
  async run(slug: string, key: string, address: string): Promise<string> {
    const attempt = await this.limiter.begin(`cron ${slug.slice(0, 63)}`, address);
    const tenant = await this.tenants.findBySlug(slug);
    const [row]: { key_hash: Buffer }[] = tenant === null ? [] : await this.dataSource.query('select key_hash from cron_key where tenant_id = $1', [tenant.id]);
    // Compared in any case, so that the time tells nothing.
    const isRight = timingSafeEqual(hashOf(key), row?.key_hash ?? hashOf(''));
    if (tenant === null || row === undefined || !isRight) {
      if (tenant !== null) await this.audit.record({ action: 'cron-key.refused', outcome: 'REFUSED', tenantId: tenant.id, actor: null, address });
      throw new AppError('UNAUTHENTICATED', 'The cron key is not valid');
    }
    await attempt.succeeded();
    const startedBy: ActorStamp = { id: `cron:${tenant.id}`, kind: 'API_KEY', email: null, name: 'Cron key' };
    return runInTransaction(this.dataSource, async (manager) => {
      await manager.query('update cron_key set used_at = now() where tenant_id = $1', [tenant.id]);
      const { operation } = await this.backups.startAutomatic({ tenantId: tenant.id }, { label: 'cron', trigger: 'CRON', scope: 'ALL', scheduleId: null, startedBy }, manager);
      return operation.id;
    });
  }
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
