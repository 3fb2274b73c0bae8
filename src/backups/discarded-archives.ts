import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { lockOf } from '#storage';
import { AppConfig } from '../config/app-config.js';
import { Sweep } from '../platform/queue/sweep.js';
import { ArchiveFiles } from './archive-files.js';

const atOnce = 100;
/** A store that is away is not asked a hundred times. */
const failuresBorne = 3;

/**
 * Remembers objects that no backup points to, until they are gone. A file is noted before it is written and taken off the list in the transaction that
 * makes it a backup's; whatever a crash leaves is removed once the operation has ended.
 */
@Injectable()
export class DiscardedArchives extends Sweep {
  protected readonly failure = 'Discarded archives could not be removed; this is tried again';

  constructor(
    config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly files: ArchiveFiles,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    const rows: { store_key: string }[] = await this.dataSource.query(
      `select store_key from discarded_archive d join operation o on o.id = d.operation_id where o.state not in ('QUEUED', 'RUNNING') and (locked_until is null or locked_until <= clock_timestamp()) order by random() limit ${atOnce}`,
    );
    // In no order, and one after the other whatever comes of it: a file that a store does not let go must not keep all others.
    const failures: unknown[] = [];
    for (const { store_key } of rows) {
      await this.remove(store_key).catch((error: unknown) => failures.push(error));
      if (failures.length === failuresBorne) break;
    }
    if (failures.length > 0) throw failures[0];
  }

  async note(of: { readonly id: string; readonly tenantId: string }, storeKey: string, manager: EntityManager): Promise<void> {
    await manager.query('insert into discarded_archive (store_key, tenant_id, operation_id) values ($1, $2, $3) on conflict do nothing', [storeKey, of.tenantId, of.id]);
  }

  async takeOff(storeKey: string, manager: EntityManager): Promise<void> {
    await manager.query('delete from discarded_archive where store_key = $1', [storeKey]);
  }

  /** The bytes, then the note; what a lock keeps stays noted until it ends. Idempotent. @throws AppError STORAGE_UNAVAILABLE */
  async remove(storeKey: string): Promise<void> {
    const used: unknown[] = await this.dataSource.query(`select 1 from backup where store_key = $1 and state <> 'DELETED'`, [storeKey]);
    const lock = used.length > 0 ? null : await lockOf(this.files.remove(storeKey));
    if (lock !== null) return void (await this.dataSource.query('update discarded_archive set locked_until = $2 where store_key = $1', [storeKey, lock.until]));
    await this.takeOff(storeKey, this.dataSource.manager);
  }
}
