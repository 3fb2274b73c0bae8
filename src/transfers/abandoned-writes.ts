import { Inject, Injectable } from '@nestjs/common';
import type { ArchiveStore } from '#storage';
import { BackupImports } from '../backups/backup-imports.js';
import { AppConfig } from '../config/app-config.js';
import { Sweep } from '../platform/queue/sweep.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import { UploadsRepository } from './uploads.repository.js';

const keptForMs = 24 * 60 * 60 * 1000;
const everyMs = 6 * 60 * 60 * 1000;
/** Others may use the same bucket or folder; only what lies where Holdfast puts it is Holdfast's. */
const ours = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\/(?:db-backups|uploads)\/[^/]+$/;

/**
 * Removes what was begun in the store more than a day ago, was never finished, and is nobody's: no upload has that place, and no backup is being written
 * there. Every writer makes its row first, so whatever is at work is known.
 */
@Injectable()
export class AbandonedWrites extends Sweep {
  protected readonly failure = 'Abandoned writes could not be removed from the archive store';
  private nextAtMs = 0;

  constructor(
    config: AppConfig,
    private readonly uploads: UploadsRepository,
    private readonly imports: BackupImports,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    if (performance.now() < this.nextAtMs) return;
    await this.removeAll(new Date());
    this.nextAtMs = performance.now() + everyMs;
  }

  /** Returns how many places it has cleaned. */
  async removeAll(now: Date): Promise<number> {
    const touched = new Map<string, number>();
    for await (const { key, touchedAt } of this.store.incomplete()) {
      if (ours.test(key)) touched.set(key, Math.max(touched.get(key) ?? 0, touchedAt.getTime()));
    }
    let removed = 0;
    for (const [key, atMs] of touched) {
      if (now.getTime() - atMs < keptForMs || (await this.uploads.knowsKey(key)) || (await this.imports.isBeingWrittenAt(key))) continue;
      await this.store.discardIncomplete(key);
      removed += 1;
    }
    if (removed > 0) this.logger.log({ msg: 'Abandoned writes were removed from the archive store', removed });
    return removed;
  }
}
