import { AppError } from '#errors';
import type { Document } from 'mongodb';
import { listPhysical } from './catalogue.js';
import type { MongodbContext } from './connection.js';
import { throwTargetError } from './errors.js';
import { bucketsPrefix, isOwnName } from './names.js';

export type Purpose = 'BACKUP' | 'RESTORE';

/** Actions that one collection needs; the empty name stands for all of the database but `system.*`. */
interface Need {
  readonly collection: string;
  readonly actions: readonly string[];
}

interface Privilege {
  readonly resource: Document;
  readonly actions: readonly string[];
}

const reading = ['find', 'listCollections', 'listIndexes', 'collStats', 'dbStats'];
const writing = [
  'insert', 'update', 'remove', 'createCollection', 'createIndex', 'dropCollection', 'collMod', 'bypassDocumentValidation', 'renameCollectionSameDB',
];
const systemReading = ['find', 'listIndexes', 'collStats'];
const systemReplacing = ['renameCollectionSameDB', 'dropCollection', 'createCollection', 'insert'];
const systemJs = 'system.js';

/**
 * Throws TARGET_PRIVILEGE_MISSING naming every action that the connected user lacks for `purpose` on what the database
 * holds now. A server that asks for no user lets everything pass.
 */
export async function requirePrivileges(context: MongodbContext, purpose: Purpose): Promise<void> {
  let names: string[];
  try {
    names = (await listPhysical(context)).map(({ name }) => name);
  } catch (error) {
    throwTargetError(error, 'listing the collections');
  }
  const timeSeries = names.filter((name) => name.startsWith(bucketsPrefix) && !isOwnName(name)).map((name) => name.slice(bucketsPrefix.length));
  await requireActions(context, [
    { collection: '', actions: purpose === 'BACKUP' ? reading : [...reading, ...writing] },
    ...(names.includes(systemJs) ? [{ collection: systemJs, actions: purpose === 'BACKUP' ? systemReading : [...systemReading, ...systemReplacing] }] : []),
    ...timeSeries.map((name) => bucketsNeed(name, purpose)),
  ]);
}

/**
 * What `requirePrivileges` cannot know, because it stands in the archive: time series of these names are to be built.
 * Throws TARGET_PRIVILEGE_MISSING.
 */
export async function requireTimeSeriesPrivileges(context: MongodbContext, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await requireActions(context, names.map((name) => bucketsNeed(name, 'RESTORE')));
}

/** Buckets are a system collection: not even a database's owner may touch them, only the roles backup (find) and restore (the rest). */
function bucketsNeed(name: string, purpose: Purpose): Need {
  return { collection: bucketsPrefix + name, actions: purpose === 'BACKUP' ? ['find'] : ['find', 'insert', 'createCollection', 'dropCollection'] };
}

async function requireActions({ db }: MongodbContext, needs: readonly Need[]): Promise<void> {
  let info: { readonly authenticatedUsers: readonly unknown[]; readonly authenticatedUserPrivileges: readonly Privilege[] };
  try {
    info = (await db.command({ connectionStatus: 1, showPrivileges: true }))['authInfo'] as typeof info;
  } catch (error) {
    throwTargetError(error, "reading the user's privileges");
  }
  // Nobody is logged in, yet the server listed its collections: it runs without access control.
  if (info.authenticatedUsers.length === 0) return;
  const missing = needs.flatMap(({ collection, actions }) => {
    const lacking = actions.filter((action) => !info.authenticatedUserPrivileges.some((held) => held.actions.includes(action) && covers(held.resource, db.databaseName, collection)));
    return lacking.length === 0 ? [] : [`${lacking.join(', ')} on ${collection === '' ? `database "${db.databaseName}"` : `"${collection}"`}`];
  });
  if (missing.length > 0) {
    const advice = needs.some(({ collection }) => collection.startsWith(bucketsPrefix)) && missing.some((text) => text.includes(bucketsPrefix))
      ? ' (time series need the roles "backup" and "restore" on admin)'
      : '';
    throw new AppError('TARGET_PRIVILEGE_MISSING', `The database user lacks ${missing.join('; ')}${advice}`);
  }
}

/** The server's own rules: a wildcard covers no `system.*` collection, buckets have a resource of their own. */
function covers(resource: Document, database: string, collection: string): boolean {
  if (resource['anyResource'] === true) return true;
  const sameDatabase = resource['db'] === undefined || resource['db'] === '' || resource['db'] === database;
  if (typeof resource['system_buckets'] === 'string') {
    const buckets: string = resource['system_buckets'];
    return sameDatabase && collection.startsWith(bucketsPrefix) && (buckets === '' || collection === bucketsPrefix + buckets);
  }
  if (typeof resource['collection'] !== 'string' || !sameDatabase) return false;
  return resource['collection'] === collection || (resource['collection'] === '' && !collection.startsWith('system.'));
}
