import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { lockOf } from '#storage';
import { AppConfig } from '../config/app-config.js';
import { failureOf } from '../operations/operation-failure.js';
import { Sweep } from '../platform/queue/sweep.js';
import { ArchiveFiles } from './archive-files.js';
import { BackupsRepository } from './backups.repository.js';

const atOnce = 100;

/** Removes the bytes of backups that came to nothing while the store would not let them go. Any process may do it: the row's lock decides who does. */
@Injectable()
export class BackupLeftovers extends Sweep {
  protected readonly failure = 'The bytes of unfinished backups are still there';

  constructor(
    config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly backups: BackupsRepository,
    private readonly files: ArchiveFiles,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    for (let removed = 0; removed < atOnce && (await this.removeOne()); removed++);
  }

  /** False when there is none. */
  private removeOne(): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const backup = await this.backups.lockLeftOver(manager);
      if (backup === null) return false;
      const lock = backup.storeKey === null ? null : await lockOf(this.files.remove(backup.storeKey));
      if (lock !== null) return this.backups.update(backup, backup.id, [backup.state], { removalFailure: failureOf(lock), lockedUntil: lock.until }, manager);
      return this.backups.update(backup, backup.id, [backup.state], { bytesLeft: false, removalFailure: null, lockedUntil: null }, manager);
    });
  }
}
