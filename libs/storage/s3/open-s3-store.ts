import type { ArchiveStore } from '../port.js';
import type { S3Credentials } from './s3-bucket.js';
import type { S3Location } from './s3-location.js';

/** Loads the client of S3, which a process with a local store does without. @param credentials null: by the usual AWS variables, files and services */
export async function openS3Store(location: S3Location, credentials: S3Credentials | null = null): Promise<ArchiveStore> {
  const { S3ArchiveStore } = await import('./s3-archive-store.js');
  return new S3ArchiveStore(location, credentials);
}
