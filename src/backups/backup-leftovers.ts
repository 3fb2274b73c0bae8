import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { DataSource } from 'typeorm';
import { redact } from '#errors';
import { AppConfig } from '../config/app-config.js';
import { ArchiveFiles } from './archive-files.js';
import { BackupsRepository } from './backups.repository.js';

const everyMs = 10 * 60 * 1000;
const atOnce = 100;

/** Removes the bytes of backups that came to nothing while the store would not let them go. Any process may do it: the row's lock decides who does. */
@Injectable()
export class BackupLeftovers implements OnApplicationBootstrap {
  private readonly logger = new Logger(BackupLeftovers.name);

  constructor(
    private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly backups: BackupsRepository,
    private readonly files: ArchiveFiles,
  ) {}

  onApplicationBootstrap(): Promise<void> {
    return this.tick();
  }

  @Interval(everyMs)
  async tick(): Promise<void> {
    if (!this.config.runsWorker) return;
    try {
      for (let removed = 0; removed < atOnce && (await this.removeOne()); removed++);
    } catch (error) {
      this.logger.warn({ msg: 'The bytes of unfinished backups are still there', error: redact(String(error)) });
    }
  }

  /** False when there is none. */
  private removeOne(): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const backup = await this.backups.lockLeftOver(manager);
      if (backup === null) return false;
      if (backup.storeKey !== null) await this.files.remove(backup.storeKey);
      return this.backups.update(backup, backup.id, [backup.state], { bytesLeft: false }, manager);
    });
  }
}
