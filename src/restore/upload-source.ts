import { AppError } from '#errors';
import type { UploadEntity } from '../transfers/upload.entity.js';
import type { SourceRef } from './restore-source.js';

/** @throws AppError BAD_USER_INPUT for an upload that was imported: its backup is the source then */
export function sourceOfUpload({ id, purpose, archive, storeKey, sizeBytes, sha256, fileName, sourceTenantId }: UploadEntity): SourceRef {
  if (purpose !== 'RESTORE' || archive === null) throw new AppError('BAD_USER_INPUT', 'source: the upload was imported; give the id of its backup', { field: ['source', 'uploadId'] });
  const { salt, keyId, archiveId, takenAt } = archive;
  return { kind: 'UPLOAD', uploadId: id, storeKey, sizeBytes, sha256, manifestSha256: null, fileName, salt, keyId, archiveId: archiveId ?? id, keyTenantId: sourceTenantId, createdAt: takenAt };
}
