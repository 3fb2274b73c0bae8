import { Module, type OnModuleInit } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ApprovalsModule } from '../approvals/approvals.module.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import { BackupsModule } from '../backups/backups.module.js';
import { PoliciesModule } from '../policies/policies.module.js';
import { StorageModule } from '../platform/storage/storage.module.js';
import { TenantsModule } from '../tenants/tenants.module.js';
import { AbandonedWrites } from './abandoned-writes.js';
import { DownloadEntity } from './download.entity.js';
import { DownloadsController } from './downloads.controller.js';
import { DownloadsRepository } from './downloads.repository.js';
import { DownloadsResolver } from './downloads.resolver.js';
import { DownloadsService } from './downloads.service.js';
import { UploadCompletion } from './upload-completion.js';
import { UploadEntity } from './upload.entity.js';
import { UploadExpiry } from './upload-expiry.js';
import { UploadReception } from './upload-reception.js';
import { UploadsController } from './uploads.controller.js';
import { UploadsRepository } from './uploads.repository.js';
import { UploadsResolver } from './uploads.resolver.js';
import { UploadsService } from './uploads.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([DownloadEntity, UploadEntity]), ApprovalsModule, BackupsModule, PoliciesModule, StorageModule, TenantsModule],
  controllers: [DownloadsController, UploadsController],
  providers: [AbandonedWrites, DownloadsRepository, DownloadsResolver, DownloadsService, UploadCompletion, UploadExpiry, UploadReception, UploadsRepository, UploadsResolver, UploadsService],
  exports: [UploadsService],
})
export class TransfersModule implements OnModuleInit {
  constructor(
    private readonly approvals: ApprovalsService,
    private readonly downloads: DownloadsService,
  ) {}

  onModuleInit(): void {
    this.approvals.register({ action: 'DOWNLOAD', subjectType: 'Backup', describe: (actor, id, { decrypted }) => this.downloads.describe(actor, id, decrypted ? 'DECRYPTED' : 'ARCHIVE') });
  }
}
