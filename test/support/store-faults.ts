import { fileURLToPath } from 'node:url';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ArchiveStore, LocalArchiveStore } from '../../libs/storage/index.ts';
import { ARCHIVE_STORE } from '../../src/platform/storage/storage.module.ts';
import type { TestApp } from './app.ts';
import { FaultyStore, type StoreFaults } from './faulty-store.ts';

/** Lets the application's own store fail as the returned faults say, from now on; they may be changed at any time. */
export function faultsOf(app: TestApp): StoreFaults {
  const store = app.nest.get<ArchiveStore>(ARCHIVE_STORE);
  const faulty = new FaultyStore(new LocalArchiveStore(storeFolder(app)));
  store.create = (key) => faulty.create(key);
  store.open = (key) => faulty.open(key);
  store.delete = (key) => faulty.delete(key);
  return faulty.faults;
}

export function storeFolder(app: TestApp): string {
  return fileURLToPath(app.config.storeUrl);
}

/** Every file of the store, unfinished ones included, as paths below it; not its mark. */
export async function storedFiles(app: TestApp): Promise<string[]> {
  const entries = await readdir(storeFolder(app), { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(storeFolder(app).length + 1)).filter((path) => !path.startsWith('.holdfast/')).sort();
}
