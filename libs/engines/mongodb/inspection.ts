import { AppError } from '#errors';
import type { TargetInspection } from '../port.js';
import { isTenantsName, listPhysical } from './catalogue.js';
import type { MongodbContext } from './connection.js';
import { throwTargetError } from './errors.js';

/** What the target is and how large; sizes are the server's estimates and count what Holdfast itself may have put there. */
export async function inspect(context: MongodbContext): Promise<TargetInspection> {
  const { version, featureCompatibility, topology, deployment } = context.server;
  try {
    const physical = await listPhysical(context);
    if (physical.length === 0) await requireNoOtherCase(context);
    const stats = await context.db.command({ dbStats: 1 });
    return {
      version,
      featureCompatibility,
      topology,
      deployment,
      sizeBytes: Number(stats['dataSize']),
      collections: physical.filter(({ name }) => isTenantsName(name)).length,
      documents: Number(stats['objects']),
      storageBytes: Number(stats['storageSize']) + Number(stats['indexSize']),
      freeBytes: freeBytesOf(stats['fsTotalSize'], stats['fsUsedSize']),
    };
  } catch (error) {
    throwTargetError(error, 'inspecting the database');
  }
}

/** A server has no two databases whose names differ in case alone: the one that is asked for stays empty for good, and its backups with it. */
async function requireNoOtherCase({ client, db }: MongodbContext): Promise<void> {
  const { databases } = await client.db('admin').command({ listDatabases: 1, nameOnly: true, authorizedDatabases: true });
  const wanted = db.databaseName.toLowerCase();
  const other = (databases as readonly { readonly name: string }[]).find(({ name }) => name.toLowerCase() === wanted && name !== db.databaseName);
  if (other !== undefined) throw new AppError('TARGET_REFUSED', `The server has a database "${other.name}", whose name differs from "${db.databaseName}" in upper and lower case alone`, { field: ['database'] });
}

function freeBytesOf(total: unknown, used: unknown): number | null {
  const free = Number(total) - Number(used);
  return Number(total) > 0 && Number.isFinite(free) ? Math.max(0, free) : null;
}
