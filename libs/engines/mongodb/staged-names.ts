import { AppError } from '#errors';
import type { CollectionMeta } from '#archive';
import { bucketsPrefix, isOwnName } from './names.js';

const serverDatabases = ['admin', 'local', 'config'];
// The server's own limit for "<database>.<collection>".
const maxNamespaceBytes = 255;

/**
 * Refuses archives that hold more than one tenant's database, or names that a restore must never write. The database's own name does
 * not matter: it becomes the target's. Throws ARCHIVE_UNSUPPORTED, or STAGE_REJECTED for a name that only this target cannot hold.
 */
export function requireRestorable(collections: readonly CollectionMeta[], targetDatabase: string): void {
  const databases = [...new Set(collections.map(({ db }) => db))];
  for (const db of databases) {
    if (db === '') throw unsupported('The archive holds an oplog; take one without --oplog');
    if (serverDatabases.includes(db) || db.startsWith('__mdb_internal')) throw unsupported(`The archive holds the server's own database "${db}"`);
  }
  if (databases.length > 1) throw unsupported(`The archive holds ${databases.length} databases; take one with --db`);
  for (const { collection, kind } of collections) requireName(collection, kind === 'timeseries', targetDatabase);
}

function requireName(name: string, isTimeseries: boolean, database: string): void {
  const shown = JSON.stringify(name.slice(0, 80));
  if (name === '' || name.startsWith('.') || name.endsWith('.') || name.includes('\0')) throw unsupported(`The archive names a collection ${shown}, which no server takes`);
  if (name.includes('$')) throw unsupported(`The archive holds ${shown}, which belongs to the server`);
  if (isOwnName(name)) throw unsupported(`The archive holds ${shown}, which is one of Holdfast's own names`);
  if (name.startsWith('system.') && name !== 'system.js') throw unsupported(`The archive holds ${shown}, which belongs to the server`);
  const bytes = Buffer.byteLength(`${database}.${isTimeseries ? bucketsPrefix : ''}${name}`);
  if (bytes > maxNamespaceBytes) throw new AppError('STAGE_REJECTED', `The name of collection ${shown} is too long for database "${database}"`);
}

function unsupported(message: string): AppError {
  return new AppError('ARCHIVE_UNSUPPORTED', message);
}
