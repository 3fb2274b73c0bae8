import { createHash } from 'node:crypto';

import { BSON, type Db } from 'mongodb';

/** What must be the same after a restore, per namespace: the documents' hash, the options and the indexes, byte for byte. */
export type Fingerprint = ReadonlyMap<string, string>;

const bucketPrefix = 'system.buckets.';

/**
 * `dbHash` covers documents only, so options and indexes are read beside it. `system.views` is left out of the hashes
 * because its documents hold the database's name; the views' definitions stand in the options.
 */
export async function fingerprint(db: Db): Promise<Fingerprint> {
  const hashes = (await db.command({ dbHash: 1 }))['collections'] as Record<string, string>;
  const listed = await db.listCollections({}, { promoteValues: false }).toArray();
  const entries: [string, string][] = [];
  for (const collection of listed) {
    const { name, type } = { name: String(collection.name), type: String(collection.type) };
    if (name === 'system.views' || name.startsWith(bucketPrefix)) continue;
    const indexes = type === 'view' ? [] : await db.collection(name).listIndexes({ raw: true }).toArray();
    const definition = createHash('sha256').update(BSON.serialize({ options: 'options' in collection ? collection.options : {} }));
    for (const index of indexes as unknown as Buffer[]) definition.update(index);
    const documents = hashes[type === 'timeseries' ? bucketPrefix + name : name] ?? 'no documents of its own';
    entries.push([name, `${type} ${documents} ${definition.digest('hex')}`]);
  }
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Names of the namespaces in which the two differ. */
export function differences(before: Fingerprint, after: Fingerprint): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name));
}
