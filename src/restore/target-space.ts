import { errorCatalogue } from '#errors';
import type { TargetInspection } from '#engines';
import type { PlanCheckRow } from './restore-plan.entity.js';

/** Below this a database tells nothing of how well its documents compress. */
const tellingBytes = 64 * 1024 * 1024;
/** Indexes may need more than the documents. */
const largestRatio = 2;

/**
 * Whether the database server has room for the stage, which lies beside the live data until CLEANUP. The archive's documents
 * are taken to compress, and to be indexed, as the live ones do; where those are too few to tell, not to compress at all.
 */
export function checkTargetSpace({ freeBytes, sizeBytes, storageBytes }: Pick<TargetInspection, 'freeBytes' | 'sizeBytes' | 'storageBytes'>, archivedBytes: number): PlanCheckRow {
  const row = { key: 'targetSpace', blocking: true };
  if (freeBytes === null) return { ...row, ok: true, message: 'The database server does not tell how much disk space is free', hint: null };
  const ratio = sizeBytes < tellingBytes ? 1 : Math.min(largestRatio, storageBytes / sizeBytes);
  const neededBytes = Math.ceil(archivedBytes * ratio);
  const message = `The database server has ${freeBytes} bytes free; what is staged beside the live data needs about ${neededBytes}`;
  return freeBytes >= neededBytes ? { ...row, ok: true, message, hint: null } : { ...row, ok: false, message, hint: errorCatalogue.TARGET_FULL.hint };
}
