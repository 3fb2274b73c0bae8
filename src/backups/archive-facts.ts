import type { Work } from '#engines';
import type { StoredArchive } from './stored-archive.js';
import type { PlainStoredArchive } from './plain-archive.js';

/** What a row says of an archive that was verified. */
export async function factsOf(archive: StoredArchive | PlainStoredArchive, work: Work) {
  const contents = (await archive.definitions(work)).map(({ name, kind, documents, bytes, indexes }) => ({ name, kind, documents, bytes, indexes: indexes.length }));
  const { rawBytes, consistency, clusterTime, engineVersion } = archive.provenance;
  return {
    contents,
    collections: archive.partOf === null ? null : [...archive.partOf],
    documents: contents.reduce((sum, { documents }) => sum + documents, 0),
    rawSizeBytes: rawBytes,
    consistency,
    clusterTime,
    engineVersion,
  };
}
