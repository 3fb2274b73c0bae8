import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager, IsNull } from 'typeorm';
import type { Permission } from '../access/permission.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import { ApiKeyEntity } from './api-key.entity.js';

/** Whose keys: a tenant's, or (null) the provider's own. */
export type ApiKeyOwner = string | null;

export type NewApiKey = Pick<ApiKeyEntity, 'id' | 'tenantId' | 'name' | 'permissions' | 'keyHash' | 'hint' | 'createdBy' | 'expiresAt'>;

/** All SQL of the `api_key` table; times are the database's. */
@Injectable()
export class ApiKeysRepository {
  constructor(private readonly dataSource: DataSource) {}

  async insert(key: NewApiKey, manager: EntityManager): Promise<void> {
    await manager.query('insert into api_key (id, tenant_id, name, permissions, key_hash, hint, created_by, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)', [
      key.id, key.tenantId, key.name, JSON.stringify(key.permissions), key.keyHash, key.hint, JSON.stringify(key.createdBy), key.expiresAt,
    ]);
  }

  /** For `authorizeRow`. */
  findAnywhere(id: string, manager: EntityManager = this.dataSource.manager): Promise<ApiKeyEntity | null> {
    return manager.findOneBy(ApiKeyEntity, { id });
  }

  /** One that is good, and notes that it was used, to the minute. */
  async use(keyHash: Buffer): Promise<ApiKeyEntity | null> {
    const [row]: { id: string; stale: boolean }[] = await this.dataSource.query(
      `select id, used_at is null or used_at < clock_timestamp() - interval '1 minute' as stale from api_key where key_hash = $1 and revoked_at is null and expires_at > clock_timestamp()`,
      [keyHash],
    );
    if (row === undefined) return null;
    if (row.stale) await this.dataSource.query('update api_key set used_at = clock_timestamp() where id = $1', [row.id]);
    return this.findAnywhere(row.id);
  }

  list(owner: ApiKeyOwner, page: Page): Promise<PageOfRows<ApiKeyEntity>> {
    const query = this.dataSource.manager.createQueryBuilder(ApiKeyEntity, 'key');
    return findPage(owner === null ? query.where('key.tenantId is null') : query.where('key.tenantId = :owner', { owner }), 'createdAt', page);
  }

  /** Keys of one owner are made one after the other: what is counted then is all there is. */
  async countGood(owner: ApiKeyOwner, manager: EntityManager): Promise<number> {
    await manager.query(`select pg_advisory_xact_lock(hashtextextended('api-keys:' || $1, 0))`, [owner ?? 'provider']);
    const [row]: { count: number }[] = await manager.query('select count(*)::int as count from api_key where tenant_id is not distinct from $1 and revoked_at is null and expires_at > clock_timestamp()', [owner]);
    return row?.count ?? 0;
  }

  /** False for one that was revoked before. */
  async revoke(owner: ApiKeyOwner, id: string, manager: EntityManager): Promise<boolean> {
    const { affected } = await manager.update(ApiKeyEntity, { tenantId: owner ?? IsNull(), id, revokedAt: IsNull() }, { revokedAt: () => 'clock_timestamp()' });
    return (affected ?? 0) > 0;
  }

  /** Those of a tenant that the person made and that may do more than `permissions`. */
  async madeBy(tenantId: string, person: { readonly accountId: string | null; readonly email: string }, permissions: readonly Permission[], manager: EntityManager): Promise<readonly Pick<ApiKeyEntity, 'id' | 'name'>[]> {
    return manager.query(
      `select id, name from api_key where tenant_id = $1 and revoked_at is null and (created_by->>'id' = 'account:' || $2 or lower(created_by->>'email') = lower($3)) and not permissions <@ $4::jsonb`,
      [tenantId, person.accountId, person.email, JSON.stringify(permissions)],
    );
  }
}
