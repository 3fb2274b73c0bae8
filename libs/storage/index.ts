export type * from './port.js';
export { LocalArchiveStore } from './local/local-archive-store.js';
export { openS3Store } from './s3/open-s3-store.js';
export { parseS3Url, type S3Location } from './s3/s3-location.js';
export { deleteEach, lockOf, StorageLocked } from './storage-locked.js';
export type { S3Credentials } from './s3/s3-bucket.js';
