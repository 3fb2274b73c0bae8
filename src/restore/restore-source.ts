import { z } from 'zod';
import type { OnDocuments } from '#archive';
import type { PayloadSource, Work } from '#engines';
import type { NamespaceShape } from './collection-diff.js';

const common = {
  fileName: z.string(),
  storeKey: z.string(),
  sizeBytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.string().nullable(),
  /** Of the manifest beside it; null where there is none. */
  manifestSha256: z.string().nullable().default(null),
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
  /** Of the server that it was taken of; null where the archive does not tell, and of a plain one until it was read. */
  readonly engineVersion: string | null;
  /** Names of the collections that it is a backup of, whether they existed or not; null: of the whole database. */
  readonly partOf: readonly string[] | null;
  /**
   * Reads every byte: hash, tags, format, counts and sums, or the hash alone where a file with that hash was found right before and it was opened for a restore. Of an archive of ours, and with `collections`, it reads those alone, with header,
   * trailer and definitions. Only then the `payload` that it returns may be used, which holds what was chosen.
   *
   * @throws AppError ARCHIVE_* or KEY_*
   */
  verify(work: Work, collections: readonly string[] | null, onDocuments?: OnDocuments): Promise<VerifiedArchive>;
  close(): Promise<void>;
}

export interface VerifiedArchive {
  readonly payload: PayloadSource;
  /** Of the file; what is read again for the stage does not count twice. */
  readonly bytesRead: number;
}
