import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { BackupsModule } from '../backups/backups.module.js';
import { DownloadEntity } from './download.entity.js';
import { DownloadsController } from './downloads.controller.js';
import { DownloadsRepository } from './downloads.repository.js';
import { DownloadsResolver } from './downloads.resolver.js';
import { DownloadsService } from './downloads.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([DownloadEntity]), BackupsModule],
  controllers: [DownloadsController],
  providers: [DownloadsRepository, DownloadsResolver, DownloadsService],
})
export class TransfersModule {}
