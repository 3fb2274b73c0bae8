import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { type ArchiveStore, lockOf } from '#storage';
import { AuditService } from '../audit/audit.service.js';
import { BackupImports } from '../backups/backup-imports.js';
import { AppConfig } from '../config/app-config.js';
import { Sweep } from '../platform/queue/sweep.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import type { UploadEntity } from './upload.entity.js';
import { UploadsRepository } from './uploads.repository.js';

const atOnce = 100;

/** Removes uploads that nobody completed or used in time, bytes and row. Any process may do it: the row's lock decides who does. */
@Injectable()
export class UploadExpiry extends Sweep {
  protected readonly failure = 'Expired uploads could not be removed';

  constructor(
    config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly uploads: UploadsRepository,
    private readonly imports: BackupImports,
    private readonly audit: AuditService,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {
    super(config);
  }

  protected async look(): Promise<void> {
    for (let removed = 0; removed < atOnce && (await this.removeOne()); removed++);
  }

  /** False when there is none. */
  removeOne(): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const upload = await this.uploads.lockExpired(manager);
      if (upload !== null) await this.removeLocked(upload, manager);
      return upload !== null;
    });
  }

  /** One that nobody was told of. */
  remove({ tenantId, id }: UploadEntity): Promise<void> {
    return this.dataSource.transaction(async (manager) => {
      const upload = await this.uploads.lock({ tenantId }, id, manager);
      if (upload !== null) await this.removeLocked(upload, manager);
    });
  }

  private async removeLocked(upload: UploadEntity, manager: EntityManager): Promise<void> {
    if (!(await this.imports.isStoredAt(upload.storeKey, manager))) {
      await this.store.discardIncomplete(upload.storeKey);
      const lock = await lockOf(this.store.delete(upload.storeKey));
      if (lock !== null) return this.uploads.comeAgain(upload, upload.id, lock.until, manager);
    }
    await this.uploads.delete(upload, upload.id, manager);
    if (upload.state === 'OPEN') {
      await this.audit.record({ action: 'upload.abandoned', tenantId: upload.tenantId, actor: null, subject: { type: 'Upload', id: upload.id }, detail: { fileName: upload.fileName } }, manager);
    }
  }
}
