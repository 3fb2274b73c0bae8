import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TenantScope } from '../access/access.service.js';
import { DownloadEntity, type DownloadVariant } from './download.entity.js';
import type { SentRange } from './sent-ranges.js';
import type { ActorStamp } from '../platform/auth/actor.js';

export interface NewDownload {
  readonly id: string;
  readonly backupId: string;
  readonly variant: DownloadVariant;
  readonly tokenHash: Buffer;
  readonly validForSeconds: number;
  readonly byProvider: boolean;
  readonly createdBy: ActorStamp;
}

@Injectable()
export class DownloadsRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Times are the database's. Returns when the link ends. */
  async insert(scope: TenantScope, download: NewDownload, manager: EntityManager): Promise<Date> {
    const { id, backupId, variant, tokenHash, validForSeconds, byProvider, createdBy } = download;
    const rows: { expires_at: Date }[] = await manager.query(
      `insert into download (id, tenant_id, backup_id, variant, token_hash, expires_at, by_provider, created_by)
       values ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 second', $7, $8) returning expires_at`,
      [id, scope.tenantId, backupId, variant, tokenHash, validForSeconds, byProvider, JSON.stringify(createdBy)],
    );
    if (rows[0] === undefined) throw new Error('The download was not inserted');
    return rows[0].expires_at;
  }

  /** The token stands for the permission: whoever has it was given it. */
  async findByToken(tokenHash: Buffer): Promise<{ readonly download: DownloadEntity; readonly isOpen: boolean } | null> {
    const download = await this.dataSource.manager.findOneBy(DownloadEntity, { tokenHash });
    if (download === null) return null;
    const open: unknown[] = await this.dataSource.query('select 1 from download where id = $1 and spent_at is null and expires_at > clock_timestamp()', [download.id]);
    return { download, isOpen: open.length > 0 };
  }

  /** What of the file has gone out by it; transfers of one link may run side by side, in several processes, and each adds to what the others have noted. Null for a link that is spent. */
  note(id: string, change: (sent: readonly SentRange[]) => { readonly sent: readonly SentRange[]; readonly isWhole: boolean }, onWhole?: (manager: EntityManager) => Promise<void>): Promise<{ readonly before: readonly SentRange[]; readonly isWhole: boolean } | null> {
    return this.dataSource.transaction(async (manager) => {
      const download = await manager.findOne(DownloadEntity, { where: { id }, lock: { mode: 'pessimistic_write' } });
      if (download === null || download.spentAt !== null) return null;
      const { sent, isWhole } = change(download.sent);
      await manager.query('update download set sent = $2, spent_at = case when $3 then clock_timestamp() end where id = $1', [id, JSON.stringify(sent), isWhole]);
      if (isWhole) await onWhole?.(manager);
      return { before: download.sent, isWhole };
    });
  }

  /** A link that was spent and whose last bytes did not go out. */
  async reopen(id: string, sent: readonly SentRange[]): Promise<void> {
    await this.dataSource.query('update download set sent = $2, spent_at = null where id = $1', [id, JSON.stringify(sent)]);
  }
}
