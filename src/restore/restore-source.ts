import { z } from 'zod';
import type { PayloadSource, Work } from '#engines';
import type { NamespaceShape } from './collection-diff.js';

const common = {
  fileName: z.string(),
  storeKey: z.string(),
  sizeBytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.string().nullable(),
  /** Null: the archive is not encrypted. */
  salt: z.string().nullable(),
  keyId: z.string().nullable(),
  /** See ArchiveRef. */
  archiveId: z.string(),
  keyTenantId: z.uuid().nullable(),
};

/** Names one stored archive and binds it: a file that differs in size, hash or salt is another one. */
export const sourceRef = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('BACKUP'), backupId: z.uuid(), ...common }),
  z.strictObject({ kind: z.literal('UPLOAD'), uploadId: z.uuid(), ...common }),
]);
export type SourceRef = z.output<typeof sourceRef>;

/** An archive that is open for one plan or one restore. */
export interface RestoreSource {
  /** What its trailer or, for a plain file, its whole content says it holds. */
  shapes(work: Work): Promise<readonly NamespaceShape[]>;
  /**
   * Reads every byte: hash, tags, format, counts and sums. Only then `payload` may be used.
   *
   * @throws AppError ARCHIVE_* or KEY_*
   */
  verify(work: Work): Promise<VerifiedArchive>;
  close(): Promise<void>;
}

export interface VerifiedArchive {
  readonly payload: PayloadSource;
  readonly bytesRead: number;
}
