import { fileURLToPath } from 'node:url';
import { Inject, Module } from '@nestjs/common';
import { AppError } from '#errors';
import { type ArchiveStore, LocalArchiveStore, openS3Store, parseS3Url, type S3Credentials } from '#storage';
import { AppConfig } from '../../config/app-config.js';
import { type HealthFinding, HealthRegistry } from '../health/health-registry.js';
import { ArchiveStores } from './archive-stores.js';
import { StoreIdentities, type StoreName } from './store-identities.js';

/** Injects the main `ArchiveStore`, which every archive is written to. */
export const ARCHIVE_STORE = Symbol('ArchiveStore');

/** The check writes to the disk, and anybody may ask for it. */
const healthEveryMs = 5_000;

/** @param storeUrl checked by the configuration: `file:///path` or `s3://bucket/prefix` */
async function openArchiveStore(storeUrl: string, credentials: S3Credentials | null = null): Promise<ArchiveStore> {
  return storeUrl.startsWith('s3:') ? openS3Store(parseS3Url(storeUrl), credentials) : new LocalArchiveStore(fileURLToPath(storeUrl));
}

/** A folder's mark costs less to read than anything else that is done there, and the disk under it may go at any moment; a bucket stays the one that it is while a process runs. */
const bucketFreshForMs = 5_000;

async function openGuarded(identities: StoreIdentities, name: StoreName, url: string, credentials: S3Credentials | null): Promise<ArchiveStore> {
  return identities.guard(name, await openArchiveStore(url, credentials), url.startsWith('s3:') ? bucketFreshForMs : 0);
}

async function openStores(main: ArchiveStore, config: AppConfig, identities: StoreIdentities): Promise<ArchiveStores> {
  const others = new Map<string, ArchiveStore>();
  for (const { name, url, credentials } of config.stores) others.set(name, await openGuarded(identities, name, url, credentials));
  return new ArchiveStores(main, others);
}

@Module({
  providers: [
    StoreIdentities,
    { provide: ARCHIVE_STORE, useFactory: (config: AppConfig, identities: StoreIdentities) => openGuarded(identities, null, config.storeUrl, null), inject: [AppConfig, StoreIdentities] },
    { provide: ArchiveStores, useFactory: openStores, inject: [ARCHIVE_STORE, AppConfig, StoreIdentities] },
  ],
  exports: [ARCHIVE_STORE, ArchiveStores, StoreIdentities],
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
