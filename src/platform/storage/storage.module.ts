import { fileURLToPath } from 'node:url';
import { Inject, Module } from '@nestjs/common';
import { AppError } from '#errors';
import { type ArchiveStore, LocalArchiveStore, openS3Store, parseS3Url } from '#storage';
import { AppConfig } from '../../config/app-config.js';
import { type HealthFinding, HealthRegistry } from '../health/health-registry.js';

/** Injects the one `ArchiveStore` of the process. */
export const ARCHIVE_STORE = Symbol('ArchiveStore');

/** The check writes to the disk, and anybody may ask for it. */
const healthEveryMs = 5_000;

/** @param storeUrl checked by the configuration: `file:///path` or `s3://bucket/prefix` */
export async function openArchiveStore(storeUrl: string): Promise<ArchiveStore> {
  return storeUrl.startsWith('s3:') ? openS3Store(parseS3Url(storeUrl)) : new LocalArchiveStore(fileURLToPath(storeUrl));
}

@Module({
  providers: [{ provide: ARCHIVE_STORE, useFactory: (config: AppConfig) => openArchiveStore(config.storeUrl), inject: [AppConfig] }],
  exports: [ARCHIVE_STORE],
})
export class StorageModule {
  constructor(registry: HealthRegistry, @Inject(ARCHIVE_STORE) store: ArchiveStore) {
    registry.register('storage', atMostEvery(healthEveryMs, () => storageHealth(store)));
  }
}

async function storageHealth(store: ArchiveStore): Promise<HealthFinding> {
  try {
    await store.check();
    return { state: 'ok' };
  } catch (error) {
    if (error instanceof AppError) return { state: 'down', message: error.message };
    throw error;
  }
}

function atMostEvery<T>(pauseMs: number, ask: () => Promise<T>): () => Promise<T> {
  let last: { readonly atMs: number; readonly answer: Promise<T> } | null = null;
  return () => {
    if (last === null || performance.now() - last.atMs > pauseMs) last = { atMs: performance.now(), answer: ask() };
    return last.answer;
  };
}
