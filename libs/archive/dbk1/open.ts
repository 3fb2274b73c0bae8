import { AppError } from '#errors';
import { timingSafeEqual } from 'node:crypto';
import { deriveArchiveKey, deriveKeyCheck, type TenantKeys } from '../keys.js';
import { decrypt, nonceType } from './cipher.js';
import type { ArchiveHeader } from './header.js';
import { decodeManifest, type ArchiveManifest } from './manifest.js';

/** What the caller knows of the archive from elsewhere; a mismatch is ARCHIVE_REPLACED. */
export interface ExpectedArchive {
  readonly backupId?: string;
  /** 64 hex digits, as ArchiveSummary has it. */
  readonly salt?: string;
}

export interface OpenOptions {
  readonly keys: TenantKeys;
  /** The tenant whose archive this must be; another's is ARCHIVE_FOREIGN. */
  readonly tenantId: string;
  readonly expected?: ExpectedArchive;
}

/** Checks whose archive it is and derives its key. Throws ARCHIVE_FOREIGN, ARCHIVE_REPLACED, KEY_UNKNOWN, KEY_MISMATCH. */
export function unlockArchive(header: ArchiveHeader, { keys, tenantId, expected = {} }: OpenOptions): Buffer {
  if (header.context.tenant !== tenantId) throw new AppError('ARCHIVE_FOREIGN', 'The archive belongs to another workspace');
  const tenantKey = keys.tenantKey(header.keyId, tenantId);
  if (tenantKey === null) throw new AppError('KEY_UNKNOWN', `The archive is encrypted with the key ${header.keyId}, which this server does not have`);
  const salt = Buffer.from(header.salt, 'hex');
  if (!timingSafeEqual(deriveKeyCheck(tenantKey, salt), header.keyCheck)) {
    throw new AppError('KEY_MISMATCH', `The key ${header.keyId} of this server is not the one that encrypted the archive`);
  }
  if (expected.backupId !== undefined && expected.backupId !== header.context.backup) throw new AppError('ARCHIVE_REPLACED', 'The file holds another backup');
  if (expected.salt !== undefined && expected.salt !== header.salt) throw new AppError('ARCHIVE_REPLACED', 'The file is not the one that was written for this backup');
  return deriveArchiveKey(tenantKey, salt, Buffer.from(header.sha256, 'hex'));
}

/** Decrypts and checks the trailer of an archive with so many segments. Throws ARCHIVE_CORRUPT, ARCHIVE_TOO_LARGE, ARCHIVE_UNSUPPORTED. */
export async function openTrailer(
  archiveKey: Buffer,
  header: ArchiveHeader,
  counted: { readonly segments: number; readonly compressedBytes: number },
  sealed: Buffer,
): Promise<ArchiveManifest> {
  const plain = decrypt(archiveKey, nonceType.trailer, counted.segments, sealed);
  if (plain === null) throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: its header or its trailer was changed, or segments are missing');
  const manifest = await decodeManifest(plain);
  const { payload, frames } = manifest;
  const mismatch = (what: string): AppError => new AppError('ARCHIVE_CORRUPT', `The archive is damaged: ${what} differs from the manifest`);
  if (payload.segments !== counted.segments) throw mismatch('the number of segments');
  if (payload.compressedBytes !== counted.compressedBytes) throw mismatch('the length of the compressed stream');
  if (manifest.tenant.id !== header.context.tenant) throw mismatch('the tenant of the header');
  if (manifest.backup.id !== header.context.backup) throw mismatch('the backup of the header');
  if (header.codec === 'none' && (payload.bytes !== payload.compressedBytes || frames.some(([compressed, plainOffset]) => compressed !== plainOffset))) {
    throw mismatch('the length of the payload');
  }
  if (header.payloadType === 'mongodump' && frames.some(([, , namespaceIndex], index) => index > 0 && namespaceIndex === -1)) throw mismatch('the place of the prelude');
  return manifest;
}

export const brokenSegment = (index: number): AppError => new AppError('ARCHIVE_CORRUPT', `The archive is damaged: segment ${index} was changed or does not stand in its place`);
