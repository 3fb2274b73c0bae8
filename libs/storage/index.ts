export type { ArchiveStore, ObjectInfo, ObjectUpload, StoredObject } from './port.js';
