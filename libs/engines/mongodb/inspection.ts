import type { TargetInspection } from '../port.js';
import { isTenantsName, listPhysical } from './catalogue.js';
import type { MongodbContext } from './connection.js';
import { throwTargetError } from './errors.js';

/** What the target is and how large; sizes are the server's estimates and count what Holdfast itself may have put there. */
export async function inspect(context: MongodbContext): Promise<TargetInspection> {
  const { version, featureCompatibility, topology, deployment } = context.server;
  try {
    const physical = await listPhysical(context);
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

function freeBytesOf(total: unknown, used: unknown): number | null {
  const free = Number(total) - Number(used);
  return Number(total) > 0 && Number.isFinite(free) ? Math.max(0, free) : null;
}
