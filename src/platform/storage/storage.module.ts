import { fileURLToPath } from 'node:url';
import { Module } from '@nestjs/common';
import { type ArchiveStore, LocalArchiveStore } from '#storage';
import { AppConfig } from '../../config/app-config.js';

/** Injects the one `ArchiveStore` of the process. */
export const ARCHIVE_STORE = Symbol('ArchiveStore');

/** @param storeUrl checked by the configuration: `file:///path` */
export function openArchiveStore(storeUrl: string): ArchiveStore {
  return new LocalArchiveStore(fileURLToPath(storeUrl));
}

@Module({
  providers: [{ provide: ARCHIVE_STORE, useFactory: (config: AppConfig) => openArchiveStore(config.storeUrl), inject: [AppConfig] }],
  exports: [ARCHIVE_STORE],
})
export class StorageModule {}
