import { AppError } from '#errors';

/** The system's code of an error, such as ENOENT; null for what did not come from the system. */
export function systemCode(error: unknown): string | null {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** What went wrong with which object, never where it lies on the machine; the cause keeps that. */
export function storageError(error: unknown, doing: string, object: string): AppError {
  if (error instanceof AppError) return error;
  const code = systemCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new AppError('STORAGE_FULL', `The archive store is full; ${doing} ${object} was given up`, { cause: error });
  return new AppError('STORAGE_UNAVAILABLE', `The archive store failed while ${doing} ${object} (${code ?? 'unknown reason'})`, { cause: error });
}

export function missing(object: string): AppError {
  return new AppError('ARCHIVE_MISSING', `The archive store holds no ${object}`);
}

export function truncated(object: string): AppError {
  return new AppError('ARCHIVE_TRUNCATED', `${object} ends before it should`);
}
